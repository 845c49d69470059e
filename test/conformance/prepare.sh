#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes a directory from which runc's integration suite can be run: the tests
# and their programs, of the runc that go.mod pins; the file systems; the shim and
# its settings.
#
#   prepare.sh DIR RUNC
set -euo pipefail
dir=$1 runc=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."
suite=$dir/tests/integration

module=$(go mod download -json github.com/opencontainers/runc | jq -r .Dir)
mkdir -p "$dir/tests/cmd/_bin" "$dir/settings"
cp -r --no-preserve=mode "$module/tests/integration" "$dir/tests/"
for program in recvtty sd-helper seccompagent fs-idmap pidfd-kill remap-rootfs key_label; do
	CGO_ENABLED=1 go build -trimpath -tags seccomp -o "$dir/tests/cmd/_bin/" "github.com/opencontainers/runc/tests/cmd/$program"
done
cp "$here/secrets.bats" "$suite/"

# The suite downloads its images with this program.
"$here/images.sh" "$dir"
printf '%s\n' '#!/bin/sh' "echo BUSYBOX_IMAGE=$dir/busybox.tar" "echo DEBIAN_IMAGE=$dir/debian.tar" >"$suite/get-images.sh"
chmod +x "$suite/get-images.sh"

# It makes every bundle with this function.
grep -q '^function runc_spec() {$' "$suite/helpers.bash" || {
	echo "$suite/helpers.bash: no function runc_spec" >&2
	exit 1
}
cat >>"$suite/helpers.bash" <<'END'
eval "plain_$(declare -f runc_spec)"
function runc_spec() {
	plain_runc_spec
	[[ $SECRETS == no ]] || update_config '.annotations["secrets.oci/from"] = "conformance"'
}
END

ln -s "$PWD/bin/oci-secrets" "$dir/oci-secrets-runtime"
(umask 077 && echo '{"conformance": {"CONFORMANCE": "a secret"}}' >"$dir/settings/secrets.json")
printf '[runtime]\npath = "%s"\n[dict]\npath = "secrets.json"\n' "$runc" >"$dir/settings/config.toml"
