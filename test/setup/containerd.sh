#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds containerd, with its shim for runc and ctr beside it, and prints its
# path; with --path it prints where it is or would be. The build takes about two
# minutes on two cores.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. test/setup/cached.bash

module=github.com/containerd/containerd/v2 version=v2.4.2
tags='no_btrfs no_devmapper no_zfs no_tracing'

# What is looked for comes last, and then the others are there, too.
build() {
	GOWORK=off GOFLAGS='' GOBIN=$1.bin CGO_ENABLED=0 nice go install -trimpath -tags "$tags" \
		"$module"/cmd/{containerd,containerd-shim-runc-v2,ctr}"@$version" &&
		mv "$1.bin/containerd-shim-runc-v2" "$1.bin/ctr" "${1%/*}" &&
		mv "$1.bin/containerd" "$1" && rmdir "$1.bin"
}

cached containerd "$module $version $tags" build "$@"
