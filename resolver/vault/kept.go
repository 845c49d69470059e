// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/memory"
)

// kept is a token that a login gave, and until when it is good.
type kept struct {
	token     resolver.Value
	ttl       time.Duration // 0 for one that does not end
	renewable bool
	obtained  time.Duration // since boot, as is expires
	expires   time.Duration
	replaced  time.Duration // by another; 0 where it was not
	uses      int           // how many requests it is good for; 0 for any number
	own       bool          // from a login of this very Source, or given to it
}

// tokenRecord is a kept token in its file. What it was got with stands beside
// it: logout has to find the server also when the settings have changed since.
type tokenRecord struct {
	Token     string
	TTL       time.Duration
	Renewable bool
	Obtained  time.Duration
	Expires   time.Duration
	Replaced  time.Duration `json:",omitempty"`
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
	Workload   bool // the token is a container's own

	SocketOwner   string `json:",omitempty"`
	TLSServerName string `json:",omitempty"`
	Proxy         string `json:",omitempty"`
}

func (r *tokenRecord) valid() bool {
	return r.Token != "" && isToken(r.Token) && r.TTL >= 0 && r.Obtained != 0 && (r.TTL == 0) == (r.Expires == 0)
}

func newKept(g grant, asked time.Duration) *kept {
	k := &kept{token: g.token, ttl: g.ttl, renewable: g.renewable && g.ttl > 0, obtained: asked, uses: g.uses, own: true}
	if g.ttl > 0 {
		k.expires = asked + g.ttl
	}
	return k
}

// left is how long the token is good.
func (k *kept) left() time.Duration { return k.expires - memory.Now() }

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
func (a Auth) given() bool { return slices.Contains([]string{"none", "token", "token_file"}, a.Method) }

// home is where a token of these settings is good.
func (c Config) home() tokenHome {
	h := tokenHome{
		Method: c.Auth.Method, Addresses: c.Addresses, CACert: c.CACert, Namespace: c.Namespace, Workload: c.Auth.AsWorkload,
		SocketOwner: c.SocketOwner, TLSServerName: c.TLSServerName, Proxy: c.Proxy,
	}
	if h.Method == "cert" {
		h.ClientCert, h.ClientKey = c.Auth.ClientCert, c.Auth.ClientKey
	}
	return h
}

// at is c for the servers where a token is good, as whoever got it reached them.
func (c Config) at(h tokenHome) Config {
	c.Addresses, c.CACert, c.Namespace = h.Addresses, h.CACert, h.Namespace
	c.SocketOwner, c.TLSServerName, c.Proxy = h.SocketOwner, h.TLSServerName, h.Proxy
	c.Auth = Auth{Method: h.Method, ClientCert: h.ClientCert, ClientKey: h.ClientKey}
	return c
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
	return &kept{token: resolver.NewValue(r.Token), ttl: r.TTL, renewable: r.Renewable, obtained: r.Obtained, expires: r.Expires, replaced: r.Replaced}, r.At
}

// keep writes a token into its file.
func (h *host) keep(name string, k *kept, at tokenHome) error {
	return h.store(name, tokenRecord{k.token.Reveal(), k.ttl, k.renewable, k.obtained, k.expires, k.replaced, at})
}
