// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"sync"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// step is something that one goroutine does and the others wait for. Its fields
// are set before done closes.
type step[T any] struct {
	done  chan struct{}
	value T
	err   error
	cut   bool // it ended with its caller's context, and says nothing
}

// slot is where a step is kept, under mu.
type slot[T any] struct {
	mu  *sync.Mutex
	get func() *step[T] // nil for none
	put func(*step[T])
}

// once does what a slot's step is for, or waits for who does. A refusal is final,
// or every one of a hundred names would try a bad secret id again; only an
// attempt that ended with its caller's own context is taken up anew.
func once[T any](ctx context.Context, at slot[T], waiting string, do func() (T, error)) (*step[T], error) {
	for {
		at.mu.Lock()
		st := at.get()
		if st == nil {
			st = &step[T]{done: make(chan struct{})}
			at.put(st)
			at.mu.Unlock()
			st.value, st.err = do()
			if st.err != nil && ctx.Err() != nil {
				st.cut = true
				at.mu.Lock()
				if at.get() == st {
					at.put(nil)
				}
				at.mu.Unlock()
			}
			close(st.done)
			return st, st.err
		}
		at.mu.Unlock()
		select {
		case <-st.done:
			if !st.cut || ctx.Err() != nil {
				return st, st.err
			}
		case <-ctx.Done():
			return nil, fault.New(fault.Unreachable, "", "vault: gave up waiting for %s", waiting)
		}
	}
}

// memo remembers answers by what was asked, for the time of one start, so that
// everything is asked once. Its zero value is empty.
type memo[K comparable, T any] struct {
	mu    sync.Mutex
	asked map[K]*step[T]
}

// get gives what ask gives for key.
func (m *memo[K, T]) get(ctx context.Context, key K, ask func() (T, error)) (value T, err error) {
	st, err := once(ctx, slot[T]{
		mu:  &m.mu,
		get: func() *step[T] { return m.asked[key] },
		put: func(st *step[T]) {
			if m.asked == nil {
				m.asked = map[K]*step[T]{}
			}
			m.asked[key] = st
		},
	}, "another read of the same", ask)
	if st != nil {
		value = st.value
	}
	return value, err
}
