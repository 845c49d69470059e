// SPDX-License-Identifier: Apache-2.0

package keeper

import (
	"context"
	"errors"
	"time"

	"github.com/oci-secrets/oci-secrets/resolver/lease"
	"github.com/oci-secrets/oci-secrets/resolver/memory"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// session is the login that leases were made with, and end with.
type session struct {
	server lease.Server
	opened time.Duration
	next   time.Duration // when to see to the login
	ends   time.Duration // when the login does, whatever is done; 0 for never
	busy   bool
}

// fresh is how long a login that is not kept is used: its file may have another
// one by then.
const fresh = 30 * time.Second

// server gives the server of a session.
func (k *Keeper) server(name string) (lease.Server, error) {
	s := k.sessions[name]
	if s != nil && s.server != nil && (name != "" || memory.Now()-s.opened < fresh) {
		return s.server, nil
	}
	server, err := k.Open(name)
	if err != nil {
		return nil, err
	}
	if s == nil {
		s = &session{}
		k.sessions[name] = s
	}
	s.server, s.opened = server, memory.Now()
	return server, nil
}

// job asks a server on the side. What comes of it is settled by the one that
// decides. That it went well says that there is a server only where asks says so.
func (k *Keeper) job(ctx context.Context, name string, asks bool, ask func(context.Context, lease.Server) error, settle func(error)) {
	server, err := k.server(name)
	k.jobs++
	go func() {
		if err == nil {
			ctx, cancel := context.WithTimeout(ctx, jobTime)
			defer cancel()
			err = ask(ctx, server)
		}
		k.done <- func() {
			if ctx.Err() != nil {
				return // it says nothing of the server
			}
			if err != nil || asks {
				k.answered(err)
			}
			if s := k.sessions[name]; err != nil && s != nil && s.server == server {
				s.server = nil // certificates, say, may be others by then
			}
			settle(err)
		}
	}()
}

// answered keeps track of whether there is a server.
func (k *Keeper) answered(err error) {
	const text = "Vault does not answer; leases are renewed and revoked when it does: "
	if err != nil && errors.Is(err, fault.Unreachable) {
		switch {
		case k.pause == 0:
			k.Log("%s%v", text, err)
		case memory.Now() < k.again:
			return // it was asked at the same time as others that failed
		}
		k.pause = min(max(2*k.pause, shortest), longest)
		k.again = memory.Now() + k.pause
		return
	}
	if k.pause > 0 {
		k.pause = 0
		k.Log("Vault answers again")
	}
}

// renew extends a lease.
func (k *Keeper) renew(ctx context.Context, h *held) {
	h.busy = true
	issued := memory.Now() // before it is, rather than after
	var ttl time.Duration
	var renewable bool
	k.job(ctx, h.Session, true, func(ctx context.Context, s lease.Server) (err error) {
		ttl, renewable, err = s.Renew(ctx, h.ID, h.Asked)
		return err
	}, func(err error) {
		h.busy = false
		switch {
		case errors.Is(err, lease.ErrLost):
			delete(k.troubles, k.unwrong(h)) // it is not over, and will be told of again
			h.final, h.TTL = true, min(h.TTL, max(memory.Now()-h.Issued, 0))
		case err != nil:
			k.failed(h, "renewed", err)
		default:
			k.right(h)
			h.Issued, h.TTL, h.Renewable = issued, ttl, renewable
			h.plan()
			h.warned, h.ended = false, false
			k.update(h)
			if s := k.sessions[h.Session]; s != nil {
				k.limit(h, s.ends)
			}
		}
	})
}

func (k *Keeper) update(h *held) {
	if err := lease.Update(k.Dir, h.Record); err != nil {
		k.trouble("the records of leases cannot be written: " + err.Error())
	}
}

// limit has a lease end with its login, whatever was said of the lease.
func (k *Keeper) limit(h *held, ends time.Duration) {
	if ends == 0 || h.Expires() <= ends || h.stopped { // which gave it a time of its own
		return
	}
	h.TTL, h.final, h.limited = max(ends-h.Issued, 0), true, true
	k.update(h)
}

// revoke ends a lease whose container is gone, and forgets it.
func (k *Keeper) revoke(ctx context.Context, h *held) {
	h.busy = true
	k.job(ctx, h.Session, true, func(ctx context.Context, s lease.Server) error { return s.Revoke(ctx, h.ID) }, func(err error) {
		h.busy = false
		if err != nil && memory.Now() < h.Expires() {
			k.failed(h, "revoked", err)
			return
		}
		// What could not be revoked has ended by itself.
		k.right(h)
		if err := lease.Remove(k.Dir, h.Record); err != nil {
			k.trouble("the records of leases cannot be removed: " + err.Error())
			h.due = memory.Now() + longest
			return
		}
		delete(k.held, h.ID)
		if err == nil {
			k.Log("container %s is gone: its lease of %s is revoked", h.Container, h.Path)
		}
	})
}

// failed sees to it that something is tried again.
func (k *Keeper) failed(h *held, what string, err error) {
	most := longest
	if !errors.Is(err, fault.Unreachable) {
		most = refused
	}
	h.pause = min(max(2*h.pause, shortest), most)
	now := memory.Now()
	left := h.Expires() - now
	h.due = now + min(h.pause, max(left/2, shortest)) // in time for a short one
	if errors.Is(err, fault.Unreachable) {
		k.failures[h.Path]++
		return // which is told of all together
	}
	delete(k.failures, h.Path)
	text := "leases are not " + what + ": " + err.Error()
	for _, hint := range fault.Hints(err) {
		text += "; hint: " + hint
	}
	if h.wrong != text {
		k.right(h)
		h.wrong = text
		k.trouble(text)
	}
	if what == "renewed" && left <= 0 {
		h.final = true // it has ended, and nobody will say so
	}
}

// right says that nothing is wrong with a lease any more.
func (k *Keeper) right(h *held) { k.over(k.unwrong(h)) }

// unwrong takes back what is wrong with a lease, and gives what was wrong with no
// other one; "" for nothing.
func (k *Keeper) unwrong(h *held) (text string) {
	delete(k.failures, h.Path)
	text, h.wrong = h.wrong, ""
	for _, other := range k.held {
		if other.wrong == text {
			return ""
		}
	}
	return text
}

// stay keeps the logins of sessions from ending that live leases were made with,
// and forgets the others.
func (k *Keeper) stay(ctx context.Context, now time.Duration, live map[string]bool) {
	for name, s := range k.sessions {
		if !live[name] && !s.busy {
			delete(k.sessions, name)
		}
	}
	for name, is := range live {
		if !is || name == "" || !k.free(now) { // what is not kept is not ours to renew
			continue
		}
		if _, err := k.server(name); err != nil {
			k.trouble("logins are not renewed: " + err.Error())
			continue
		}
		s := k.sessions[name]
		if s.busy || s.next > now {
			continue
		}
		s.busy, s.next = true, now+poll
		var ends time.Duration
		k.job(ctx, name, false, func(ctx context.Context, server lease.Server) (err error) {
			ends, err = server.Stay(ctx)
			return err
		}, func(err error) {
			s.busy = false
			if err == nil {
				s.ends = ends
				for _, h := range k.held {
					if h.Session == name && !h.busy && !h.gone {
						k.limit(h, ends)
					}
				}
			}
			if err != nil && !errors.Is(err, fault.Unreachable) {
				k.trouble("a login is not renewed, and the leases that were made with it end: " + err.Error())
				s.next = memory.Now() + longest
			}
		})
	}
}
