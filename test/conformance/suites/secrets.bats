#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Run along with runc's own tests: it shows that a run is what it is said to be,
# with secrets where they are asked for and nowhere else.

load helpers

setup() {
	setup_busybox
}

teardown() {
	teardown_bundle
}

expect() {
	if [[ $MODE == secrets ]]; then
		[[ $output == *$'CONFORMANCE=a secret'* ]]
	else
		[[ $output != *CONFORMANCE* ]]
	fi
}

@test "the container has its secrets, and only where it asks" {
	update_config '.process.args = ["env"]'
	runc run test_secrets
	[ "$status" -eq 0 ]
	expect
}

@test "exec has the container's secrets, and only where it asks" {
	runc run -d --console-socket "$CONSOLE_SOCKET" test_secrets
	[ "$status" -eq 0 ]
	runc exec test_secrets env
	[ "$status" -eq 0 ]
	expect
}
