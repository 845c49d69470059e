#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The first process of a run, in new mount, pid, network, ipc and control group
# namespaces: makes the suite a world of its own, and runs a command there, with
# the controlling terminal that suites take for granted.
#
#   world.sh SETTINGS GROUPS OUTPUT COMMAND...
#
# SETTINGS are what is /etc/oci-secrets here, and GROUPS is the name of the control
# groups that are the root of all others.
set -euo pipefail
settings=$1 groups=$2 out=$3
shift 3

mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=1777 tmpfs /var/tmp
for d in /etc /var/lib; do
	mkdir -p "/run/own$d" "/run/work$d"
	mount -t overlay -o "lowerdir=$d,upperdir=/run/own$d,workdir=/run/work$d" overlay "$d"
done
rm -rf /etc/oci-secrets
cp -r "$settings" /etc/oci-secrets
mkdir -p /var/lib/containers
mount -t tmpfs -o mode=755 tmpfs /var/lib/containers
ip link set lo up

# With version 1 of the control groups, suites make directories for controllers
# that are not mounted, and crun refuses to see version 2 beside it.
if [[ $(stat -f -c %T /sys/fs/cgroup) == tmpfs ]]; then
	mkdir "$TMPDIR/cgroup"
	mount -t tmpfs -o mode=755 tmpfs "$TMPDIR/cgroup"
	for c in /sys/fs/cgroup/*; do
		if [[ -L $c ]]; then
			cp -a "$c" "$TMPDIR/cgroup/" # cpu -> cpu,cpuacct
		elif [[ $(stat -f -c %T "$c") == cgroupfs || $RUNTIME != */crun/* ]]; then
			mkdir "$TMPDIR/cgroup/${c##*/}"
			mount --bind "$c/$groups" "$TMPDIR/cgroup/${c##*/}"
		fi
	done
	mount --move "$TMPDIR/cgroup" /sys/fs/cgroup
else
	mount --bind "/sys/fs/cgroup/$groups" /sys/fs/cgroup
fi

# In the background the terminal would stop it.
printf -v command '%q ' timeout --foreground -k 10 30m "$@"
printf -v out %q "$out"
script -qec "$command >$out 2>&1" /dev/null </dev/null || true # the output tells

# What is frozen could not be killed with this namespace.
find /sys/fs/cgroup/freezer -name freezer.state -exec sh -c 'echo THAWED >"$0"' {} \; 2>/dev/null || true
