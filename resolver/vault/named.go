// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"slices"
	"strings"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// isTokenFile reports whether a file's name is that of one with a token.
func isTokenFile(name string) bool { return isHex(name, 64) || isSession(name) }

// isSession reports whether s is of the form of what [Source.Session] gives: a key,
// and which of its tokens.
func isSession(s string) bool {
	key, id, _ := strings.Cut(s, ".")
	return isHex(key, 64) && isHex(id, 16)
}

func isHex(s string, digits int) bool { return len(s) == digits && only(s, "0123456789abcdef") }

// find gives the token of a session. It is the key's own, or one that had to
// make room for another and has leases that end with it.
func (h *host) find(ctx context.Context, session string) (k *kept, name string) {
	key, id, _ := strings.Cut(session, ".")
	for _, name := range []string{key, session} {
		if k, _ := h.token(ctx, name); k != nil && k.id() == id {
			return k, name
		}
	}
	return nil, session
}

// atHome is c with the servers that the token of its session came from, where the
// settings name others by now: those are not to see it, and cannot end its leases.
func (c Config) atHome() Config {
	h, err := existing(c.StateDir)
	if h == nil || err != nil {
		return c // as whoever asks for the token will find out
	}
	defer func() { _ = h.root.Close() }() // only read from
	_, name := h.find(context.Background(), c.Session)
	k, at := h.token(context.Background(), name)
	if k == nil || slices.Equal(at.Addresses, c.Addresses) && at.Namespace == c.Namespace {
		return c
	}
	return c.at(at)
}

// sessionToken gives the token of a session, and never logs in for another.
func (s *Source) sessionToken(ctx context.Context) (*kept, error) {
	h, err := s.host(ctx)
	if err != nil {
		return nil, err
	}
	if h == nil {
		return nil, fault.New(fault.Delivery, "", "the state directory, with the token of this login, cannot be used")
	}
	k, name := h.find(ctx, s.config.Session)
	if k == nil || k.ttl > 0 && k.left() <= 0 {
		return nil, s.fault(fault.Refused, "", "the token of this login is not kept any more").Because(fault.Denied)
	}
	if !k.due() {
		return k, nil
	}
	unlock := h.tryLock(strings.TrimSuffix(name, "."+k.id()))
	if unlock == nil {
		return k, nil
	}
	defer unlock()
	if again, n := h.find(ctx, s.config.Session); again != nil {
		k, name = again, n
	}
	if !k.due() {
		return k, nil
	}
	// As long as it lasts; that it is not renewable any more is not kept, or those
	// who can log in anew would use it to its end.
	longer, _, err := s.renew(ctx, h, name, k)
	return longer, err
}

// Session names the token of this Source for [Config].Session; "" before a
// login, and where the token is not kept.
func (s *Source) Session() string {
	s.session.mu.Lock()
	defer s.session.mu.Unlock()
	return s.session.name
}

// sessionOf gives the name of a token in the host's folder; "" where it is not
// there.
func (s *Source) sessionOf(ctx context.Context, k *kept) string {
	if s.config.Session != "" {
		return s.config.Session
	}
	h, err := s.host(ctx)
	if err != nil || h == nil || s.config.Auth.given() {
		return ""
	}
	key, err := s.key()
	if err != nil {
		return ""
	}
	if k, _ := h.find(ctx, key+"."+k.id()); k == nil {
		return ""
	}
	return key + "." + k.id()
}
