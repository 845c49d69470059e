// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/hashicorp/vault/api"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/memory"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// token gives a token: the one that the host has, or one of a new login. refused
// is one with which the server said no, and dead that it does not know it.
//
// Of several that need a login one does it, and the others wait and find what it
// got, be that a token or a refusal.
func (s *Source) token(ctx context.Context, refused *kept, dead bool) (*kept, error) {
	if s.config.Session != "" {
		return s.sessionToken(ctx)
	}
	h, err := s.host(ctx)
	if err != nil {
		return nil, err
	}
	if h == nil || s.config.Auth.given() {
		return s.logInAlone(ctx)
	}
	key, err := s.key()
	if err != nil {
		return nil, err
	}
	look := func() (*kept, error) {
		k, at := h.token(ctx, key)
		if k != nil && s.serves(k, at) && (refused == nil || k.id() != refused.id()) {
			return k, nil
		}
		return nil, s.remembered(ctx, h, key)
	}
	k, err := look()
	if err != nil || k != nil && !k.due() {
		return k, err
	}
	unlock := h.tryLock(key)
	switch {
	case unlock == nil && k != nil:
		return k, nil // it is good for a while, and being renewed
	case unlock == nil:
		if unlock, err = h.lock(ctx, key); ctx.Err() != nil {
			return nil, s.fault(fault.Unreachable, "", "gave up waiting for the login of another container's start")
		} else if err != nil {
			resolver.RecordOf(ctx).Note("the login is not shared with other containers: %s", clean(err.Error()))
			return s.logInAlone(ctx)
		}
	}
	defer unlock()
	if k, err = look(); err != nil || k != nil && !k.due() {
		return k, err
	}
	if k != nil {
		if renewed, lasts, err := s.renew(ctx, h, key, k); lasts || err != nil {
			return renewed, err
		}
	}
	if err := h.room(key); err != nil {
		// They would log in one after the other, and each for itself.
		unlock()
		resolver.RecordOf(ctx).Note("the login is not shared with other containers: %s", clean(err.Error()))
		return s.logInAlone(ctx)
	}
	return s.logInFor(ctx, h, key, dead)
}

// serves reports whether a kept token is one to start with. What is leased ends
// with it, so half of its time is to be left for that.
func (s *Source) serves(k *kept, at tokenHome) bool {
	renewed := k.renewable && !k.batch()
	return k.usable() && (!at.Workload || memory.Now()-k.obtained < workloadLasts) &&
		(len(s.config.Dynamic) == 0 || k.ttl == 0 || renewed || k.left() >= k.ttl/2)
}

func (s *Source) logInAlone(ctx context.Context) (*kept, error) {
	asked := memory.Now()
	g, err := s.logIn(ctx)
	if err != nil {
		return nil, err
	}
	return newKept(g, asked), nil
}

// logInFor logs in for all of the host. The lock of key is held.
func (s *Source) logInFor(ctx context.Context, h *host, key string, dead bool) (*kept, error) {
	asked := memory.Now()
	k, err := s.logInAlone(ctx)
	if err != nil {
		if lasts(ctx, err, memory.Now()-asked) {
			h.refuse(key, err)
			h.tidy(ctx)
		}
		return nil, err
	}
	if k.uses > 0 {
		// The others would find it used up in the middle of their starts.
		resolver.RecordOf(ctx).Note("the login is not shared with other containers: its token works %d times; set token_num_uses of the role to 0", k.uses)
		h.remove(key + refusedSuffix)
		return k, nil
	}
	// Leases end with the token that they were made with: as long as there are
	// some, or a start is about to make one, that token has to be found.
	if old, at := h.token(ctx, key); old != nil && !dead && old.ttl > 0 && old.left() > 0 && (len(s.config.Dynamic) > 0 || h.leased()) {
		old.replaced = memory.Now()
		if err := h.keep(key+"."+old.id(), old, at); err != nil {
			resolver.RecordOf(ctx).Note("the token of earlier leases could not be kept: %s", clean(err.Error()))
		}
	}
	if err := h.keep(key, k, s.config.home()); err != nil {
		resolver.RecordOf(ctx).Note("the login is not shared with other containers: %s", clean(err.Error()))
	}
	h.remove(key + refusedSuffix)
	h.tidy(ctx)
	return k, nil
}

// renew makes a token last longer. Where that brings too little, and it takes a
// new login, the token does not last, and is not renewable any more. The lock of
// the name is held.
func (s *Source) renew(ctx context.Context, h *host, name string, k *kept) (longer *kept, lasts bool, err error) {
	s.servers.setToken(k.token)
	asked := memory.Now()
	resolver.RecordOf(ctx).Count("vault_renewals")
	a, err := s.ask(ctx, "renew the token", []string{k.token.Reveal()}, func(ctx context.Context, c *api.Client) (*api.Response, error) {
		return c.Logical().WriteRawWithContext(ctx, "auth/token/renew-self", []byte("{}"))
	})
	if err != nil {
		if ctx.Err() == nil && k.usable() {
			return k, true, nil
		}
		return nil, false, err
	}
	var got struct {
		Auth struct {
			LeaseDuration int64 `json:"lease_duration"` // seconds
			Renewable     bool
		}
	}
	understood := json.Unmarshal(a.body, &got) == nil
	renewed := *k
	if a.status != http.StatusOK || !understood { // it was revoked, say
		renewed.renewable = false
		return &renewed, false, nil
	}
	renewed.expires, renewed.renewable = asked+seconds(got.Auth.LeaseDuration), got.Auth.Renewable
	if renewed.left() < k.ttl/3 { // it is near its max_ttl
		renewed.renewable = false
		return &renewed, false, nil
	}
	_, at := h.token(ctx, name)
	if err := h.keep(name, &renewed, at); err != nil {
		resolver.RecordOf(ctx).Note("the renewed token could not be kept: %s", clean(err.Error()))
	}
	return &renewed, true, nil
}

// denied reports whether err is a no of the server's to the token of this Source.
func denied(err error) bool {
	var f *fault.Error
	var r recalled
	return errors.As(err, &f) && f.Reason == fault.Denied && !errors.As(err, &r)
}
