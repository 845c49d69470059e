# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# To be sourced. What suites say, what is made of it, and how they are asked again.

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

# literal TEXT prints the regular expression that matches the text alone.
literal() { printf %s "$1" | sed 's/[][\.*^$+?(){}|]/\\&/g'; }

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

# expected MODE SUITE reads names and prints those of the tests that cannot pass,
# for a reason.
expected() {
	suite="$1 $2: " gawk '
		FILENAME != "-" {
			line = substr($0, 1, index($0, " | ") - 1)
			if (index(line, ENVIRON["suite"]) != 1)
				next
			name = substr(line, length(ENVIRON["suite"]) + 1)
			if (sub(/\*$/, "", name))
				beginnings[name]
			else
				names[name]
			next
		}
		$0 in names { print; next }
		{ for (b in beginnings) if (index($0, b) == 1) { print; next } }' test/conformance/expected -
}
