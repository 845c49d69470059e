#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs runc's own integration suite three times: with runc; with the shim in
# its place; and with the shim and an annotation that asks for a secret in every
# bundle. A test that passes with runc and does not with the shim is a
# regression, unless the file `expected` says why it must be so. What fails or is
# skipped with runc alone, on this machine, says nothing and does not count.
#
#   run.sh                 the suite, but for a few files that say little
#   run.sh all             all of it
#   run.sh FILE.bats...    the named files
#
# As root, after `make build`. Each run has namespaces of its own and leaves
# nothing behind but control groups, which are removed.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."

# Two runs at once would meet in the control groups: the second waits.
exec 9</sys/fs/cgroup
flock 9

runc=$(test/setup/runc.sh)
work=$(mktemp -d)
chmod 755 "$work" # containers in user namespaces have their bundles below it
suite=$work/tests/integration

# shellcheck disable=SC2317 # the trap calls it
clean() {
	local state c
	# Where a run was interrupted, its processes are gone, and the rest is not.
	for state in "$work"/*/bats-run-*/runc.*/{,alt/}state/*; do
		[[ ! -d $state ]] || "$runc" --root "${state%/*}" delete --force "${state##*/}" || true
	done
	for c in /sys/fs/cgroup/{,*/}runc-cgroups-integration-test; do
		[[ ! -d $c ]] || find "$c" -depth -type d -exec rmdir {} \;
	done
	rm -rf "$work"
}
trap clean EXIT

# run MODE NAME [ARGUMENT-OF-BATS...] runs the files, and leaves what bats says
# in NAME.tap and the tests that passed, as number and name, in NAME.passed. The
# environment is the same for all modes, but for what the mode is.
run() {
	local mode=$1 name=$2 program=$runc secrets=no
	shift 2
	[[ $mode == runc ]] || program=$work/oci-secrets-runtime
	[[ $mode != secrets ]] || secrets=yes
	rm -rf "${work:?}/$name"
	mkdir -m 755 "$work/$name"
	(cd "$suite" && timeout 30m env -i \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C TMPDIR="$work/$name" \
		RUNC="$program" SECRETS="$secrets" OCI_SECRETS_CONFIG="$work/settings/config.toml" \
		unshare --mount --net --pid --fork --kill-child "$here/inside.sh" "$work/$name.tap" "$@" "${files[@]}") 9<&-
	sed -nE '/ # skip/!s/^ok ([0-9]+ .*)/\1/p' "$work/$name.tap" | sort >"$work/$name.passed"
}

# again MODE TEST prints how a test ends when it is run three times more: passed,
# or failed; nothing where there is no such test.
again() {
	local filter
	filter=^$(printf %s "$2" | sed 's/[][\.*^$+?(){}|]/\\&/g')\$
	for _ in 1 2 3; do
		run "$1" again --filter "$filter"
		if grep -q '^not ok' "$work/again.tap"; then
			echo failed
			return
		fi
		[[ -s $work/again.passed ]] || return
	done
	echo passed
}

# expected TEST is whether there is a reason why it cannot pass.
expected() { cut -d '|' -f 1 "$here/expected" | grep -Fxq "$1 "; }

# diagnosis NAME NUMBER prints what bats says of a test that failed.
diagnosis() { awk -v n="$2" '/^ok / {on = 0} /^not ok / {on = $3 == n} on' "$work/$1.tap"; }

# compare MODE prints the tests that pass in the first run and not in that of the
# mode, and fails where one of them is a regression. What passes when it is run
# again is none; but not so if there are many.
compare() {
	local mode=$1 bad=0 lost test number name verdict
	mapfile -t lost < <(comm -23 "$work/runc.passed" "$work/$mode.passed" | sort -n)
	for test in "${lost[@]}"; do
		number=${test%% *} name=${test#* }
		if expected "$name"; then
			echo "$mode: $name: expected"
			continue
		elif ((${#lost[@]} < 20)) && [[ $(again "$mode" "$name") == passed ]]; then
			verdict='passes when run again'
		elif ((${#lost[@]} < 20)) && [[ $(again runc "$name") == failed ]]; then
			verdict='fails with runc, too'
		else
			verdict=REGRESSION bad=1
		fi
		echo "$mode: $name: $verdict"
		diagnosis "$mode" "$number"
	done
	return "$bad"
}

"$here/prepare.sh" "$work" "$runc"
# What is done to control groups and mounts has nothing to do with a shim, and
# takes long; what needs criu or SELinux is skipped nearly everywhere.
(($#)) || rm "$suite"/{cgroup*,checkpoint,mounts_sshfs,selinux,update}.bats
if [[ ${1-all} == all ]]; then
	files=("$suite"/*.bats)
else
	files=(secrets.bats "$@")
fi
failed=0
for mode in runc shim secrets; do
	begin=$SECONDS
	run "$mode" "$mode"
	printf '%s: %d of %d tests pass, %d are skipped, %d s\n' "$mode" "$(wc -l <"$work/$mode.passed")" \
		"$(grep -cE '^(not )?ok ' "$work/$mode.tap")" "$(grep -c '^ok .* # skip' "$work/$mode.tap")" $((SECONDS - begin))
	if [[ $mode != runc ]]; then
		compare "$mode" || failed=1
	elif ! grep -Fq 'the container has its secrets' "$work/runc.passed"; then
		cat "$work/runc.tap"
		echo 'with runc alone nothing works here' >&2
		exit 1
	fi
done
while read -r test; do
	name=${test#* }
	! expected "$name" || { echo "$name: is in the file expected, and passes" && failed=1; }
done < <(comm -12 "$work/shim.passed" "$work/secrets.passed")
exit "$failed"
