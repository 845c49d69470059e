#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Runs before the package is removed (dpkg: remove, rpm: 0), and before `make
# uninstall`. It refuses while an engine is told to run the binary: docker and
# containerd would start no container, and podman would start those that ask for
# secrets without them, and without a word.
#
# Packages are removed by programs that pass no environment on, so it is a file
# that says to remove it all the same; in /run, so that it does not say so for ever.
set -eu

case ${1-} in
remove | 0) ;;
*) exit 0 ;; # an upgrade: the binary is replaced in one step
esac

# dpkg's name for the tree that this is about where it is not the machine's own.
root=${DPKG_ROOT-}
root=${root%/}
anyway=$root/run/oci-secrets.remove
[ ! -e "$anyway" ] || exit 0

# What names our program, or a unit of ours.
prefix=${PREFIX:-(/usr)?}
ours="(^|[^[:alnum:]._/-])($prefix/(bin|lib/systemd/system)/oci-secrets|oci-secrets-runtime)"

# A user could have put anything there: no device is read, and nothing for long.
names() {
	if [ -L "$1" ] && readlink "$1" | grep -Eq "$ours"; then
		return 0
	fi
	[ -f "$1" ] && timeout 10 grep -EqsD skip "$ours" "$1"
}

told=
look() { # HINT FILE ...
	hint=$1
	shift
	for file; do
		if names "$file"; then
			told="$told  $file
hint: $hint
"
		fi
	done
}

look 'oci-secrets uninstall podman' "$root"/etc/oci-secrets/hooks.d/*.json "$root"/etc/containers/oci/hooks.d/*.json \
	"$root"/usr/share/containers/oci/hooks.d/*.json "$root"/etc/containers/containers.conf "$root"/etc/containers/containers.conf.d/*.conf
look 'oci-secrets uninstall docker' "$root"/etc/docker/daemon.json
look 'oci-secrets uninstall containerd' "$root"/etc/containerd/config.toml "$root"/etc/containerd/conf.d/*.toml "$root"/opt/nri/plugins/*
look 'oci-secrets uninstall crio' "$root"/etc/crio/crio.conf "$root"/etc/crio/crio.conf.d/*
look 'systemctl disable --now oci-secrets-nri oci-secrets-guard' "$root"/etc/systemd/system/*.wants/oci-secrets-nri.service \
	"$root"/etc/systemd/system/*.wants/oci-secrets-guard.service
look 'systemctl disable --now oci-secrets-leases' "$root"/etc/systemd/system/*.wants/oci-secrets-leases.service
passwd=$root/etc/passwd
[ -e "$passwd" ] || passwd=/dev/null
while IFS=: read -r user _ uid _ _ home _; do
	[ "$uid" -ge 1000 ] || continue
	look "oci-secrets uninstall podman --rootless, as $user" "$root$home"/.config/containers/oci-secrets/hooks.d/oci-secrets.json \
		"$root$home"/.config/containers/containers.conf.d/90-oci-secrets.conf
	look "oci-secrets uninstall docker --rootless, as $user" "$root$home"/.config/docker/daemon.json
done <"$passwd"

[ -n "$told" ] || exit 0
cat >&2 <<END
oci-secrets: not removed, because these run it, and would fail or start containers without their secrets:
${told}hint: or, to remove it all the same: touch $anyway
END
exit 1
