// SPDX-License-Identifier: Apache-2.0

package keeper

import (
	"cmp"
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/oci-secrets/oci-secrets/resolver/lease"
)

// held is one lease, as it is known here.
type held struct {
	lease.Record
	due     time.Duration // when something is to be done, as a time of memory.Now
	pause   time.Duration // after a failure
	busy    bool          // something is being done
	gone    bool          // the container is
	final   bool          // the lease is not renewed any more
	limited bool          // because its login ends
	warned  bool          // of its end
	stopped bool          // the container was told to stop
	ended   bool          // the lease has
	wrong   string        // the trouble with it
}

// headStart is what poststop gets to do its work in, before it is done here.
const headStart = 2 * time.Second

// look reads the records, unless it has just done so.
func (k *Keeper) look(now time.Duration) {
	if now < k.looked+poll/4 {
		return
	}
	k.looked = now
	records, err := lease.List(k.Dir)
	const text = "the records of leases cannot be read: "
	if err != nil {
		k.trouble(text + err.Error())
		return
	}
	for told := range k.troubles {
		if strings.HasPrefix(told, text) {
			k.over(told)
		}
	}
	there := map[string]bool{}
	for _, r := range records {
		if r.Broken != nil {
			k.trouble("the record " + r.Path + " cannot be read, and what it is of ends with its time: " + r.Broken.Error())
			continue
		}
		there[r.ID] = true
		if k.held[r.ID] == nil {
			k.hold(r)
		}
	}
	for id, h := range k.held {
		if !there[id] && !h.busy { // poststop was faster
			k.right(h)
			delete(k.held, id)
		}
	}
}

// hold takes a lease over.
func (k *Keeper) hold(r lease.Record) {
	h := &held{Record: r}
	k.held[r.ID] = h
	h.plan()
}

// plan says when a lease is to be renewed: after about half of its time, and not
// at the same time as others that were made at the same time. One that was cut
// short, or cannot be renewed at all, is not: it ends. That of a container that went
// meanwhile is to be revoked, at the time that it has.
func (h *held) plan() {
	if h.gone {
		return
	}
	h.pause = 0
	h.due = h.Issued + h.TTL/2 + rand.N(h.TTL/6+1)
	h.final = !h.Renewable || h.TTL < h.Asked || h.TTL == 0
}

// step begins what is due, and says after which time to look again.
func (k *Keeper) step(ctx context.Context, now time.Duration) (wake time.Duration) {
	live := map[string]bool{}
	next := now + poll
	for _, h := range k.inTurn() {
		if !h.gone && h.Gone() {
			h.gone, h.due, h.pause = true, now+headStart, 0
		}
		live[h.Session] = live[h.Session] || h.busy || !h.gone && !h.ended
		switch {
		case h.busy:
			continue
		case !h.gone && h.final:
			h.due = k.end(h, now)
		case h.due > now:
		case !k.free(now):
			next = min(next, max(k.again, now+poll/10))
			continue
		case h.gone:
			k.revoke(ctx, h)
		default:
			k.renew(ctx, h)
		}
		if !h.busy {
			next = min(next, h.due)
		}
	}
	k.stay(ctx, now, live)
	return max(next-now, poll/100)
}

// inTurn gives the leases in the order in which they are seen to: first those of
// paths that did not fail. A database that is down looks like a server that is, and
// must not have the leases of others wait behind its own.
func (k *Keeper) inTurn() []*held {
	return slices.SortedFunc(maps.Values(k.held), func(a, b *held) int {
		return cmp.Or(cmp.Compare(k.failures[a.Path], k.failures[b.Path]), cmp.Compare(a.pause, b.pause), cmp.Compare(a.due, b.due))
	})
}

// free reports whether one more may ask a server: while none answers, one does
// at a time, and not before the pause is over.
func (k *Keeper) free(now time.Duration) bool {
	if k.pause > 0 {
		return k.jobs == 0 && now >= k.again
	}
	return k.jobs < parallel
}
