// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"strings"
	"testing"
)

// Value is the last value of a variable in an environment, and how often it is
// set.
func Value(env []string, name string) (v string, times int) {
	for _, e := range env {
		if rest, ok := strings.CutPrefix(e, name+"="); ok {
			v, times = rest, times+1
		}
	}
	return v, times
}

// WantVar checks that a variable is set once, to want.
func WantVar(tb testing.TB, env []string, name, want string) {
	tb.Helper()
	if v, times := Value(env, name); v != want || times != 1 {
		tb.Errorf("%s is %q, set %d times; want %q once in %q", name, v, times, want, env)
	}
}

// WantNone checks that variables are not set.
func WantNone(tb testing.TB, env []string, names ...string) {
	tb.Helper()
	for _, name := range names {
		if v, times := Value(env, name); times != 0 {
			tb.Errorf("%s is set to %q in %q", name, v, env)
		}
	}
}
