#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds dockerd of the Docker 29 line and prints its path; with --path it prints
# where it is or would be. It takes about two minutes on two cores. It wants runc,
# containerd and containerd's shim first on PATH: runc.sh, containerd.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. test/setup/cached.bash

package=github.com/moby/moby/v2/cmd/dockerd version=v2.0.0-beta.24
tags='exclude_graphdriver_btrfs netgo osusergo'

build() {
	GOWORK=off GOFLAGS='' GOBIN=$1.bin CGO_ENABLED=0 nice go install -tags "$tags" "$package@$version" &&
		mv "$1.bin/dockerd" "$1" && rmdir "$1.bin"
}

cached dockerd "$package $version $tags" build "$@"
