# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# To be sourced, after cached.bash. Unpacks Debian packages once into the cache,
# for programs that must not be installed on the host:
#
#   unpacked NAME PACKAGES... -- ARGUMENTS...
#
# The arguments are those of the script, for cached.

unpacked() {
	local name=$1 package
	packages=()
	for package in "${@:2}"; do
		[[ $package != -- ]] || break
		packages+=("$package")
	done
	cached "$name" "${packages[*]}" unpack "${@:${#packages[@]}+3}"
}

download() {
	apt-get download -qq -o APT::Sandbox::User=root "${packages[@]}"
}

unpack() {
	mkdir "$1" "$1.debs" &&
		(cd "$1.debs" && { download 2>/dev/null || { apt-get update -qq && download; }; }) &&
		for deb in "$1.debs"/*.deb; do dpkg-deb -x "$deb" "$1" || return; done &&
		rm -r "$1.debs"
}
