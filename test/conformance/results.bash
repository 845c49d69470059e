# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# To be sourced. What suites say, and what is made of it.

# results reads TAP and prints a line for each test: how it ended, a tab, and its
# name. A name that comes again carries a number.
results() {
	gawk '
		match($0, /^(not )?ok [0-9]+ *(- )?/) {
			name = substr($0, RLENGTH + 1)
			how = /^not/ ? "failed" : "passed"
			if (match(name, / *# ?[Ss][Kk][Ii][Pp].*/)) {
				how = "skipped"
				name = substr(name, 1, RSTART - 1)
			}
			if (++seen[name] > 1)
				name = name " (" seen[name] ")"
			print how "\t" name
		}'
}

# plain NAME prints the name as the suite knows it.
plain() { sed -E 's/ \([0-9]+\)$//' <<<"$1"; }

# passed reads results and prints the names of the tests that passed.
passed() { sed -n 's/^passed\t//p' | sort; }

# result NAME reads results and prints how one test ended.
result() { name=$1 gawk -F '\t' '$2 == ENVIRON["name"] {print $1}'; }

# summary reads results and prints their numbers.
summary() {
	gawk -F '\t' '{n[$1]++} END {printf "%d of %d tests pass, %d are skipped", n["passed"], NR, n["skipped"]}'
}

# diagnosis NAME reads TAP and prints what is said beside a test's result.
diagnosis() {
	name=$(plain "$1") gawk '
		/^(not )?ok / {
			if (on)
				exit
			if (on = index($0, ENVIRON["name"]))
				printf "%s", before
			before = ""
		}
		{ before = before $0 "\n" }
		on' | sed 's/^/    /'
}

# expected MODE SUITE NAME is whether there is a reason why a test cannot pass.
expected() {
	test="$1 $2: $3" gawk '
		{ n = index($0, " | "); line = substr($0, 1, n - 1) }
		n && (line == ENVIRON["test"] || sub(/\*$/, "", line) && index(ENVIRON["test"], line) == 1) { found = 1 }
		END { exit !found }' test/conformance/expected
}
