#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the runc that go.mod pins, with seccomp, and prints its path; with
# --path it prints where it is or would be.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. test/setup/cached.bash

build() {
	CGO_ENABLED=1 go build -trimpath -tags 'seccomp urfave_cli_no_docs' -o "$1" github.com/opencontainers/runc
}

cached runc "$(go list -m github.com/opencontainers/runc)" build "$@"
