#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the genuine HashiCorp Vault for the tests and prints its path; with
# --path it prints where it is or would be. The build takes about two minutes on
# two cores, after a download of some 350 MB of modules.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. test/setup/cached.bash

# The static binary runs in any container. The tag leaves out the plugins that
# need cloud SDKs.
build() {
	GOWORK=off GOFLAGS='' CGO_ENABLED=0 nice go build -C test/vault -mod=readonly -trimpath -buildvcs=false \
		-tags minimal -o "$1" github.com/hashicorp/vault
}

cached vault "$(cat test/vault/go.mod test/vault/go.sum)" build "$@"
