// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// kept is a token that a login gave, and until when it is good.
type kept struct {
	token     resolver.Value
	ttl       time.Duration // 0 for one that does not end
	renewable bool
	obtained  time.Duration // since boot, as is expires
	expires   time.Duration
	own       bool // from a login of this very Source, or given to it
}

// tokenRecord is a kept token in its file. What it was got with stands beside
// it: logout has to find the server also when the settings have changed since.
type tokenRecord struct {
	Token     string
	TTL       time.Duration
	Renewable bool
	Obtained  time.Duration
	Expires   time.Duration
	At        tokenHome
}

// tokenHome says where a token is good.
type tokenHome struct {
	Method     string
	Addresses  []string
	CACert     string
	Namespace  string
	ClientCert string
	ClientKey  string
}

func (r *tokenRecord) valid() bool {
	return r.Token != "" && isToken(r.Token) && r.TTL >= 0 && r.Obtained > 0 && (r.TTL == 0) == (r.Expires == 0)
}

func newKept(g grant, asked time.Duration) *kept {
	k := &kept{token: g.token, ttl: g.ttl, renewable: g.renewable && g.ttl > 0, obtained: asked, own: true}
	if g.ttl > 0 {
		k.expires = asked + g.ttl
	}
	return k
}

// left is how long the token is good.
func (k *kept) left() time.Duration { return k.expires - now() }

// usable reports whether a start may still begin with the token. One that ends
// within it would be of no use.
func (k *kept) usable() bool { return k.ttl == 0 || k.left() >= min(5*time.Second, k.ttl/6) }

// due reports whether it is time to renew the token.
func (k *kept) due() bool { return k.renewable && !k.batch() && k.left() < k.ttl/3 }

// batch reports whether the token is one that the server keeps nothing of: it is
// neither renewed nor revoked.
func (k *kept) batch() bool {
	t := k.token.Reveal()
	return strings.HasPrefix(t, "hvb.") || strings.HasPrefix(t, "b.")
}

// id tells a token from others without telling it.
func (k *kept) id() string {
	sum := sha256.Sum256([]byte(k.token.Reveal()))
	return hex.EncodeToString(sum[:8])
}

// given reports whether somebody else gets the tokens: such are not kept.
func (a Auth) given() bool { return a.Method == "token" || a.Method == "token_file" }

// home is where a token of these settings is good.
func (c Config) home() tokenHome {
	h := tokenHome{Method: c.Auth.Method, Addresses: c.Addresses, CACert: c.CACert, Namespace: c.Namespace}
	if h.Method == "cert" {
		h.ClientCert, h.ClientKey = c.Auth.ClientCert, c.Auth.ClientKey
	}
	return h
}

