// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/oci-secrets/oci-secrets/resolver/lease"
	"github.com/oci-secrets/oci-secrets/resolver/memory"
)

const (
	// sweepEvery bounds what a host with many files spends on them.
	sweepEvery = time.Minute

	// workloadLasts is how long the token of a workload serves further starts. The
	// kubelet has renewed what it was got with before, and the pods of a month
	// would fill the memory of a host.
	workloadLasts = time.Hour

	// underWay is more than a start takes, which may be about to lease something
	// with a token that it has just found.
	underWay = 5 * time.Minute
)

const sweptName = "swept"

// sweptRecord says when there was a sweep.
type sweptRecord struct{ At time.Duration } // since boot

func (r *sweptRecord) valid() bool { return r.At != 0 }

// tidy sweeps, if nobody did a moment ago.
func (h *host) tidy(ctx context.Context) {
	var last sweptRecord
	if h.load(ctx, sweptName, &last) && memory.Now()-last.At < sweepEvery {
		return
	}
	_ = h.store(sweptName, sweptRecord{memory.Now()}) // or the next one sweeps, too
	h.sweep(ctx)
}

// sweep removes what has run out, and what nobody will ask for again.
func (h *host) sweep(ctx context.Context) {
	needed := sync.OnceValue(h.needed)
	for _, name := range h.names() {
		switch {
		case strings.HasSuffix(name, refusedSuffix):
			var r refusal
			if h.load(ctx, name, &r) && !r.holds() {
				h.remove(name)
			}
		case isTokenFile(name):
			h.sweepToken(ctx, name, needed)
		case strings.HasSuffix(name, secretIDSuffix+lockSuffix): // few, and of use until the host is down
		case strings.HasSuffix(name, lockSuffix):
			h.sweepLock(strings.TrimSuffix(name, lockSuffix))
		case memory.Abandoned(name):
			h.remove(name)
		}
	}
}

// sweepToken removes a token that is over. Somebody may be putting another one in
// its place, so it is looked at again with the lock.
func (h *host) sweepToken(ctx context.Context, name string, needed func() func(session string) bool) {
	key, _, _ := strings.Cut(name, ".")
	over := func() bool {
		k, at := h.token(ctx, name)
		return k != nil && k.over(at) && (k.ended() || !needed()(key+"."+k.id()))
	}
	if !over() {
		return
	}
	unlock := h.tryLock(key)
	if unlock == nil {
		return
	}
	defer unlock()
	if over() {
		h.remove(name)
	}
	if _, err := h.root.Lstat(file(key)); err != nil {
		h.remove(key + lockSuffix) // who waits for it finds that out
	}
}

// sweepLock removes the lock of something that is not there. Who waits for it
// finds that out.
func (h *host) sweepLock(name string) {
	if _, err := h.root.Lstat(file(name)); err == nil {
		return
	}
	if unlock := h.tryLock(name); unlock != nil {
		h.remove(name + lockSuffix)
		unlock()
	}
}

// needed tells which sessions have leases, which end with their tokens.
func (h *host) needed() func(session string) bool {
	records, err := lease.List(h.root.Name())
	sessions := map[string]bool{}
	for _, r := range records {
		if r.Broken != nil {
			err = r.Broken
		}
		sessions[r.Session] = true
	}
	return func(session string) bool { return err != nil || sessions[session] }
}

// ended reports whether the token's own time is over.
func (k *kept) ended() bool { return k.ttl > 0 && k.left() <= 0 }

// over reports whether the token serves no further start.
func (k *kept) over(at tokenHome) bool {
	return k.ended() ||
		k.replaced != 0 && memory.Now()-k.replaced > underWay ||
		at.Workload && memory.Now()-k.obtained > workloadLasts+underWay
}
