#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs a command on what this machine is when it has just been started, and fails
# where the command does, or has changed a sysctl, or has left a process, a mount,
# or a file in /dev/shm, /etc, /run, /tmp, /var/lib or /var/tmp.
#
#   host.sh [--online] [--installed] COMMAND [ARGUMENT...]
#
#   --online      with this machine's network; else there is only a loopback
#                 interface, in a namespace whose sysctls are the kernel's defaults
#   --installed   oci-secrets is installed and every engine told to run it, as on
#                 the machine of somebody who uses it (make build first)
#
# The command has namespaces of its own in which those directories are empty, or
# private copies. So nothing of it can stay on the machine, what the machine has
# there changes nothing for it, and what others do meanwhile is not taken for its
# doing. As root.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if [[ ${1-} != --inside ]]; then
	((EUID == 0)) || { echo 'host.sh makes namespaces: run it as root' >&2; exit 1; }
	net=--net
	[[ ${1-} != --online ]] || { net='' && shift; }
	cache=${XDG_CACHE_HOME:-$HOME/.cache} # below no directory that is hidden
	mkdir -p "$cache"
	scratch=$(mktemp -d "$cache/oci-secrets-host-XXXXXX")
	trap 'rm -rf "$scratch"' EXIT
	unset TMPDIR
	# shellcheck disable=SC2086 # there may be none
	unshare --mount --propagation private --pid --fork --kill-child --mount-proc --ipc $net \
		"$here/host.sh" --inside "$scratch" "$net" "$@"
	exit
fi
scratch=$2 net=$3
shift 3

# private makes the directories, and shows this repository where one hides it.
private() {
	local dir
	mkdir "$scratch/repository"
	mount --bind "$here/.." "$scratch/repository"
	# The machine's mounts there go when the machine likes.
	awk '$5 ~ "^(/dev/shm|/run|/tmp|/var/tmp)/" { print $5 }' /proc/self/mountinfo | while read -r dir; do
		umount --lazy "$dir" 2>/dev/null || true # it is gone
	done
	for dir in /etc /var/lib; do
		mkdir -p "$scratch/upper$dir" "$scratch/work$dir"
		mount -t overlay -o "lowerdir=$dir,upperdir=$scratch/upper$dir,workdir=$scratch/work$dir" overlay "$dir"
	done
	for dir in /tmp /var/tmp; do
		mkdir -p "$scratch$dir"
		chmod 1777 "$scratch$dir"
		mount --bind "$scratch$dir" "$dir"
	done
	mount -t tmpfs -o mode=755 tmpfs /run
	mount -t tmpfs -o mode=1777 tmpfs /dev/shm
	repository=$(dirname "$here")
	if [[ ! -d $repository/test ]]; then
		mkdir -p "$repository"
		mount --bind "$scratch/repository" "$repository"
	fi
	umount "$scratch/repository"
	cd "$repository"
}

# installed is what `make install` and `oci-secrets install` leave on a host, with
# settings that suit no test.
installed() {
	local dir engine
	for dir in /opt /usr/local; do
		mkdir -p "$scratch/upper$dir" "$scratch/work$dir"
		mount -t overlay -o "lowerdir=$dir,upperdir=$scratch/upper$dir,workdir=$scratch/work$dir" overlay "$dir"
	done
	make -s install
	mkdir -p /etc/oci-secrets/secrets /etc/docker /etc/containerd
	(umask 077 && printf '[db]\nDB_USER = "of the host"\n' >/etc/oci-secrets/secrets/db.toml)
	printf '[vault]\naddress = "https://vault.invalid:8200"\n[vault.auth]\nmethod = "token_file"\ntoken_file = "token"\n' \
		>/etc/oci-secrets/config.toml
	echo '{}' >/etc/docker/daemon.json
	echo 'version = 3' >/etc/containerd/config.toml
	for engine in podman docker containerd crio; do
		oci-secrets install "$engine" --root / >/dev/null
	done
}

# What changes by itself.
volatile='^(fs\.(dentry-state|file-nr|inode-nr|inode-state|quota\..*)|kernel\.(ns_last_pid|perf_event_max_sample_rate|pty\.nr|random\..*|cap_last_cap)|vm\.stat_refresh|net\..*(nf_conntrack_count|_key)) '

# state prints all that a command may not change. /run/mount and /run/systemd are what
# umount(8) and systemd-analyze(1) themselves note.
state() {
	sysctl --all 2>/dev/null | grep -Ev "$volatile" | sed 's/^/sysctl /'
	sed 's/^/mount /' /proc/self/mountinfo
	find /dev/shm /etc /run /tmp /var/lib /var/tmp -xdev '(' -path /run/mount -o -path /run/systemd ')' -prune -o \
		'(' -type f -printf 'file %p %m %U:%G %s %TY-%Tm-%Td %TT\n' -o -printf 'file %p %y %m %U:%G %l\n' ')'
}

# processes prints those of the command that are left after a moment, which what
# was killed needs.
processes() {
	local pid left
	for _ in {1..100}; do
		left=
		for pid in /proc/[0-9]*; do
			[[ $pid == /proc/1 || ! -e $pid/cmdline ]] || left+="process ${pid#/proc/} $(tr '\0' ' ' <"$pid/cmdline")"$'\n'
		done
		[[ $left ]] || return 0
		sleep 0.1
	done
	printf %s "$left"
}

if [[ $net ]]; then
	ip link set lo up
	export GOPROXY=off # what is missing is said at once
fi
private
if [[ $1 == --installed ]]; then
	shift
	installed
fi
state | sort >"$scratch/before"
code=0
"$@" || code=$?
processes >"$scratch/processes"
state | sort >"$scratch/after"
changes=$({ diff "$scratch/before" "$scratch/after" || true; } | sed -n '/^[<>]/p'; cat "$scratch/processes")
if [[ $changes ]]; then
	printf 'left behind or changed by %s:\n%s\n' "$*" "$changes" >&2
	((code)) || code=1
fi
exit "$code"
