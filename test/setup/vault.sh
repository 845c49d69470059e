#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the genuine HashiCorp Vault for the tests, once, and prints its path.
#
#   test/setup/vault.sh          build it unless it is there, print the path
#   test/setup/vault.sh --path   print where it is or would be, build nothing
#
# The directory carries a hash of the module's go.mod and go.sum, so that a new
# version never meets an old binary. The build takes about two minutes on two
# cores, after a download of some 350 MB of modules.
set -euo pipefail

module=$(cd "$(dirname "${BASH_SOURCE[0]}")/../vault" && pwd)
cache=${OCI_SECRETS_CACHE:-$HOME/.cache/oci-secrets}
hash=$(cat "$module/go.mod" "$module/go.sum" | sha256sum | cut -c1-16)
dir=$cache/vault-$hash
vault=$dir/vault

case ${1-} in
--path)
	echo "$vault"
	exit 0
	;;
'') ;;
*)
	echo "usage: test/setup/vault.sh [--path]" >&2
	exit 2
	;;
esac

if [[ ! -x $vault ]]; then
	mkdir -p "$dir"
	# Two runs at once: the second waits, and then finds it built.
	exec 9>"$dir/.lock"
	flock 9
	if [[ ! -x $vault ]]; then
		echo "building vault into $dir (once, about two minutes)" >&2
		# The static binary runs in any container. The tag leaves out the
		# plugins that need cloud SDKs. The lock's descriptor stays here: a
		# compiler that outlives us must not hold it.
		(
			cd "$module"
			GOWORK=off GOFLAGS='' CGO_ENABLED=0 nice go build -mod=readonly -trimpath -buildvcs=false \
				-tags minimal -o "$vault.$$" github.com/hashicorp/vault
		) 9>&- >&2 || {
			rm -f "$vault.$$"
			exit 1
		}
		mv "$vault.$$" "$vault"
	fi
fi
echo "$vault"
