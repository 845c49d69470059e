#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the validation programs of opencontainers/runtime-tools, with the program
# that they run in containers and their root file system, and prints the path of
# their directory; with --path it prints where it is or would be. It takes about a
# minute on two cores.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. test/setup/cached.bash

module=github.com/opencontainers/runtime-tools
nested=test/conformance/runtime-tools

build() {
	local source
	mkdir "$1" "$1/validation"
	source=$(GOWORK=off GOFLAGS='' go list -C "$nested" -mod=readonly -m -f '{{.Dir}}' "$module") &&
		GOWORK=off GOFLAGS='' CGO_ENABLED=0 nice go build -C "$nested" -mod=readonly -trimpath -buildvcs=false -ldflags '-s -w' \
			-o "$1/validation/" "$module/validation/..." &&
		GOWORK=off GOFLAGS='' CGO_ENABLED=0 nice go build -C "$nested" -mod=readonly -trimpath -buildvcs=false -ldflags '-s -w' \
			-o "$1/" "$module/cmd/runtimetest" &&
		cp "$source/rootfs-$(go env GOARCH).tar.gz" "$1/"
}

cached runtime-tools "$(cat "$nested/go.mod" "$nested/go.sum")" build "$@"
