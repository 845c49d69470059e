#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Prints the licences of what is linked into the binary: those of the modules,
# and Go's own. They ask to be passed on with it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

part() { # NAME DIRECTORY
	local found=
	for text in "$2"/{LICENSE,LICENCE,COPYING,NOTICE}*; do
		[[ -f $text ]] || continue
		found=yes
		printf '==== %s: %s\n\n' "$1" "${text##*/}"
		cat "$text"
		echo
	done
	if [[ ! $found ]]; then
		echo "$0: $1 has no licence in $2" >&2
		return 1
	fi
}

echo 'oci-secrets is under the Apache License 2.0. Its binary also has parts under these:'
echo
part "Go $(go env GOVERSION)" "$(go env GOROOT)"
modules=$(go list -deps -tags urfave_cli_no_docs \
	-f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{"\t"}}{{.Dir}}{{end}}{{end}}' ./hook | sort -u)
while IFS=$'\t' read -r name dir; do
	part "$name" "$dir"
done <<<"$modules"
