#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds one of HashiCorp's plugins for the Vault of the tests, once, and prints
# its path; with --path it prints where it is or would be. The Vault that
# vault.sh builds has neither of them.
#
#   vaultplugin.sh kubernetes|postgresql [--path]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. test/setup/cached.bash

case ${1-} in
kubernetes) package=github.com/hashicorp/vault-plugin-auth-kubernetes/cmd/vault-plugin-auth-kubernetes ;;
postgresql) package=github.com/hashicorp/vault/plugins/database/postgresql/postgresql-database-plugin ;;
*)
	echo "usage: $0 kubernetes|postgresql [--path]" >&2
	exit 2
	;;
esac

build() {
	GOWORK=off GOFLAGS='' CGO_ENABLED=0 nice go build -C test/vault/plugins -mod=readonly -trimpath -buildvcs=false \
		-o "$1" "$package"
}

cached "vaultplugin-$1" "$package $(cat test/vault/plugins/go.mod test/vault/plugins/go.sum)" build "${@:2}"
