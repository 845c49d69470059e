#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds critest and prints its path; with --path it prints where it is or would
# be. It is a test of its module, which is therefore the main one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. test/setup/cached.bash

module=sigs.k8s.io/cri-tools version=v1.34.0

build() {
	local source
	source=$(module_dir "$module@$version") &&
		GOWORK=off GOFLAGS='' CGO_ENABLED=0 nice go test -C "$source" -mod=readonly -trimpath -c -o "$1" ./cmd/critest
}

cached critest "$module $version" build "$@"
