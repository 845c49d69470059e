#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes the deb and the rpm of what `make` built, for $GOARCH, and prints their
# paths. The same commit gives the same bytes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

VERSION=$(<hook/VERSION)
ARCH=$(go env GOARCH)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y hook/VERSION)}
export VERSION ARCH SOURCE_DATE_EPOCH

nfpm=$(test/setup/tool.sh nfpm)
out=bin/package
mkdir -p "$out"
STAGE=$(mktemp -d "$out/stage.XXXXXX")
export STAGE
trap 'rm -rf "$STAGE"' EXIT

umask 022
for format in deb rpm; do
	rm -rf "$STAGE"
	zsh=share/zsh/site-functions
	[[ $format != deb ]] || zsh=share/zsh/vendor-completions # where Debian's zsh looks for a package's
	DESTDIR=$STAGE PREFIX=/usr ZSHDIR=$zsh install/tree.sh install
	find "$STAGE" -exec touch --no-dereference --date "@$SOURCE_DATE_EPOCH" {} +
	file=$out/oci-secrets-$VERSION-$ARCH.$format
	"$nfpm" package --config install/nfpm.yaml --packager "$format" --target "$file" >/dev/null
	echo "$file"
done
