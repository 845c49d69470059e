// SPDX-License-Identifier: Apache-2.0

// Package fault is the vocabulary of failure: every error that reaches a user
// belongs to one [Class], and the class is the exit code. The codes are part
// of the contract, because podman shows nothing else of a filter's failure.
//
// The text of a fault says what was asked, where it was looked for and why it
// failed. It never holds a secret value.
package fault

import (
	"errors"
	"fmt"
	"strings"
)

// Class says what kind of thing went wrong. Its number is the exit code.
//
// A Class is itself an error, so that errors.Is(err, fault.Missing) asks for
// the class of any error in a tree.
type Class int

// The classes, as the README's table documents them.
const (
	Usage       Class = 2  // the command line is wrong
	Annotation  Class = 10 // an annotation, or a variable it leads to, is not acceptable
	Missing     Class = 11 // a secret or key is in none of the places it was looked for
	Refused     Class = 12 // a source answered and said no: token, policy, file mode, broken file
	Unreachable Class = 13 // a source did not answer, or not before the deadline
	Document    Class = 14 // config.json or the state cannot be read as what it must be
	Settings    Class = 15 // the operator's settings are broken or lack what is needed
	Delivery    Class = 16 // the variables cannot be delivered in this place
)

// Error names the class in words.
func (c Class) Error() string {
	switch c {
	case Usage:
		return "usage"
	case Annotation:
		return "bad annotation"
	case Missing:
		return "not found"
	case Refused:
		return "refused by the source"
	case Unreachable:
		return "source unreachable"
	case Document:
		return "unreadable document"
	case Settings:
		return "broken settings"
	case Delivery:
		return "cannot deliver"
	}
	return fmt.Sprintf("fault class %d", int(c))
}

// Error is one failure: its class, its text, and what the user can do.
type Error struct {
	Class  Class
	Reason Reason // more exactly than Class, where that is known
	Hint   string // one sentence; empty where there is nothing useful to say
	Err    error  // the text, and the cause where there is one
}

// Reason says within a [Class] what went wrong, in the words of logs and
// counters.
type Reason string

// The reasons that a source may have.
const (
	Sealed    Reason = "sealed"
	Standby   Reason = "standby"   // no active server
	Throttled Reason = "throttled" // asked too often
	Malformed Reason = "malformed" // an answer that is none
	Denied    Reason = "denied"    // by policy, or for want of a valid login
)

// New makes an [Error]; format and args are those of [fmt.Errorf], so %w keeps
// the cause.
func New(class Class, hint, format string, args ...any) *Error {
	return &Error{Class: class, Hint: hint, Err: fmt.Errorf(format, args...)}
}

// Because sets the reason, and gives e.
func (e *Error) Because(r Reason) *Error {
	e.Reason = r
	return e
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the cause, then the class.
func (e *Error) Unwrap() []error { return []error{e.Err, e.Class} }

// ClassOf is the class that decides the exit code of err. Where several things
// failed at once the root cause counts: an outage before a refusal before a
// miss. An error without a class gives ok == false.
func ClassOf(err error) (c Class, ok bool) {
	for _, c := range []Class{Usage, Settings, Annotation, Document, Delivery, Unreachable, Refused, Missing} {
		if errors.Is(err, c) {
			return c, true
		}
	}
	return 0, false
}

// Outcome is how a start that ended with err is counted: "ok" for nil, the
// reason or else the class that decides, "other" where there is none.
func Outcome(err error) string {
	if err == nil {
		return "ok"
	}
	c, ok := ClassOf(err)
	if !ok {
		return "other"
	}
	outcome := strings.ReplaceAll(c.Error(), " ", "-")
	walk(err, func(e *Error) {
		if e.Class == c && e.Reason != "" {
			outcome = string(e.Reason)
		}
	})
	return outcome
}

// Hints are the distinct hints in err's tree, in the order they are met.
func Hints(err error) []string {
	var hints []string
	seen := map[string]bool{}
	walk(err, func(e *Error) {
		if e.Hint != "" && !seen[e.Hint] {
			seen[e.Hint] = true
			hints = append(hints, e.Hint)
		}
	})
	return hints
}

// walk shows every [Error] in err's tree to f, from the outside in.
func walk(err error, f func(*Error)) {
	if e, ok := err.(*Error); ok { //nolint:errorlint // every node is visited
		f(e)
	}
	switch u := err.(type) { //nolint:errorlint // every node is visited
	case interface{ Unwrap() error }:
		if next := u.Unwrap(); next != nil {
			walk(next, f)
		}
	case interface{ Unwrap() []error }:
		for _, next := range u.Unwrap() {
			walk(next, f)
		}
	}
}
