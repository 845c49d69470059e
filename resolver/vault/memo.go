// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"sync"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// memo remembers answers by what was asked, for the time of one start, so that
// everything is asked once. Its zero value is empty.
type memo[K comparable, T any] struct {
	mu    sync.Mutex
	asked map[K]*noted[T]
}

// noted is one answer, set before done closes.
type noted[T any] struct {
	done  chan struct{}
	value T
	err   error
}

// get gives what ask gives for key, which is asked once: the first caller asks
// and the others wait. Only where the first one's context ended is it asked anew.
func (m *memo[K, T]) get(ctx context.Context, key K, ask func() (T, error)) (T, error) {
	for {
		m.mu.Lock()
		a := m.asked[key]
		if a == nil {
			a = &noted[T]{done: make(chan struct{})}
			if m.asked == nil {
				m.asked = map[K]*noted[T]{}
			}
			m.asked[key] = a
			m.mu.Unlock()
			a.value, a.err = ask()
			if a.err != nil && ctx.Err() != nil {
				m.mu.Lock()
				delete(m.asked, key)
				m.mu.Unlock()
			}
			close(a.done)
			return a.value, a.err
		}
		m.mu.Unlock()
		select {
		case <-a.done:
			m.mu.Lock()
			again := m.asked[key] != a && ctx.Err() == nil
			m.mu.Unlock()
			if !again {
				return a.value, a.err
			}
		case <-ctx.Done():
			var none T
			return none, fault.New(fault.Unreachable, "", "vault: gave up waiting for another read of the same")
		}
	}
}
