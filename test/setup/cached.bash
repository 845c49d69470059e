# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# To be sourced. Builds a program once into a cache directory:
#
#   cached NAME HASHED-TEXT FUNCTION [--path]
#
# prints the path of the program NAME in a directory that carries a hash of the
# text, so that a new version never meets an old binary. FUNCTION is called with
# the path to build unless it is there; with --path nothing is built.

cached() {
	local name=$1 key=$2 build=$3 mode=${4-}
	local dir program
	dir=${OCI_SECRETS_CACHE:-$HOME/.cache/oci-secrets}/$name-$(sha256sum <<<"$key" | cut -c1-16)
	program=$dir/$name
	case $mode in
	--path)
		echo "$program"
		return
		;;
	'') ;;
	*)
		echo "usage: $0 [--path]" >&2
		return 2
		;;
	esac
	if [[ ! -x $program ]]; then
		mkdir -p "$dir"
		# Two runs at once: the second waits, and then finds it built. The lock's
		# descriptor stays here: a compiler that outlives us must not hold it.
		exec 9>"$dir/.lock"
		flock 9
		if [[ ! -x $program ]]; then
			echo "building $name into $dir (once)" >&2
			if ! "$build" "$program.$$" 9>&- >&2; then
				rm -rf "$program.$$"*
				return 1
			fi
			mv "$program.$$" "$program"
		fi
		exec 9>&-
	fi
	echo "$program"
}

# module_dir MODULE@VERSION prints the directory of a module that is none of ours, which
# it downloads.
module_dir() {
	GOWORK=off GOFLAGS='' go mod download -json "$1" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'
}
