// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/lease"
	"github.com/oci-secrets/oci-secrets/resolver/memory"
	"github.com/oci-secrets/oci-secrets/resolver/vault"
	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// TestKeys has settings that must not share a login.
func TestKeys(t *testing.T) {
	first := appRole(t, vaulttest.Tokens{TTL: time.Hour})
	for name, change := range map[string]func(*vault.Config){
		"another secret id file": func(c *vault.Config) {
			data, err := os.ReadFile(c.Auth.SecretIDFile)
			if err != nil {
				t.Fatal(err)
			}
			c.Auth.SecretIDFile = file(t, string(data))
		},
		"the role id from a file": func(c *vault.Config) { c.Auth.RoleIDFile, c.Auth.RoleID = file(t, c.Auth.RoleID), "" },
		"another CA file": func(c *vault.Config) {
			data, err := os.ReadFile(c.CACert)
			if err != nil {
				t.Fatal(err)
			}
			c.CACert = file(t, string(data))
		},
		"more addresses": func(c *vault.Config) { c.Addresses = append(slices.Clone(c.Addresses), "https://127.0.0.1:1") },
	} {
		t.Run(name, func(t *testing.T) {
			c := first
			c.StateDir = sharedDir(t)
			succeed(t, c, "shared/db")
			change(&c)
			if n := counted(t, func() { succeed(t, c, "shared/db") }); n.logins != 1 {
				t.Errorf("%+v", n)
			}
		})
	}
	t.Run("what decides nothing", func(t *testing.T) {
		c := first
		succeed(t, c, "shared/db")
		c.Prefix = "containers/shared"
		wantCounts(t, "another prefix", counted(t, func() { succeed(t, c, "db") }), counts{reads: 1})
	})
	t.Run("the clock", func(t *testing.T) {
		for _, f := range files(t, first.StateDir) {
			if err := os.Chtimes(filepath.Join(first.StateDir, "vault", f), time.Unix(1, 0), time.Unix(1<<33, 0)); err != nil {
				t.Fatal(err)
			}
		}
		wantCounts(t, "another time", counted(t, func() { succeed(t, first, "shared/db") }), counts{reads: 1})
	})
}

// TestGivenTokens are not kept, and what is mounted is.
func TestGivenTokens(t *testing.T) {
	c := appRole(t, vaulttest.Tokens{})
	c.Auth = vault.Auth{Method: "token_file", TokenFile: file(t, server.Token(t, "shared"))}
	wantCounts(t, "cold", counted(t, func() { together(20, func(int) { succeed(t, c, "shared/db") }) }), counts{mounts: 1, reads: 20})
	wantCounts(t, "warm", counted(t, func() { succeed(t, c, "shared/db") }), counts{reads: 1})
	kept(t, c.StateDir, aMount)
	for _, f := range files(t, c.StateDir) {
		if regexp.MustCompile(aToken).MatchString(f) {
			t.Errorf("kept: %s", f)
		}
	}
	if s := source(t, c); s.Session() != "" {
		t.Errorf("session %q", s.Session())
	}
}

// TestMountIsRemembered has memories of the mount that are wrong, and right.
func TestMountIsRemembered(t *testing.T) {
	c := appRole(t, vaulttest.Tokens{TTL: time.Hour})
	succeed(t, c, "shared/db")
	wrong := func() { edit(t, kept(t, c.StateDir, aMount), func(r map[string]any) { r["KV"] = 1 }) }
	wrong()
	n := counted(t, func() { succeed(t, c, "shared/db") })
	if n.mounts != 1 || n.reads != 2 || n.logins > 1 {
		t.Errorf("wrong, token may not: %+v", n)
	}
	wantCounts(t, "then", counted(t, func() { succeed(t, c, "shared/db") }), counts{reads: 1})

	// Who may read all gets a 404 for the wrong path.
	c.Auth = vault.Auth{Method: "token", Token: resolver.NewValue(server.RootToken)}
	wrong()
	wantCounts(t, "wrong", counted(t, func() { succeed(t, c, "shared/db") }), counts{mounts: 1, reads: 2})
	wantCounts(t, "then", counted(t, func() { succeed(t, c, "shared/db") }), counts{reads: 1})
	wantCounts(t, "right, and a miss", counted(t, func() {
		_, err := start(t, c, 30*time.Second, "shared/absent")
		wantFault(t, err, fault.Missing, "nothing at secret/data/containers/shared/absent")
	}), counts{mounts: 1, reads: 1})

	// KV v1 has no versions, if it is that.
	secret, err := get(t, source(t, c), 30*time.Second, "shared/db", 0)
	noError(t, err)
	wrong()
	secret, err = get(t, source(t, c), 30*time.Second, "shared/db", secret.Version)
	if err != nil || reveal(t, secret)["K"] != canary {
		t.Errorf("a version of what was taken for v1: %v", err)
	}

	// Of a version that is not one, nothing is believed.
	edit(t, kept(t, c.StateDir, aMount), func(r map[string]any) { r["KV"] = 3 })
	wantCounts(t, "broken", counted(t, func() { succeed(t, c, "shared/db") }), counts{mounts: 1, reads: 1})
}

