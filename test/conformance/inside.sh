#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The first process of a run, in new mount, pid and network namespaces: makes
# the suite a world of its own, and runs bats there, with the controlling
# terminal that the suite takes for granted.
#
#   inside.sh OUTPUT ARGUMENTS-OF-BATS...
set -euo pipefail
out=$1
shift

mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
ip link set lo up

# With version 1 of the control groups, the suite makes directories for
# controllers that are not mounted.
if [[ $(stat -f -c %T /sys/fs/cgroup) == tmpfs ]]; then
	mkdir "$TMPDIR/cgroup"
	mount -t tmpfs -o mode=755 tmpfs "$TMPDIR/cgroup"
	for c in /sys/fs/cgroup/*; do
		if mountpoint -q "$c"; then
			mkdir "$TMPDIR/cgroup/${c##*/}"
			mount --bind "$c" "$TMPDIR/cgroup/${c##*/}"
		else
			cp -a "$c" "$TMPDIR/cgroup/" # a link: cpu -> cpu,cpuacct
		fi
	done
	mount --move "$TMPDIR/cgroup" /sys/fs/cgroup
fi

printf -v command '%q ' bats --formatter tap "$@"
printf -v out %q "$out"
script -qec "$command >$out 2>&1" /dev/null </dev/null || true # the output tells
