#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Runs after the package is removed (dpkg: remove, and purge if asked; rpm: 0).
# What was kept in memory for containers that still run is of no use without the
# binary.
set -eu

# dpkg's name for another tree than the machine's own: nothing was kept for it.
[ -z "${DPKG_ROOT-}" ] || [ "$DPKG_ROOT" = / ] || exit 0

[ ! -d /run/systemd/system ] || systemctl daemon-reload || :
case ${1-} in
remove | 0)
	rm -f /run/oci-secrets.remove
	if mountpoint -q /run/oci-secrets; then
		umount /run/oci-secrets || :
	fi
	[ ! -d /run/oci-secrets ] || rmdir /run/oci-secrets || :
	;;
esac

# What Vault answered, encrypted; the key was in /run/oci-secrets. rpm has no purge.
case ${1-} in
purge | 0)
	rm -rf /var/lib/oci-secrets/last-known-good
	[ ! -d /var/lib/oci-secrets ] || rmdir --ignore-fail-on-non-empty /var/lib/oci-secrets
	;;
esac