// The address that answered is asked first by the next one.
func TestAddressIsRemembered(t *testing.T) {
	c := appRole(t, vaulttest.Tokens{TTL: time.Hour})
	succeed(t, c, "shared/db")
	c.Addresses = []string{"https://127.0.0.1:1", server.Address}
	// As it is after a failover.
	record := fmt.Sprintf(`{"KV":2,"Address":%q}`, server.Address)
	data, err := json.Marshal([]any{c.Addresses, "", kv2})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.StateDir, "vault", sum(data)+".mount"), []byte(record), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := counted(t, func() { succeed(t, c, "shared/db") }); n.logins != 1 || n.mounts != 0 || n.reads != 1 {
		t.Errorf("%+v", n)
	}
}

// TestSession uses the token of a Source that is gone, with nothing to log in
// with.
func TestSession(t *testing.T) {
	c := appRole(t, vaulttest.Tokens{TTL: time.Hour, MaxTTL: 4 * time.Hour})
	s := source(t, c)
	if _, err := get(t, s, 30*time.Second, "shared/db", 0); err != nil {
		t.Fatal(err)
	}
	name := s.Session()
	if name == "" || strings.Contains(name, tokenOf(t, c.StateDir)) {
		t.Fatalf("session %q", name)
	}
	later := c
	later.Session, later.Auth = name, vault.Auth{}
	wantCounts(t, "its token", counted(t, func() { succeed(t, later, "shared/db") }), counts{reads: 1})
	endsIn(t, c.StateDir, 19*time.Minute)
	wantCounts(t, "renewed", counted(t, func() { succeed(t, later, "shared/db") }), counts{renewals: 1, reads: 1})

	// The settings may name another cluster by now, which is not to see the token.
	elsewhere := later
	elsewhere.Addresses, elsewhere.Namespace = []string{listen(t)}, "team-b"
	wantCounts(t, "of another cluster", counted(t, func() { succeed(t, elsewhere, "shared/db") }), counts{reads: 1})
	wantCounts(t, "and its mount", counted(t, func() { succeed(t, later, "shared/db") }), counts{reads: 1})

	// A lease ends with its own token, so that one stays when another comes.
	if err := lease.Put(c.StateDir, lease.Record{Container: "a", ID: "database/creds/web/1", Path: "database/creds/web"}); err != nil {
		t.Fatal(err)
	}
	endsIn(t, c.StateDir, 4*time.Second)
	if n := counted(t, func() { succeed(t, c, "shared/db") }); n.logins != 1 {
		t.Errorf("%+v", n)
	}
	wantCounts(t, "the old one", counted(t, func() { succeed(t, later, "shared/db") }), counts{renewals: 1, reads: 1})
	wantCounts(t, "the new one", counted(t, func() { succeed(t, c, "shared/db") }), counts{reads: 1})

	revoke(t, c.StateDir)
	for _, f := range files(t, c.StateDir) {
		if strings.HasPrefix(f, strings.SplitN(name, ".", 2)[0]) && !strings.HasSuffix(f, ".lock") {
			if err := os.Remove(filepath.Join(c.StateDir, "vault", f)); err != nil {
				t.Fatal(err)
			}
		}
	}
	wantCounts(t, "gone", counted(t, func() {
		_, err := start(t, later, 30*time.Second, "shared/db")
		wantFault(t, err, fault.Refused, "the token of this login is not kept any more")
	}), counts{})
	later.Session = "../../etc/passwd"
	if _, err := vault.New(later, resolver.Container{}); err == nil {
		t.Error("a session of any name")
	}
}

// TestStay asks the server for as long as that brings something, and says when
// the login ends otherwise.
func TestStay(t *testing.T) {
	for name, tt := range map[string]struct {
		tokens   vaulttest.Tokens
		change   func(t *testing.T, dir string)
		renewals int
		least    time.Duration // until its end; 0 for none
		most     time.Duration
	}{
		"it lasts":      {vaulttest.Tokens{TTL: time.Hour, MaxTTL: 4 * time.Hour}, func(*testing.T, string) {}, 0, 0, 0},
		"it is renewed": {vaulttest.Tokens{TTL: time.Hour, MaxTTL: 4 * time.Hour}, func(t *testing.T, dir string) { endsIn(t, dir, 19*time.Minute) }, 1, 0, 0},
		"its max_ttl":   {vaulttest.Tokens{TTL: time.Minute, MaxTTL: time.Minute}, longer, 1, 50 * time.Second, time.Minute},
		"revoked":       {vaulttest.Tokens{TTL: time.Hour}, func(t *testing.T, dir string) { revoke(t, dir); endsIn(t, dir, 10*time.Minute) }, 1, 9 * time.Minute, 10 * time.Minute},
		"batch":         {vaulttest.Tokens{TTL: time.Hour, Batch: true}, func(*testing.T, string) {}, 0, 59 * time.Minute, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			c := appRole(t, tt.tokens)
			s := source(t, c)
			if _, err := get(t, s, 30*time.Second, "shared/db", 0); err != nil {
				t.Fatal(err)
			}
			tt.change(t, c.StateDir)
			c.Session, c.Auth = s.Session(), vault.Auth{}
			later := source(t, c)
			n := counted(t, func() {
				for range 3 {
					ends, err := later.Stay(t.Context())
					if left := ends - memory.Now(); err != nil || (ends == 0) != (tt.most == 0) || ends != 0 && (left < tt.least || left > tt.most) {
						t.Errorf("it ends in %v: %v", left, err)
					}
				}
			})
			wantCounts(t, "to stay", n, counts{renewals: tt.renewals})
		})
	}
}
