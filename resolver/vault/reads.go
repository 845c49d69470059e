// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"sync"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// reads are the secrets that were read, or are being read. A container may name
// one in several ways, and gets one answer.
type reads struct {
	mu sync.Mutex
	of map[place]*reading
}

// place is where a secret is read. After a new login it is another place.
type place struct {
	login   *opening
	path    string
	version int
}

// reading is a read under way or done. Its fields are set before done closes.
type reading struct {
	done   chan struct{}
	secret *resolver.Secret
	err    error
}

// once gives what read gives, which is called once for each place. An error is
// an answer, too; only a read that ended with its caller's own context is done
// anew for the next one.
func (r *reads) once(ctx context.Context, p place, read func() (*resolver.Secret, error)) (*resolver.Secret, error) {
	for {
		r.mu.Lock()
		got := r.of[p]
		if got == nil {
			got = &reading{done: make(chan struct{})}
			if r.of == nil {
				r.of = map[place]*reading{}
			}
			r.of[p] = got
			r.mu.Unlock()
			got.secret, got.err = read()
			if got.err != nil && ctx.Err() != nil {
				r.mu.Lock()
				delete(r.of, p)
				r.mu.Unlock()
			}
			close(got.done)
			return got.secret, got.err
		}
		r.mu.Unlock()
		select {
		case <-got.done:
		case <-ctx.Done():
			return nil, fault.New(fault.Unreachable, "", "vault: read %s: gave up waiting for another read of it", p.path)
		}
		r.mu.Lock()
		kept := r.of[p] == got
		r.mu.Unlock()
		if kept {
			return got.secret, got.err
		}
	}
}