// digest makes a name of what must be the same for two to share a file.
func digest(parts ...any) string {
	text, err := json.Marshal(parts)
	if err != nil {
		panic(err) // strings, numbers and structs of them
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// key names what the login of these settings gives: all that decides whose token
// it is, and no more, so that a changed setting is another key.
func (s *Source) key() (string, error) {
	s.session.hostMu.Lock()
	defer s.session.hostMu.Unlock()
	if s.session.key != "" {
		return s.session.key, nil
	}
	a := s.config.Auth
	identity, err := s.identity()
	if err != nil {
		return "", err
	}
	s.session.key = digest(s.config.home(), a.Mount, a.Role, a.RoleID, a.RoleIDFile, a.SecretIDFile, a.WrappedSecretIDFile, a.JWTFile, a.AsWorkload, identity)
	return s.session.key, nil
}

// identity is what decides whose token it is besides the settings: a hash, as
// it is a credential.
func (s *Source) identity() (string, error) {
	switch a := s.config.Auth; {
	case a.AsWorkload:
		w, err := s.workload()
		if err != nil {
			return "", err
		}
		return digest(w.token.Reveal()), nil
	case a.WrappedSecretIDFile != "":
		token, err := credential("wrapped_secret_id_file", a.WrappedSecretIDFile)
		return digest(token), err
	}
	return "", nil
}

// token gives a kept token, or nil, and where it is good.
func (h *host) token(ctx context.Context, name string) (*kept, tokenHome) {
	var r tokenRecord
	if !h.load(ctx, name, &r) {
		return nil, tokenHome{}
	}
	return &kept{token: resolver.NewValue(r.Token), ttl: r.TTL, renewable: r.Renewable, obtained: r.Obtained, expires: r.Expires}, r.At
}

// keep writes a token into its file.
func (h *host) keep(name string, k *kept, at tokenHome) error {
	return h.store(name, tokenRecord{k.token.Reveal(), k.ttl, k.renewable, k.obtained, k.expires, at})
}

// tokenName is the form of the name of a file with a token.
var tokenName = regexp.MustCompile(`^[0-9a-f]{64}(\.[0-9a-f]{16})?$`)

// sessionName is the form of what [Source.Session] gives: a key, and which of
// its tokens.
var sessionName = regexp.MustCompile(`^[0-9a-f]{64}\.[0-9a-f]{16}$`)

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
		if k, _ := h.token(ctx, key); k != nil && k.usable() && (refused == nil || k.id() != refused.id()) {
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
		if renewed, err := s.renew(ctx, h, key, k); renewed != nil || err != nil {
			return renewed, err
		}
	}
	return s.logInFor(ctx, h, key, dead)
}

func (s *Source) logInAlone(ctx context.Context) (*kept, error) {
	asked := now()
	g, err := s.logIn(ctx)
	if err != nil {
		return nil, err
	}
	return newKept(g, asked), nil
}

// logInFor logs in for all of the host. The lock of key is held.
func (s *Source) logInFor(ctx context.Context, h *host, key string, dead bool) (*kept, error) {
	asked := now()
	k, err := s.logInAlone(ctx)
	if err != nil {
		if lasts(ctx, err, now()-asked) {
			h.refuse(key, err)
		}
		return nil, err
	}
	// Leases end with the token that they were made with: as long as there are
	// some, or a start is about to make one, that token has to be found.
	mayLease := h.leased() || len(s.config.Dynamic) > 0
	if old, at := h.token(ctx, key); old != nil && !dead && old.ttl > 0 && old.left() > 0 && mayLease {
		if err := h.keep(key+"."+old.id(), old, at); err != nil {
			resolver.RecordOf(ctx).Note("the token of earlier leases could not be kept: %s", clean(err.Error()))
		}
	}
	if err := h.keep(key, k, s.config.home()); err != nil {
		resolver.RecordOf(ctx).Note("the login is not shared with other containers: %s", clean(err.Error()))
	}
	h.remove(key + refusedSuffix)
	h.sweep(ctx)
	return k, nil
}

// renew makes a token last longer; nil where that brings nothing, and it takes a
// new login. The lock of the name is held.
func (s *Source) renew(ctx context.Context, h *host, name string, k *kept) (*kept, error) {
	s.servers.setToken(k.token)
	asked := now()
	resolver.RecordOf(ctx).Count("vault_renewals")
	a, err := s.ask(ctx, "renew the token", []string{k.token.Reveal()}, func(ctx context.Context, c *api.Client) (*api.Response, error) {
		return c.Logical().WriteRawWithContext(ctx, "auth/token/renew-self", []byte("{}"))
	})
	if err != nil {
		if ctx.Err() == nil && k.usable() {
			return k, nil
		}
		return nil, err
	}
	var got struct {
		Auth struct {
			LeaseDuration int `json:"lease_duration"` // seconds
			Renewable     bool
		}
	}
	understood := json.Unmarshal(a.body, &got) == nil
	longer := *k
	longer.expires, longer.renewable = asked+time.Duration(got.Auth.LeaseDuration)*time.Second, got.Auth.Renewable
	if a.status != http.StatusOK || !understood || longer.left() < k.ttl/3 { // it was revoked, or is near its max_ttl
		return nil, nil
	}
	_, at := h.token(ctx, name)
	if err := h.keep(name, &longer, at); err != nil {
		resolver.RecordOf(ctx).Note("the renewed token could not be kept: %s", clean(err.Error()))
	}
	return &longer, nil
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
	if k.due() {
		if longer, err := s.renew(ctx, h, name, k); longer != nil || err != nil {
			return longer, err
		}
	}
	return k, nil // as long as it lasts
}

// sweep removes what has run out.
func (h *host) sweep(ctx context.Context) {
	for _, name := range h.names() {
		switch {
		case strings.HasSuffix(name, refusedSuffix):
			var r refusal
			if h.load(ctx, name, &r) && !r.holds() {
				h.remove(name)
			}
		case tokenName.MatchString(name):
			if k, _ := h.token(ctx, name); k == nil || k.ttl == 0 || k.left() > 0 {
				continue
			}
			// Who waits for a lock that is removed finds that out.
			if key, _, leased := strings.Cut(name, "."); leased {
				h.remove(name)
			} else if unlock := h.tryLock(key); unlock != nil {
				h.remove(name)
				h.remove(name + lockSuffix)
				unlock()
			}
		case abandoned(name):
			h.remove(name)
		}
	}
}

// abandoned reports whether a file is one that a process was writing (package
// memory) when it was killed.
func abandoned(name string) bool {
	pid, err := strconv.Atoi(name[strings.LastIndexByte(name, '.')+1:])
	return err == nil && pid > 0 && errors.Is(unix.Kill(pid, 0), unix.ESRCH)
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

// denied reports whether err is a no of the server's to the token of this Source.
func denied(err error) bool {
	var f *fault.Error
	var r recalled
	return errors.As(err, &f) && f.Reason == fault.Denied && !errors.As(err, &r)
}
