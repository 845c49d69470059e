// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"errors"
	"time"
)

// Server is who leases. Asking again is safe.
type Server interface {
	// Renew extends a lease by what is asked for, from now on, and gives what it
	// was extended by. An error that is ErrLost says that there is no such lease
	// any more, or that it cannot be extended at all.
	Renew(ctx context.Context, id string, asked time.Duration) (ttl time.Duration, renewable bool, err error)

	// Revoke ends a lease. One that has ended is no error.
	Revoke(ctx context.Context, id string) error

	// Stay keeps what the leases of this server end with, a login, from ending, and
	// gives the time of memory.Now at which it ends all the same; 0 for none. It asks the
	// server only where there is something to do.
	Stay(ctx context.Context) (ends time.Duration, err error)
}

// Opener makes the server for leases with a record's session.
type Opener func(session string) (Server, error)

// ErrLost is the error of a lease that cannot be renewed.
var ErrLost = errors.New("the lease has ended or cannot be renewed")

// parallel bounds the leases that are given back at once.
const parallel = 8

// GiveBack revokes leases and removes their records. What cannot be revoked
// stays recorded, and is in the error.
func GiveBack(ctx context.Context, dir string, records []Record, open Opener) error {
	servers := map[string]Server{}
	errs := make([]error, len(records))
	slots := make(chan struct{}, parallel)
	for i, r := range records {
		server, ok := servers[r.Session]
		if !ok && r.Broken == nil {
			var err error
			if server, err = open(r.Session); err != nil {
				errs[i] = err
				continue
			}
			servers[r.Session] = server
		}
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			errs[i] = giveBack(ctx, dir, r, server)
		}()
	}
	for range cap(slots) { // all have ended
		slots <- struct{}{}
	}
	return errors.Join(errs...)
}

func giveBack(ctx context.Context, dir string, r Record, server Server) error {
	if r.Broken != nil {
		return r.Broken
	}
	if err := server.Revoke(ctx, r.ID); err != nil {
		return err
	}
	return Remove(dir, r)
}
