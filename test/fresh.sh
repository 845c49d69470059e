#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Does what README says on a machine that has never seen the project: a Debian 12
# made for the purpose, with make, git and Go and no more. What is set up there has
# this machine's network; after that each command runs twice in a row without it, by
# host.sh, and must leave nothing behind.
#
#   fresh.sh [SET-UP [COMMAND...]]    lines of shell in a fresh clone; by default
#                                     'make demo && make setup', 'make demo', 'make test'
#
# As root; it takes some 10 GB below /var/tmp, and most of an hour. How the registries
# are reached is what this machine says of it (apt, go env, certificates, resolver).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
((EUID == 0)) || { echo 'fresh.sh makes a root file system: run it as root' >&2; exit 1; }

# machine makes the root file system.
machine() {
	local mirror variable
	# shellcheck disable=SC2016 # apt-get expands it
	mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' | awk '$2 == "bookworm" { print $1; exit }')
	# It mounts /proc there: in a namespace, which ends with it however it ends.
	unshare --mount --propagation private --pid --fork --kill-child \
		debootstrap --variant=minbase --include=make,git,ca-certificates bookworm "$root" "$mirror" >"$root.log" ||
		{ cat "$root.log" >&2; return 1; }
	rm -f "$root/etc/apt/sources.list"
	for file in /etc/apt/{sources.list,auth.conf,auth.conf.d,keyrings,sources.list.d,trusted.gpg.d} /etc/{hosts,resolv.conf} \
		/etc/ssl/certs/ca-certificates.crt; do
		[[ ! -e $file ]] || cp -rLT "$file" "$root$file"
	done
	apt-config dump | grep -E '^Acquire::(https?|ftp)::' >"$root/etc/apt/apt.conf.d/90registries" || true # none is needed
	cp -r "$(go env GOROOT)" "$root/usr/local/go"
	for variable in GOPROXY GOSUMDB GONOPROXY GONOSUMDB GOPRIVATE GOINSECURE; do
		registries+=("$variable=$(go env "$variable")")
	done
	git clone --quiet --no-hardlinks "$here/.." "$root/root/oci-secrets"
}

# enter runs a command there, as on a machine: in a root file system of its own, with
# no process but its own.
enter() {
	# shellcheck disable=SC2016 # expanded there
	unshare --mount --propagation private --pid --fork --kill-child bash -euc '
		mount --bind "$1" "$1"
		cd "$1"
		mount -t proc proc proc
		for d in sys dev; do mount --rbind /$d $d; done
		for d in run dev/shm; do mount -t tmpfs -o mode=755 tmpfs $d; done
		chmod 1777 dev/shm
		mkdir -p old
		pivot_root . old
		umount -l old
		rmdir old
		shift
		cd /root/oci-secrets
		exec env -i PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
			HOME=/root LANG=C.UTF-8 "$@"' bash "$root" "${registries[@]}" "$@"
}

(($#)) || set -- 'make demo && make setup' 'make demo' 'make test'
"$here/setup/packages.sh" fresh
base=$(mktemp -d /var/tmp/oci-secrets-fresh-XXXXXX)
trap 'rm -rf --one-file-system "$base"' EXIT
chmod 755 "$base"
root=$base/root registries=()
mkdir "$root"
machine
step() {
	echo "== $* ($(date -u +%H:%M:%S))"
	"${@:1:$#-1}" sh -ec "${*: -1}"
}
step enter "$1"
shift
for time in first second; do
	for command; do
		echo "== the $time time"
		step enter test/host.sh "$command"
	done
done
