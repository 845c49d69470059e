#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the suites of others three times: with the bare runtime; with the shim in
# its place; and with the shim and an annotation that asks for a secret in every
# container. A test that passes with the bare runtime and not with the shim is a
# regression, unless the file `expected` says why it must be so. What fails or is
# skipped with the bare runtime, on this machine, says nothing and does not count.
#
#   run.sh                            all suites, but for tests that say little
#   run.sh all                        all of all suites
#   run.sh [all] SUITE/RUNTIME...     the suites that are named; see below
#
# As root, after `make build`. Each run has namespaces of its own and leaves
# nothing behind.
#
# A suite is a program in suites/. It is called in a directory of its own, first
# to `prepare` itself there, and then to `run` all tests, or one that is named, in
# the namespaces of a run, and to write their results in the form of TAP. In its
# environment are
#   PART      "all", or "chosen" where it may leave out what says little
#   RUNTIME   in a run, what stands for the runtime
#   MODE      in a run, "bare", "shim" or "secrets"
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."
. test/conformance/results.bash

suites=(runc/runc runtime-tools/debian-runc runtime-tools/crun crun/crun critest/runc podman/crun)
PART=chosen
if [[ ${1-} == all ]]; then
	PART=all
	shift
fi
(($# == 0)) || suites=("$@")
export PART

# Two runs at once would meet in the control groups: the second waits.
exec 9</sys/fs/cgroup
flock 9

groups=oci-secrets-conformance # the control groups that hold all others of a run
if [[ $(stat -f -c %T /sys/fs/cgroup) == tmpfs ]]; then
	mapfile -t hierarchies < <(find /sys/fs/cgroup -mindepth 1 -maxdepth 1 -type d)
else
	hierarchies=(/sys/fs/cgroup)
fi

umask 022
work=$(mktemp -d)
chmod 755 "$work" # containers in user namespaces have their bundles below it
trap 'ungroup; rm -rf "$work"' EXIT

# group moves this process into its control groups.
group() {
	local h file
	for h in "${hierarchies[@]}"; do
		mkdir "$h/$groups"
		for file in "$h"/cpuset.{cpus,mems}; do
			[[ ! -f $file ]] || cat "$file" >"$h/$groups/${file##*/}"
		done
		echo "$BASHPID" >"$h/$groups/cgroup.procs"
	done
	# In version 2, what has processes cannot have groups that are limited.
	[[ ${#hierarchies[@]} -gt 1 ]] || mkdir "$h/$groups/init"
}

# ungroup removes them, as soon as the processes of a run that was interrupted are gone.
ungroup() {
	local h
	for h in "${hierarchies[@]}"; do
		for _ in {1..50}; do
			[[ -d $h/$groups ]] || break
			find "$h/$groups" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
		done
	done
}

# run MODE NAME [TEST] runs the suite, or one test, and leaves what it says in
# NAME.tap, the results in NAME.results, and deliveries in NAME.log.
run() {
	local mode=$1 out=$work/$id/$2
	shift 2
	rm -rf "$out"
	mkdir "$out"
	printf '[runtime]\npath = "%s"\n[dict]\npath = "secrets.json"\n[log]\nfile = "%s.log"\n' \
		"$work/$runtime/bare/$runtime" "$out" >"$work/settings/config.toml"
	(umask 077 && : >"$out.log")
	(
		group
		cd "$work/$id"
		# shellcheck disable=SC2016 # it is for the shell that is called
		exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C TMPDIR="$out" \
			PART="$PART" RUNTIME="$work/$runtime/$mode/$runtime" MODE="$mode" \
			unshare --cgroup sh -c '[ ! -d "$0" ] || echo $$ >"$0/cgroup.procs"; exec "$@"' "/sys/fs/cgroup/$groups/init" \
			unshare --mount --net --ipc --pid --fork --kill-child "$here/world.sh" "$work/settings" "$groups" "$out.tap" "$here/suites/$suite.sh" run "$@"
	) 9<&-
	ungroup
	results <"$out.tap" >"$out.results"
}

# unit TEST prints what the suite runs for a test: of runtime-tools it is a program with many.
unit() {
	if [[ $suite == runtime-tools ]]; then echo "${1%%:*}"; else plain "$1"; fi
}

# again MODE TEST prints how a test ends when its unit is run three times more: passed,
# or failed, or each way that was seen; nothing where there is no such test.
again() {
	local name seen
	name=$(unit "$2")
	seen=$work/$id/$1.again.$(sha256sum <<<"$name" | cut -c 1-16)
	if [[ ! -e $seen ]]; then
		for _ in 1 2 3; do
			run "$1" again "$name"
			cat "$work/$id/again.results"
		done >"$seen"
	fi
	result "$2" <"$seen" | sort -u | paste -s -d ' '
}

# compare MODE prints the tests that pass with the bare runtime and not in that
# mode, and fails where one of them is a regression. What passes when it is run
# again is none; but not so if there are many.
compare() {
	local mode=$1 bad=0 lost=$work/$id/$1.lost few regressions test verdict
	comm -23 <(passed <"$work/$id/bare.results") <(passed <"$work/$id/$mode.results") >"$lost"
	expected "$mode" "$id" <"$lost" >"$lost.expected"
	sed "s#^#$id: $mode: expected: #" "$lost.expected"
	mapfile -t regressions < <(comm -23 "$lost" "$lost.expected")
	few=$(($(for test in "${regressions[@]}"; do unit "$test"; done | sort -u | wc -l) < 20))
	for test in "${regressions[@]}"; do
		if ((few)) && [[ $(again "$mode" "$test") == passed ]]; then
			verdict='passes when run again'
		elif ((few)) && [[ $(again bare "$test") == *failed* ]]; then
			verdict='fails with the bare runtime, too'
		else
			verdict=REGRESSION bad=1
		fi
		echo "$id: $mode: $test: $verdict"
		diagnosis "$test" <"$work/$id/$mode.tap"
	done
	while read -r test; do
		echo "$id: $mode: $test: is in the file expected, and passes"
		bad=1
	done < <(passed <"$work/$id/$mode.results" | expected "$mode" "$id")
	return "$bad"
}

(umask 077 && mkdir "$work/settings" && echo '{"conformance": {"CONFORMANCE": "a secret"}}' >"$work/settings/secrets.json")
declare -A runtimes=([runc]=$(test/setup/runc.sh) [debian-runc]=/usr/sbin/runc [crun]=/usr/bin/crun)
for runtime in "${!runtimes[@]}"; do
	mkdir -p "$work/$runtime"/{bare,shim,secrets}
	# The one that is called has the real one's name, which some programs print.
	ln -s "${runtimes[$runtime]}" "$work/$runtime/bare/$runtime"
	ln -s "$PWD/bin/oci-secrets" "$work/$runtime/oci-secrets-runtime"
	printf '#!/bin/sh\nexec %q "$@"\n' "$work/$runtime/oci-secrets-runtime" >"$work/$runtime/shim/$runtime"
	printf '#!/bin/sh\nexec %q %q "$@"\n' "$here/asking.sh" "$work/$runtime/oci-secrets-runtime" >"$work/$runtime/secrets/$runtime"
	chmod +x "$work/$runtime"/{shim,secrets}/"$runtime"
done

ungroup # a run that was killed left some
failed=0
for id in "${suites[@]}"; do
	suite=${id%/*} runtime=${id#*/}
	mkdir -p "$work/$id"
	(cd "$work/$id" && "$here/suites/$suite.sh" prepare)
	for mode in bare shim secrets; do
		begin=$SECONDS
		run "$mode" "$mode"
		started=$(grep -c '"outcome":"ok"' "$work/$id/$mode.log" || true)
		printf '%s: %s: %s, %d starts with a secret, %d s\n' \
			"$id" "$mode" "$(summary <"$work/$id/$mode.results")" "$started" $((SECONDS - begin))
		# A run must be what it is said to be.
		if ! grep -q ^passed "$work/$id/$mode.results" || [[ $mode == secrets && $started == 0 || $mode != secrets && $started != 0 ]]; then
			cat "$work/$id/$mode.tap"
			echo "$id: $mode: nothing passes, or not the containers that should have a secret have one" >&2
			exit 1
		fi
		[[ $mode == bare ]] || compare "$mode" || failed=1
	done
done
exit "$failed"
