#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The validation programs of opencontainers/runtime-tools. A test is one line of
# what a program says.
#
#   runtime-tools.sh prepare       makes them in the working directory
#   runtime-tools.sh run [TEST]    runs all, or the one of a test
set -euo pipefail
shopt -s extglob
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

prepare() {
	local dir
	dir=$("$here/../../setup/runtime-tools.sh")
	ln -s "$dir"/{validation,rootfs-*} .
	cp "$dir/runtimetest" . # which comes into containers, and no link to it
}

# one PROGRAM runs a program, whose output containers may hold that are left. Those
# that make control groups make the same ones.
one() {
	local name=${1##*/} lock=()
	[[ $name != linux_cgroups_* && $name != delete_*resources ]] || lock=(flock "$TMPDIR")
	"${lock[@]}" timeout --foreground 60 "$1" >"$TMPDIR/$name.out" 2>&1 || echo "# $name: exit status $?"
	sed -E "s/^((not )?ok [0-9]+ )(- )?/\1$name: /" "$TMPDIR/$name.out" >"$TMPDIR/$name.tap"
}

# They wait most of the time, and say nothing that depends on others.
run() {
	local programs=(validation/*)
	# What is done to control groups has nothing to do with a shim, and the others
	# do not end with runc.
	[[ $PART == all ]] || programs=(validation/!(linux_cgroups_*|linux_ns_path*))
	(($# == 0)) || programs=("validation/${1%%:*}")
	export -f one
	printf '%s\0' "${programs[@]}" | xargs -0 -P 8 -I '{}' bash -c 'one {}'
	cat "$TMPDIR"/*.tap
}

"$@"
