#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the docker command line of the Docker 29 line and prints its path; with
# --path it prints where it is or would be. It takes about a minute on two cores.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. test/setup/cached.bash

module=github.com/docker/cli version=v29.9.2

# Docker's versions are no semantic ones, so the repository has no go.mod. What
# it was released with is vendor.mod and vendor.sum, which serve as such.
build() {
	local source=$1.src from
	from=$(module_dir "$module@$version+incompatible") &&
		cp -r "$from" "$source" &&
		chmod -R u+w "$source" &&
		rm -r "$source/vendor" &&
		mv "$source/vendor.mod" "$source/go.mod" &&
		mv "$source/vendor.sum" "$source/go.sum" &&
		GOWORK=off GOFLAGS='' CGO_ENABLED=0 nice go build -C "$source" -mod=readonly -trimpath -buildvcs=false \
			-ldflags "-s -w -X $module/cli/version.Version=${version#v}" -o "$1" ./cmd/docker &&
		rm -r "$source"
}

cached docker "$module $version" build "$@"
