#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs every linter over the module, and says at the end which of them found
# something.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

failed=()
run() {
	local what=$1
	shift
	echo "== $what"
	"$@" || failed+=("$what")
}

golangci() {
	local lint
	lint=$(test/setup/tool.sh golangci-lint) && "$lint" run ./...
}

# The database of vulnerabilities is not reachable from everywhere. That is told
# apart from a finding, which has the exit code 3.
vulnerabilities() {
	local check out code=0
	check=$(test/setup/tool.sh govulncheck) || return
	out=$("$check" ./... 2>&1) || code=$?
	if ((code == 0 || code == 3)); then
		echo "$out"
		return "$code"
	fi
	if grep -q 'vuln\.go\.dev' <<<"$out" && grep -Eqi 'lookup|dial|timeout|connection|proxy|unexpected status' <<<"$out"; then
		echo "govulncheck: database not reachable, skipped"
		return 0
	fi
	echo "$out"
	return "$code"
}

scripts() {
	local files
	mapfile -t files < <(git ls-files -co --exclude-standard '*.sh' '*.bash' .ci/run)
	shellcheck -x "${files[@]}"
}

run 'go vet' go vet ./...
run 'go vet, for arm64' env GOARCH=arm64 CGO_ENABLED=0 go vet ./...
run 'go build, for arm64' env GOARCH=arm64 CGO_ENABLED=0 go build -o /dev/null ./hook
run golangci-lint golangci
run govulncheck vulnerabilities
run shellcheck scripts

if ((${#failed[@]})); then
	echo "lint: found something: $(IFS=,; echo "${failed[*]}")" >&2
	exit 1
fi
echo 'lint: nothing found'
