// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/lease"
	"github.com/oci-secrets/oci-secrets/resolver/memory"
	"github.com/oci-secrets/oci-secrets/resolver/vault"
	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/test/postgres"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// leasing are the rules that dynamic secrets take.
const leasing = `
path "secret/*" { capabilities = ["read"] }
path "database/creds/*" { capabilities = ["read"] }
path "database/static-creds/*" { capabilities = ["read"] }
path "sys/leases/renew" { capabilities = ["update"] }
path "sys/leases/revoke" { capabilities = ["update"] }
`

// database is a server with a database engine, and the settings for it.
func database(t *testing.T) (*postgres.Server, *vaulttest.Server, vault.Config) {
	t.Helper()
	db, s := postgres.Start(t), vaulttest.Start(t, vaulttest.Options{})
	s.Mount(t, kv2, 2)
	s.Database(t, "database", "web", db, time.Minute, time.Hour)
	s.Policy(t, "leasing", leasing)
	c := config(s, kv2, s.Token(t, "leasing"))
	c.Dynamic, c.StateDir = []string{"/database/creds/", "database/static-creds"}, stateOf(t, "1m")
	return db, s, c
}

// stateOf is a state directory of the given size.
func stateOf(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("test", dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
		t.Skipf("mount a tmpfs: %v: run it as root", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// running is one whose first process is this one.
var running = resolver.Container{ID: "web-1", Bundle: "/bundle", Pid: os.Getpid()}

func sourceFor(t *testing.T, c vault.Config, of resolver.Container) *vault.Source {
	t.Helper()
	s, err := vault.New(c, of)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func records(t *testing.T, c vault.Config, n int) []lease.Record {
	t.Helper()
	list, err := lease.List(c.StateDir)
	if err != nil || len(list) != n {
		t.Fatalf("%d records, want %d: %v, %v", len(list), n, list, err)
	}
	return list
}

func TestLeasedSecret(t *testing.T) {
	db, server, c := database(t)
	s := sourceFor(t, c, running)
	var secret *resolver.Secret
	calls := server.Calls(t, func() {
		for range 3 { // one lease, however often it is named
			again, err := get(t, s, 10*time.Second, "database/creds/web", 0)
			if err != nil {
				t.Fatal(err)
			}
			if secret != nil && again.Lease != secret.Lease {
				t.Errorf("leases %q and %q", secret.Lease, again.Lease)
			}
			secret = again
		}
	})
	if n := len(slices.DeleteFunc(calls, func(c vaulttest.Call) bool { return c.Path != "database/creds/web" })); n != 1 {
		t.Errorf("%d reads", n)
	}
	got := reveal(t, secret)
	if err := db.Login(t, got["username"], got["password"]); err != nil {
		t.Error(err)
	}
	r := records(t, c, 1)[0]
	if r.ID != secret.Lease || r.Container != "web-1" || r.Bundle != "/bundle" || r.Pid != os.Getpid() || r.Path != "database/creds/web" ||
		!r.Renewable || r.TTL != time.Minute || r.Asked != time.Minute || r.Expires() <= memory.Now() || r.Gone() {
		t.Errorf("recorded %+v", r)
	}
	_ = filepath.WalkDir(c.StateDir, func(path string, d os.DirEntry, _ error) error {
		if b, err := os.ReadFile(path); err == nil && (strings.Contains(string(b), got["password"]) || strings.Contains(string(b), "hvs.")) {
			t.Errorf("%s holds a value", path)
		}
		return nil
	})

	// Another process renews it, and gives it back.
	other := sourceFor(t, c, resolver.Container{})
	ttl, renewable, err := other.Renew(t.Context(), r.ID, 2*time.Minute)
	if err != nil || ttl != 2*time.Minute || !renewable {
		t.Errorf("renewed for %v, %v: %v", ttl, renewable, err)
	}
	if ttl, _, err = other.Renew(t.Context(), r.ID, 3*time.Hour); err != nil || ttl > time.Hour || ttl < 59*time.Minute {
		t.Errorf("renewed beyond max_ttl for %v: %v", ttl, err)
	}
	for range 2 { // twice is fine
		if err := s.Release(t.Context()); err != nil {
			t.Error(err)
		}
	}
	records(t, c, 0)
	db.WaitRole(t, got["username"], false, 10*time.Second)
	if _, _, err := other.Renew(t.Context(), r.ID, time.Minute); !errors.Is(err, lease.ErrLost) {
		t.Errorf("a lease that was revoked: %v", err)
	}
	if err := other.Revoke(t.Context(), r.ID); err != nil {
		t.Errorf("a lease that was revoked: %v", err)
	}
	if _, err := get(t, s, time.Second, "database/creds/other", 0); err == nil {
		t.Error("leased after the end")
	}
}

// TestWithoutLease has answers of the same engine that do not end.
func TestWithoutLease(t *testing.T) {
	db, server, c := database(t)
	db.Exec(t, `create role fixed login password 'x'`)
	server.Write(t, "database/static-roles/fixed", map[string]any{"db_name": "postgres", "username": "fixed", "rotation_period": "1h"})
	secret, err := get(t, sourceFor(t, c, running), 10*time.Second, "database/static-creds/fixed", 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := reveal(t, secret); secret.Lease != "" || got["username"] != "fixed" || db.Login(t, "fixed", got["password"]) != nil {
		t.Errorf("lease %q of %q", secret.Lease, got["username"])
	}
	records(t, c, 0)
}

func TestNotLeased(t *testing.T) {
	db, server, c := database(t)
	full := c
	full.StateDir = stateOf(t, "64k")
	if err := os.WriteFile(filepath.Join(full.StateDir, "filler"), make([]byte, 64<<10), 0o600); err != nil && !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	open := c
	open.StateDir = stateOf(t, "1m")
	if err := os.Chmod(open.StateDir, 0o755); err != nil {
		t.Fatal(err)
	}
	server.Policy(t, "reading", `path "secret/*" { capabilities = ["read"] }`)
	powerless := c
	powerless.Auth.Token = resolver.NewValue(server.Token(t, "reading"))
	ended := running
	ended.Pid = 1 << 30
	for name, tt := range map[string]struct {
		c       vault.Config
		of      resolver.Container
		secret  string
		version int
		class   fault.Class
		texts   []string
		asked   bool // of the engine
	}{
		"no container":     {c, resolver.Container{}, "database/creds/web", 0, fault.Delivery, []string{"as long as a container runs", "use the hook"}, false},
		"it has ended":     {c, ended, "database/creds/web", 0, fault.Delivery, []string{"as long as process"}, false},
		"version":          {c, running, "database/creds/web", 3, fault.Missing, []string{"no version 3"}, false},
		"another's path":   {c, running, "database/credsx/web", 0, fault.Missing, []string{"secret/data/containers/database/credsx/web"}, false},
		"not listed":       {c, running, "other/creds/web", 0, fault.Missing, []string{"secret/data/containers/other/creds/web", "list their path in dynamic"}, false},
		"no policy":        {powerless, running, "database/creds/web", 0, fault.Refused, []string{`path "database/creds/web" { capabilities = ["read"] }`}, true},
		"no such role":     {c, running, "database/creds/none", 0, fault.Refused, []string{"unknown role"}, true},
		"no room":          {full, running, "database/creds/web", 0, fault.Delivery, []string{"it is given back"}, true},
		"directory's mode": {open, running, "database/creds/web", 0, fault.Delivery, []string{"must be ours alone", "chmod 0700"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			calls := server.Calls(t, func() {
				_, err := get(t, sourceFor(t, tt.c, tt.of), 10*time.Second, tt.secret, tt.version)
				wantFault(t, err, tt.class, tt.texts...)
			})
			if asked := slices.ContainsFunc(calls, func(c vaulttest.Call) bool { return strings.HasPrefix(c.Path, "database/") }); asked != tt.asked {
				t.Errorf("asked the engine is %v: %v", asked, calls)
			}
			for _, role := range db.Roles(t) {
				db.WaitRole(t, role, false, 10*time.Second)
			}
			records(t, c, 0)
		})
	}
}

// TestTrial is what explain does: there is no container, and nothing is left.
func TestTrial(t *testing.T) {
	db, server, c := database(t)
	c.Trial = true
	secret, err := get(t, sourceFor(t, c, resolver.Container{}), 10*time.Second, "database/creds/web", 0)
	if err != nil || secret.Lease == "" {
		t.Fatalf("%v, %v", secret, err)
	}
	records(t, c, 0)
	db.WaitRole(t, reveal(t, secret)["username"], false, 10*time.Second)

	// The default policy may not revoke.
	server.Policy(t, "reading", `path "secret/*" { capabilities = ["read"] }
		path "database/creds/*" { capabilities = ["read"] }`)
	c.Auth.Token = resolver.NewValue(server.Token(t, "reading"))
	_, err = get(t, sourceFor(t, c, resolver.Container{}), 10*time.Second, "database/creds/web", 0)
	wantFault(t, err, fault.Refused, "revoke a lease", `path "sys/leases/revoke" { capabilities = ["update"] }`)
}

// TestReleaseLeavesWhatItCannot keeps the record where the server is gone.
func TestReleaseLeavesWhatItCannot(t *testing.T) {
	_, server, c := database(t)
	s := sourceFor(t, c, running)
	if _, err := get(t, s, 10*time.Second, "database/creds/web", 0); err != nil {
		t.Fatal(err)
	}
	server.Seal(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := s.Release(ctx)
	wantFault(t, err, fault.Unreachable, "revoke a lease", "sealed")
	records(t, c, 1)
}

// TestLeasedBeforeNewLogin has another read log in anew while one leases: the
// lease is that of the login which it was asked for with.
func TestLeasedBeforeNewLogin(t *testing.T) {
	logins := 0
	asked, again := make(chan string, 1), make(chan struct{})
	c, _ := fake(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		switch token := r.Header.Get("X-Vault-Token"); {
		case r.URL.Path == "/v1/auth/approle/login":
			logins++
			answer(200, "application/json", fmt.Sprintf(`{"auth":{"client_token":"hvs.%d","lease_duration":3600,"renewable":true}}`, logins))(0, w, r)
		case r.URL.Path == "/v1/database/creds/web":
			asked <- token
			<-again
			answer(200, "application/json", `{"lease_id":"database/creds/web/1","lease_duration":60,"renewable":true,"data":{"K":"v"}}`)(0, w, r)
		case token == "hvs.1" && strings.HasSuffix(r.URL.Path, "/db"):
			answer(403, "application/json", `{"errors":["permission denied"]}`)(0, w, r)
		default:
			answer(200, "application/json", readAnswer)(0, w, r)
		}
	})
	c.Dynamic, c.StateDir = []string{"database/creds"}, stateOf(t, "1m")
	c.Auth = vault.Auth{Method: "approle", RoleID: "role"}
	if _, err := get(t, sourceFor(t, c, running), 10*time.Second, "other", 0); err != nil {
		t.Fatal(err) // an earlier start, whose login this one has
	}
	aged(t, c.StateDir, time.Minute, 0) // or its policies are taken for what they are
	s := sourceFor(t, c, running)
	leased := make(chan error, 1)
	go func() {
		_, err := get(t, s, 10*time.Second, "database/creds/web", 0)
		leased <- err
	}()
	if token := <-asked; token != "hvs.1" {
		t.Errorf("asked with %s", token)
	}
	if _, err := get(t, s, 10*time.Second, "db", 0); err != nil || logins != 2 {
		t.Errorf("%d logins, %v", logins, err)
	}
	close(again)
	if err := <-leased; err != nil {
		t.Fatal(err)
	}
	id := sha256.Sum256([]byte("hvs.1"))
	if got := records(t, c, 1)[0].Session; !strings.HasSuffix(got, "."+hex.EncodeToString(id[:8])) {
		t.Errorf("it is recorded with the session %q", got)
	}
}

// TestStrangeLeases has what the real server does not answer.
func TestStrangeLeases(t *testing.T) {
	revoked := 0
	body := ""
	c, _ := fake(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/sys/leases/revoke" {
			revoked++
			w.WriteHeader(http.StatusNoContent)
			return
		}
		answer(200, "application/json", body)(0, w, r)
	})
	c.Dynamic, c.StateDir = []string{"database/creds"}, stateOf(t, "1m")
	for name, text := range map[string]string{
		"no data":      `{"lease_id":"database/creds/web/1","lease_duration":60,"data":null}`,
		"data is text": `{"lease_id":"database/creds/web/1","lease_duration":-1,"data":"x"}`,
	} {
		body, revoked = text, 0
		s := sourceFor(t, c, running)
		_, err := get(t, s, 5*time.Second, "database/creds/web", 0)
		wantFault(t, err, fault.Unreachable, "not Vault's")
		records(t, c, 1)
		if err := s.Release(t.Context()); err != nil || revoked != 1 {
			t.Errorf("%s: revoked %d times: %v", name, revoked, err)
		}
		records(t, c, 0)
	}
}

// TestEndlessLease has a server give times that no clock can count with: what is
// recorded has to be of use to the keeper all the same.
func TestEndlessLease(t *testing.T) {
	for _, given := range []int64{9_223_372_036, 9_223_372_037, math.MaxInt64} {
		c, _ := fake(t, func(_ int, w http.ResponseWriter, r *http.Request) {
			answer(200, "application/json", fmt.Sprintf(`{"lease_id":"database/creds/web/1","lease_duration":%d,"renewable":true,"data":{"K":"v"}}`, given))(0, w, r)
		})
		c.Dynamic, c.StateDir = []string{"database/creds"}, stateOf(t, "1m")
		s := sourceFor(t, c, running)
		if _, err := get(t, s, 5*time.Second, "database/creds/web", 0); err != nil {
			t.Fatal(err)
		}
		least := 365 * 24 * time.Hour
		if r := records(t, c, 1)[0]; r.TTL < least || r.Asked != r.TTL || r.Expires() < r.TTL || 4*r.TTL < r.TTL {
			t.Errorf("%d seconds are recorded as %v", given, r.TTL)
		}
		if ttl, _, err := s.Renew(t.Context(), "database/creds/web/1", time.Hour); err != nil || ttl < least || 4*ttl < ttl {
			t.Errorf("%d seconds are renewed as %v: %v", given, ttl, err)
		}
	}
}

// TestDynamicPaths has the paths below which no name may lead: beside those that
// are none, the server's own, and those around the prefix.
func TestDynamicPaths(t *testing.T) {
	c := vault.Config{
		Addresses: []string{"https://vault.example:8200"}, Mount: "team/kv", Prefix: "containers", Auth: vault.Auth{Method: "token", Token: resolver.NewValue(token)},
	}
	for _, path := range []string{
		"", "..", "a//b", "a/../b", "a b", "a/*", "sys", "/sys/raw/", "auth/token", "identity/oidc/token", "cubbyhole",
		"team", "team/kv", "/team/kv/", "team/kv/data/other",
	} {
		c.Dynamic = []string{"database/creds", path}
		if _, err := vault.New(c, running); !errors.Is(err, fault.Settings) {
			t.Errorf("%q: %v", path, err)
		}
	}
	for _, path := range []string{"team/kv2/data", "teams", "team/database/creds", "database/creds/sys", "authority/creds", "secret"} {
		c.Dynamic = []string{path}
		if _, err := vault.New(c, running); err != nil {
			t.Errorf("%q: %v", path, err)
		}
	}
}
