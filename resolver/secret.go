// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"fmt"
	"io"
	"time"
)

// redacted is what every way of printing a [Value] gives.
const redacted = "[secret]"

// Value is the value of one variable. It cannot be printed, formatted or
// marshalled: every such way yields "[secret]". Only [Value.Reveal] gives it.
//
// Package fmt calls no method of a value in an unexported field, nor one whose
// verb is wrong (%p, or %w where no error can be), and prints what is inside;
// so what is inside is an address.
type Value struct{ s *string }

// NewValue makes s unprintable.
func NewValue(s string) Value { return Value{&s} }

// Reveal gives the value itself, for the one place that delivers it.
func (v Value) Reveal() string {
	if v.s == nil {
		return ""
	}
	return *v.s
}

// String, GoString and Format never give the value, whatever the verb.
func (Value) String() string { return redacted }

// GoString is what %#v prints.
func (Value) GoString() string { return redacted }

// Format serves every other verb: %x of a string type would print the value.
func (Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText serves encoders, encoding/json among them.
func (Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Entry is one key of a secret.
type Entry struct {
	Key   string // as the source has it; not always a valid variable name
	Value Value
}

// Secret is a named dictionary, as one source answered it.
type Secret struct {
	Source  string        // the name of the source that answered
	Version int           // 0 where the source has no versions
	Lease   string        // the id of the lease that its values end with; "" for none
	Age     time.Duration // of an answer that was kept while the source is not there; 0 for a new one
	Entries []Entry       // keys are distinct; the order is the source's, or by key where it has none
}
