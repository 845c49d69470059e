#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds crictl and prints its path; with --path it prints where it is or would
# be.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. test/setup/cached.bash

package=sigs.k8s.io/cri-tools/cmd/crictl version=v1.34.0

build() {
	GOWORK=off GOFLAGS='' GOBIN=$1.bin CGO_ENABLED=0 nice go install -trimpath "$package@$version" &&
		mv "$1.bin/crictl" "$1" && rmdir "$1.bin"
}

cached crictl "$package $version" build "$@"
