#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Runs after the package is removed (dpkg: remove, rpm: 0). What was kept in
# memory for containers that still run is of no use without the binary.
set -eu

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
