// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"sync"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// session is the one login of a Source, and what it learnt of the mount.
type session struct {
	mu   sync.Mutex
	open *opening // nil until the first Get, and after an attempt that was cut short
}

// opening is a login under way or done. Its fields are set before done closes.
type opening struct {
	done chan struct{}
	kv   int // version of the engine: 1 or 2
	err  error
}

// login logs in. The first caller does the work and the
// others wait for it. A refusal is final for the Source, or every one of a
// hundred names would try a bad secret id again; only an attempt that ended
// with its caller's own context is taken up anew.
func (s *Source) login(ctx context.Context) (*opening, error) {
	s.session.mu.Lock()
	o := s.session.open
	if o == nil {
		o = &opening{done: make(chan struct{})}
		s.session.open = o
		s.session.mu.Unlock()
		s.begin(ctx, o)
		if o.err != nil && ctx.Err() != nil {
			s.session.mu.Lock()
			s.session.open = nil
			s.session.mu.Unlock()
		}
		close(o.done)
		return o, o.err
	}
	s.session.mu.Unlock()
	select {
	case <-o.done:
		return o, o.err
	case <-ctx.Done():
		return nil, s.fault(fault.Unreachable, "", "gave up waiting for the login")
	}
}

func (s *Source) begin(ctx context.Context, o *opening) {
	defer resolver.RecordOf(ctx).Phase("login")()
	if o.err = s.servers.connect(s.config); o.err != nil {
		return
	}
	var g grant
	if g, o.err = s.logIn(ctx); o.err != nil {
		return
	}
	s.servers.setToken(g.token)
	o.kv, o.err = s.engine(ctx)
}
