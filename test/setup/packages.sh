#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs the Debian packages whose programs are not there yet.
#
#   packages.sh demo           what the demo needs
#   packages.sh test           what the tests and the benchmark need
#   packages.sh lint           what the linters need
#   packages.sh conformance    what the suites of others need
#   packages.sh package        what the tests of deb and rpm need
#   packages.sh fresh          what test/fresh.sh needs
set -euo pipefail

# What is looked for, a program or files, and the package that has it.
demo=(
	gcc:gcc
	pkg-config:pkg-config
	/usr/include/seccomp.h:libseccomp-dev
	/usr/include/stdlib.h:libc6-dev
)
test=(
	"${demo[@]}"
	/usr/sbin/runc:runc
	crun:crun
	podman:podman
	conmon:conmon
	/usr/lib/podman/netavark:netavark
	newuidmap:uidmap
	slirp4netns:slirp4netns
	fuse-overlayfs:fuse-overlayfs
	runsc:runsc
	/bin/busybox:busybox-static
	curl:curl
	setpriv:util-linux
	ps:procps
	ip:iproute2
	/usr/lib/python3/dist-packages/dotenv/main.py:python3-dotenv
	'/usr/lib/postgresql/*/bin/postgres:postgresql'
)
lint=(shellcheck:shellcheck)
conformance=(
	"${demo[@]}"
	/usr/sbin/runc:runc
	crun:crun
	podman:podman
	conmon:conmon
	/usr/lib/podman/netavark:netavark
	/usr/lib/cni/bridge:containernetworking-plugins
	bats:bats
	/bin/busybox:busybox-static
	gawk:gawk
	ip:iproute2
	jq:jq
	/usr/bin/python3:python3
	script:bsdutils
)
package=(
	dpkg:dpkg
	man:man-db
	nsenter:util-linux
	systemd-analyze:systemd
)
fresh=(
	debootstrap:debootstrap
	pivot_root:util-linux
)

case ${1-} in
demo) wanted=("${demo[@]}") ;;
test) wanted=("${test[@]}") ;;
lint) wanted=("${lint[@]}") ;;
conformance) wanted=("${conformance[@]}") ;;
package) wanted=("${package[@]}") ;;
fresh) wanted=("${fresh[@]}") ;;
*)
	echo "usage: $0 demo|test|lint|conformance|package|fresh" >&2
	exit 2
	;;
esac

missing=()
for w in "${wanted[@]}"; do
	compgen -G "${w%%:*}" >/dev/null || command -v "${w%%:*}" >/dev/null || missing+=("${w#*:}")
done
((${#missing[@]})) || exit 0

if ! command -v apt-get >/dev/null || ((EUID != 0)); then
	echo "missing: ${missing[*]}; install them, or run as root on Debian" >&2
	exit 1
fi
echo "installing ${missing[*]}" >&2
# Debian's PostgreSQL makes a database and runs it as soon as it is installed. The
# tests have their own, and the host is to be left as it was.
clusters=/etc/postgresql-common/createcluster.d
if [[ " ${missing[*]} " == *' postgresql '* ]]; then
	trap 'rm -f "$clusters/tests.conf"; rmdir --ignore-fail-on-non-empty -p "$clusters"' EXIT
	mkdir -p "$clusters"
	echo 'create_main_cluster = false' >"$clusters/tests.conf"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >&2
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
