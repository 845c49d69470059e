#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The integration suite of the runc that go.mod pins.
#
#   runc.sh prepare       makes it in the working directory
#   runc.sh run [TEST]    runs it, or one test
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=test/conformance/results.bash
. "$here/../results.bash"
suite=$PWD/tests/integration

prepare() {
	local module program
	module=$(go mod download -C "$here" -json github.com/opencontainers/runc | jq -r .Dir)
	mkdir -p tests/cmd/_bin
	cp -r --no-preserve=mode "$module/tests/integration" tests/
	for program in recvtty sd-helper seccompagent fs-idmap pidfd-kill remap-rootfs key_label; do
		CGO_ENABLED=1 go build -C "$here" -trimpath -tags seccomp -o "$PWD/tests/cmd/_bin/" "github.com/opencontainers/runc/tests/cmd/$program"
	done
	cp "$here/secrets.bats" "$suite/"

	# The suite downloads its images with this program.
	"$here/images.sh" "$PWD"
	printf '%s\n' '#!/bin/sh' "echo BUSYBOX_IMAGE=$PWD/busybox.tar" "echo DEBIAN_IMAGE=$PWD/debian.tar" >"$suite/get-images.sh"
	chmod +x "$suite/get-images.sh"

	# What is done to control groups and mounts has nothing to do with a shim, and
	# takes long; what needs criu or SELinux is skipped nearly everywhere.
	[[ $PART == all ]] || rm "$suite"/{cgroup*,checkpoint,mounts_sshfs,selinux,update}.bats
}

run() {
	local filter=()
	(($# == 0)) || filter=(--filter "^$(literal "$1")\$")
	cd "$suite"
	RUNC=$RUNTIME exec bats --formatter tap "${filter[@]}" ./*.bats
}

"$@"
