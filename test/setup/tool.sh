#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds a tool of the linters, once, and prints its path; with --path it prints
# where it is or would be. The tools are no dependencies of the module: theirs
# are many, and would be in everybody's go.sum.
#
#   tool.sh golangci-lint|govulncheck|nfpm [--path]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. test/setup/cached.bash

case ${1-} in
golangci-lint) package=github.com/golangci/golangci-lint/v2/cmd/golangci-lint version=v2.15.0 ;;
govulncheck) package=golang.org/x/vuln/cmd/govulncheck version=v1.9.0 ;;
nfpm) package=github.com/goreleaser/nfpm/v2/cmd/nfpm version=v2.45.2 ;;
*)
	echo "usage: $0 golangci-lint|govulncheck|nfpm [--path]" >&2
	exit 2
	;;
esac

build() {
	GOWORK=off GOFLAGS='' GOBIN=$1.bin CGO_ENABLED=0 nice go install -trimpath "$package@$version" &&
		mv "$1.bin/${package##*/}" "$1" && rmdir "$1.bin"
}

# A tool must understand the language of the Go that runs it.
cached "$1" "$package $version $(go env GOVERSION)" build "${@:2}"
