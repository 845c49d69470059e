#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Runs after the package is installed or upgraded. No unit is enabled: an engine
# is told by `oci-secrets install`. Nor is one restarted, because containers that
# are started meanwhile would miss the plugin; an older one goes on to do its work
# with the new binary.
set -eu

[ ! -d /run/systemd/system ] || systemctl daemon-reload || :
