// SPDX-License-Identifier: Apache-2.0

// Package limit is what the start of one container may cost at most. Whoever may
// start containers writes the annotations, and what they cost the host is not
// theirs to choose: whatever stands in them, a start is refused, early and in few
// words, before it takes more than this.
package limit

import "time"

// What annotations may hold.
const (
	Annotations = 256 << 10 // bytes of all values of ours together, and of all keys; what Kubernetes takes
	Names       = 1000      // items of one list
	Keys        = 1000      // keys that one list picks; and those of the dict
)

// What sources may answer, and what a process may get.
const (
	Answer    = 8 << 20  // bytes of one answer of a server
	Answers   = 16 << 20 // bytes of all answers to one start
	Variables = 6 << 20  // bytes of an environment, counted as [Variable] does: the most that execve takes (fs/exec.c, bprm_stack_limits)
)

// Variable is what an execve counts for a variable: NAME=value with its NUL, and
// the pointer to it.
func Variable(name, value string) int { return len(name) + len("=") + len(value) + len("\x00") + 8 }

// What is said.
const (
	ErrorText = 16 << 10 // bytes of one failure, hints included, and of its line in a log
	Output    = 1 << 20  // bytes of anything that is printed or logged
)

// Memory is what the Go runtime of a program that an engine waits for may have,
// in bytes, before it collects what is not needed any more at any price. What is
// between it and the 64 MiB that the tests allow are the pages of the binary.
const Memory = 40 << 20

// How long a start may take.
const (
	// Deadline is the longest that the settings may set: less, with [Overtime],
	// than the 150 seconds that docker and containerd were seen to wait.
	Deadline = 140 * time.Second
	// Overtime is what a start may take beyond its deadline, to give back what was
	// leased and to say why it failed. Then it is ended wherever it is.
	Overtime = 5 * time.Second
	// Hook is the timeout of a listed hook, after which a runtime kills it: for one
	// that cannot end itself.
	Hook = Deadline + 2*Overtime
)
