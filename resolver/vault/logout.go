// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/memory"
	folders "github.com/oci-secrets/oci-secrets/resolver/memory/place"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// secretIDSuffix is that of the files with secret ids that were unwrapped.
const secretIDSuffix = ".secret-id"

// Farewell says what [Logout] and [Forget] did.
type Farewell struct {
	Revoked   int // tokens
	Ended     int // tokens that the server did not know any more, or that had run out
	Forgotten int // tokens that end by themselves: batch tokens, and all of Forget's
	SecretIDs int // that were unwrapped: kept by Logout, removed by Forget
	Notes     int // refusals, mounts
}

// None reports whether there was nothing to do.
func (f Farewell) None() bool { return f == Farewell{} }

// Logout ends every login that is kept in the state directory, and removes what
// package vault keeps there, but for secret ids that were unwrapped: they cannot
// be had again, and the next start would report that somebody else has them.
// Each token is revoked at the servers that it was got from, whatever the
// settings say now. What could not be revoked is removed as well, and the error
// says so.
func Logout(ctx context.Context, stateDir string) (Farewell, error) {
	var f Farewell
	h, err := existing(stateDir)
	if h == nil || err != nil {
		return f, err
	}
	defer func() { _ = h.root.Close() }() // removals are seen at once
	var mu sync.Mutex
	var all sync.WaitGroup
	var errs fault.List
	slots := make(chan struct{}, maxParallel)
	for _, name := range h.names() {
		if !isTokenFile(name) {
			continue
		}
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			what, err := h.end(ctx, stateDir, name)
			mu.Lock()
			defer mu.Unlock()
			f.add(what)
			if err != nil {
				errs.Add(err)
			}
		})
	}
	all.Wait()
	f.add(h.clear(isSecretID))
	return f, errs.Err()
}

// Forget removes all that package vault keeps in the state directory, secret ids
// too, without asking anybody; the tokens end by themselves. It removes nothing,
// and says so, while there are leases, which would be lost with their tokens.
func Forget(stateDir string) (f Farewell, needed bool, err error) {
	h, err := existing(stateDir)
	if h == nil || err != nil {
		return f, false, err
	}
	defer func() { _ = h.root.Close() }() // removals are seen at once
	if h.leased() {
		return f, true, nil
	}
	names := h.names()
	f = h.clear(func(string) bool { return false })
	for _, name := range names {
		h.remove(name) // the locks
	}
	return f, false, nil
}

// isSecretID reports whether a file is one of a secret id that was unwrapped, or
// is just being.
func isSecretID(name string) bool {
	return strings.HasSuffix(name, secretIDSuffix) || strings.HasSuffix(name, secretIDSuffix+".new")
}

// existing opens the folder if it is there.
func existing(stateDir string) (*host, error) {
	root, err := memory.Open(stateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if info, err := root.Lstat(folders.Vault); err != nil || !info.IsDir() {
		_ = root.Close() // nothing was written
		return nil, nil  //nolint:nilerr // it is not there
	}
	return &host{root}, nil
}

// end revokes a token and removes it.
func (h *host) end(ctx context.Context, stateDir, name string) (f Farewell, err error) {
	key, _, _ := strings.Cut(name, ".")
	// Somebody may be about to renew it.
	if unlock, err := h.lock(ctx, key); err == nil {
		defer unlock()
	}
	defer h.remove(name)
	k, at := h.token(ctx, name)
	switch {
	case k == nil || k.ttl > 0 && k.left() <= 0:
		return Farewell{Ended: 1}, nil
	case k.batch():
		return Farewell{Forgotten: 1}, nil
	}
	s, err := New(Config{StateDir: stateDir, Session: key + "." + k.id()}.at(at), resolver.Container{})
	if err == nil {
		err = s.servers.connect(s.config)
	}
	if err != nil {
		return f, err
	}
	s.servers.setToken(k.token)
	a, err := s.ask(ctx, "revoke the token", []string{k.token.Reveal()}, func(ctx context.Context, c *api.Client) (*api.Response, error) {
		return c.Logical().WriteRawWithContext(ctx, "auth/token/revoke-self", []byte("{}"))
	})
	ends := "never ends by itself"
	if k.ttl > 0 {
		ends = "ends by itself in " + k.left().Round(time.Second).String()
	}
	switch {
	case err != nil:
		return f, fmt.Errorf("%w; the token is removed here, and %s", err, ends)
	case a.status == http.StatusOK || a.status == http.StatusNoContent:
		return Farewell{Revoked: 1}, nil
	case a.status == http.StatusForbidden && isInvalid(a):
		return Farewell{Ended: 1}, nil
	}
	return f, s.fault(fault.Refused, "", "revoke the token: %s; it is removed here, and %s", a.seen(), ends)
}

// clear removes all but the locks, which somebody may hold, and what is to stay.
func (h *host) clear(stays func(name string) bool) (f Farewell) {
	for _, name := range h.names() {
		switch {
		case strings.HasSuffix(name, lockSuffix):
			continue
		case isTokenFile(name):
			f.Forgotten++
		case strings.HasSuffix(name, secretIDSuffix):
			f.SecretIDs++
		case !stays(name):
			f.Notes++
		}
		if !stays(name) {
			h.remove(name)
		}
	}
	return f
}

func (f *Farewell) add(o Farewell) {
	f.Revoked += o.Revoked
	f.Ended += o.Ended
	f.Forgotten += o.Forgotten
	f.SecretIDs += o.SecretIDs
	f.Notes += o.Notes
}
