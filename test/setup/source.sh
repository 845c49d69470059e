#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Unpacks the upstream source of an installed Debian package, whose tests are in
# no package, and prints its path; with --path it prints where it is or would be.
# The host's apt is told of no source packages: it gets a configuration of its own.
#
#   source.sh crun|podman [--path]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. test/setup/cached.bash

case ${1-} in
crun | podman) ;;
*)
	echo "usage: $0 crun|podman [--path]" >&2
	exit 2
	;;
esac
# shellcheck disable=SC2016 # dpkg-query has these variables
version=$(dpkg-query -W -f '${source:Package}=${source:Version}' "$1")

unpack() {
	local apt=$1.apt file
	mkdir -p "$1" "$apt"/{sources,lists/partial,cache/archives/partial}
	for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources}; do
		[[ ! -f $file ]] || sed -E 's/^deb /deb-src /; s/^Types:.*/Types: deb-src/' "$file" >"$apt/sources/${file##*/}"
	done
	cat >"$apt/apt.conf" <<-END
		APT::Sandbox::User "root";
		Dir::Etc::SourceList "/dev/null";
		Dir::Etc::SourceParts "$apt/sources";
		Dir::State::Lists "$apt/lists";
		Dir::Cache "$apt/cache";
	END
	(cd "$apt" && export APT_CONFIG=$apt/apt.conf && apt-get update -qq && apt-get source -qq --download-only "$version") &&
		tar -C "$1" --strip-components 1 -xf "$apt"/*.orig.tar.?z &&
		rm -r "$apt"
}

cached "$1-source" "$version" unpack "${@:2}"
