// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"time"
)

// headStart is how long one address of a name is waited for before the next one
// is tried as well.
const headStart = 250 * time.Millisecond

// dialer connects to a name that may have several addresses, one for each server
// of a cluster. Go's own tries them one after another and leaves each at least
// two seconds, which is a start's whole time where a machine that is off, and
// refuses nothing, comes first.
//
// It begins with the first address, until another one is to be tried: one name
// stands for several servers, of which one may take connections and be sealed.
type dialer struct {
	turn   atomic.Uint32 // which address is the first
	many   atomic.Bool   // there are several
	local  bool          // only addresses of this machine will do: what is sent is not encrypted
	lookup func(ctx context.Context, host string) ([]string, error)
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
}

func newDialer() *dialer {
	d := net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	return &dialer{lookup: net.DefaultResolver.LookupHost, dial: d.DialContext}
}

// errElsewhere is a name that is this machine's by its look alone.
var errElsewhere = errors.New("localhost is another machine here")

// another makes the next connection begin with another address.
func (d *dialer) another() { d.turn.Add(1) }

// connect gives the connection that is there first.
func (d *dialer) connect(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	hosts, err := d.lookup(ctx, host)
	if d.local {
		if err != nil {
			return nil, err
		}
		if len(hosts) == 0 || slices.ContainsFunc(hosts, func(h string) bool { return !loopback(h) }) {
			return nil, errElsewhere
		}
	}
	if err != nil || len(hosts) == 0 {
		return d.dial(ctx, network, address) // which says so in its way
	}
	d.many.Store(len(hosts) > 1)
	turn := int(d.turn.Load()) % len(hosts)
	hosts = slices.Concat(hosts[turn:], hosts[:turn])
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result)
	var errs []error
	for begun := 0; len(errs) < len(hosts); {
		if begun < len(hosts) {
			to := net.JoinHostPort(hosts[begun], port)
			begun++
			go func() {
				conn, err := d.dial(ctx, network, to)
				select {
				case results <- result{conn, err}:
				case <-ctx.Done():
					if err == nil {
						_ = conn.Close() // another one was first
					}
				}
			}()
		}
		var next <-chan time.Time
		if begun < len(hosts) {
			next = time.After(headStart)
		}
		select {
		case r := <-results:
			if r.err == nil {
				return r.conn, nil
			}
			errs = append(errs, r.err)
		case <-next:
		case <-ctx.Done():
			return nil, errors.Join(append(errs, ctx.Err())...)
		}
	}
	return nil, errors.Join(errs...)
}
