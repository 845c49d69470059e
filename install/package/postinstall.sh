#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Runs after the package is installed or upgraded. No unit is enabled: an engine
# is told by `oci-secrets install`. Nor is one restarted, because containers that
# are started meanwhile would miss the plugin; an older one goes on to do its work
# with the new binary.
set -eu

# dpkg's name for another tree than the machine's own: nothing runs there.
[ -z "${DPKG_ROOT-}" ] || [ "$DPKG_ROOT" = / ] || exit 0

[ ! -d /run/systemd/system ] || systemctl daemon-reload || :

# Says what of the settings the next release refuses, or this one does. The name is
# not looked up.
if [ -e /etc/oci-secrets/config.toml ]; then
	oci-secrets explain --offline --annotation secrets.oci/from=x | sed -n 's/^note: /oci-secrets: /p' >&2
fi
