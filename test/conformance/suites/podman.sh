#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The system tests of the podman that is installed, with an image made of a
# busybox in the place of theirs, and without a network but the host's.
#
#   podman.sh prepare       makes them in the working directory
#   podman.sh run [TEST]    runs them, or one test
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=test/conformance/results.bash
. "$here/../results.bash"
image=quay.io/libpod/testimage:20220615

prepare() {
	cp -r "$("$here/../../setup/source.sh" podman)/test/system" tests
	"$here/images.sh" "$PWD"
	mkdir busybox/home/podman
	cd busybox/home/podman
	echo "${image##*:}" >testimage-id
	touch --date=@1600000000 testimage-id
	printf '%s\n' '#!/bin/sh' "echo Confirmed: testimage pause invoked as \$0" 'while :; do sleep 0.1; done' >pause
	chmod 755 pause
	tar -C ../.. -cf ../../../busybox.tar .
}

run() {
	local filter=() files=(tests/*.bats)
	# Starting, removing, exec and ipc namespaces: what else there is says
	# little of a shim, or takes long.
	[[ $PART == all ]] || files=(tests/{045,055,075,190}-*.bats)
	(($# == 0)) || filter=(--filter "^$(literal "$1")\$")
	mkdir -p /etc/containers
	cat >/etc/containers/containers.conf <<-END
		[containers]
		netns = "host"
		default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
		[engine]
		cgroup_manager = "cgroupfs"
		events_logger = "file"
		runtime = "crun"
		[engine.runtimes]
		crun = ["$RUNTIME"]
	END
	podman import -q --change 'CMD ["/bin/echo", "This container is intended for podman CI testing"]' \
		--change 'WORKDIR /home/podman' --change 'LABEL created_by=build-testimage' busybox.tar "$image"
	bats --formatter tap "${filter[@]}" "${files[@]}"
}

"$@"
