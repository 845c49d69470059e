// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"context"
	"errors"
	"time"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// grace is how long past the end of its context something that observes it may
// take to say what it saw last, which is more than anybody else knows.
const grace = 250 * time.Millisecond

// Await gives what f gives. If ctx ends and f does not, because a file is on a
// server that does not answer and no read of a file observes a context, it
// gives a [fault.Unreachable] that names what was waited for, and leaves f
// behind: a hook's process ends soon after.
func Await[T any](ctx context.Context, what string, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	late := func() (T, error) {
		var none T
		if errors.Is(ctx.Err(), context.Canceled) {
			return none, fault.New(fault.Unreachable, "", "%s: given up before there was an answer", what)
		}
		return none, fault.New(fault.Unreachable, "", "%s: no answer before the deadline", what)
	}
	if ctx.Err() != nil {
		return late()
	}
	done := make(chan result, 1)
	go func() {
		value, err := f()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
	}
	select {
	case r := <-done:
		return r.value, r.err
	case <-time.After(grace):
		return late()
	}
}

// ask is source.Get within ctx.
func ask(ctx context.Context, source Source, name string, version int) (*Secret, error) {
	return Await(ctx, source.Name(), func() (*Secret, error) { return source.Get(ctx, name, version) })
}
