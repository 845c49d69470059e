#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The tests of the crun that is installed.
#
#   crun.sh prepare       makes them in the working directory
#   crun.sh run [TEST]    runs all, or one
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

prepare() {
	cp -r "$("$here/../../setup/source.sh" crun)/tests" .
	cp "$here/libmount.py" tests/
	echo '#define HAVE_SECCOMP 1' >tests/config.h # all that they use of it
	gcc -static -w -I tests -o tests/init tests/init.c -lseccomp
}

# one FILE runs the tests of a file, whose output containers may hold that are left.
one() {
	local name=${1##*/}
	name=${name%.py}
	timeout --foreground 120 /usr/bin/python3 "$1" >"$TMPDIR/$name.out" 2>&1 || echo "# $name: exit status $?"
	sed -E "s/^((not )?ok [0-9]+ )- /\1$name: /" "$TMPDIR/$name.out" >"$TMPDIR/$name.tap"
}

run() {
	local files=(tests/test_*.py)
	export OCI_RUNTIME=$RUNTIME INIT=$PWD/tests/init PYTHONDONTWRITEBYTECODE=1
	if (($#)); then
		files=("tests/${1%%:*}.py")
		export RUN_TESTS=${1#*: }
	fi
	export -f one
	printf '%s\0' "${files[@]}" | xargs -0 -P 4 -I '{}' bash -c 'one {}'
	cat "$TMPDIR"/*.tap
}

"$@"
