// SPDX-License-Identifier: Apache-2.0

// Package keeper keeps leases as long as their containers run, and no longer:
// it is the service of a host that does, from the records of package lease, what
// no hook can. Hooks run at the begin and at the end of a container, and a lease
// has to be renewed in between; and a host that went down, a runtime that was
// killed or a server that did not answer leave leases behind that no hook will
// give back.
//
// One goroutine decides, by the records as they are and by what it was told, and
// never waits for a server; what waits is done by a few others. It looks at the
// records every second, which costs next to nothing where there are none.
//
// It does not protect against its own absence: without it a lease ends at its
// first TTL, or lives on to it after its container.
package keeper

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/resolver/lease"
	"github.com/oci-secrets/oci-secrets/resolver/memory"
)

// Keeper keeps the leases that are recorded in one state directory.
type Keeper struct {
	Dir  string
	Open lease.Opener
	Stop bool                             // containers whose leases cannot be renewed any more, instead of a warning
	Log  func(format string, args ...any) // a line for the operator

	held     map[string]*held    // by the lease's id
	sessions map[string]*session // by the records' name of them
	troubles map[string]bool     // that were told
	failures map[string]int      // without an answer in between, by the leases' path
	done     chan func()         // what jobs have come to, to be done by the one that decides
	jobs     int                 // under way
	looked   time.Duration       // when the records were read, as a time of memory.Now

	pause time.Duration // while no server answers; 0 where one does
	again time.Duration // when it is asked again
}

const (
	poll     = time.Second      // between two looks at the records
	parallel = 8                // jobs
	jobTime  = 5 * time.Second  // for one
	shortest = time.Second / 2  // pause after a failure, which doubles
	longest  = 15 * time.Second // to this
	refused  = 2 * time.Minute  // or to this, where it takes a person
)

// Run keeps leases until ctx is done. They stay as they are then.
func (k *Keeper) Run(ctx context.Context) error {
	k.begin()
	unlock, err := k.lock(ctx)
	if err != nil || unlock == nil {
		return err
	}
	defer unlock()
	for ctx.Err() == nil {
		now := memory.Now()
		k.look(now)
		wake := k.step(ctx, now)
		select {
		case f := <-k.done:
			k.jobs--
			f()
		case <-time.After(wake):
		case <-ctx.Done():
		}
	}
	for ; k.jobs > 0; k.jobs-- { // which end with ctx
		(<-k.done)()
	}
	return nil
}

// begin makes what the keeper knows, which is nothing yet.
func (k *Keeper) begin() {
	k.held, k.sessions, k.troubles, k.failures = map[string]*held{}, map[string]*session{}, map[string]bool{}, map[string]int{}
	k.done = make(chan func(), parallel)
}

// lock makes this the only keeper of the directory. There may be none yet: it is
// made by the first container's start, which mounts it where all can see it.
func (k *Keeper) lock(ctx context.Context) (unlock func(), err error) {
	for {
		dir, err := open(k.Dir)
		if err == nil {
			if err = unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
				return func() { _ = dir.Close() }, nil
			}
			_ = dir.Close() // nothing was written
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, fmt.Errorf("the leases in %s have a keeper already", k.Dir)
			}
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case <-time.After(poll):
		}
	}
}

func open(dir string) (*os.File, error) {
	root, err := memory.Open(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // only opened from
	return root.Open(".")
}

// trouble tells something that is wrong, once until it is over.
func (k *Keeper) trouble(text string) {
	if !k.troubles[text] {
		k.troubles[text] = true
		k.Log("%s", text)
	}
}

// over tells that a trouble is over.
func (k *Keeper) over(text string) {
	if k.troubles[text] {
		delete(k.troubles, text)
		k.Log("over: %s", text)
	}
}
