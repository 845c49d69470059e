// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/memory"
	"github.com/oci-secrets/oci-secrets/resolver/vault"
	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// sharedDir is a state directory, as package memory makes it.
func sharedDir(t *testing.T) string {
	t.Helper()
	above, err := os.MkdirTemp("/dev/shm", "oci-secrets-vault-") // where a user has a tmpfs, too
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(above, "state")
	t.Cleanup(func() {
		_ = unix.Unmount(dir, unix.MNT_DETACH) // for a user it is none
		if err := os.RemoveAll(above); err != nil {
			t.Error(err)
		}
	})
	root, err := memory.Make(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := root.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

var roles atomic.Int64

// appRole is the settings of a role of its own, which may read below containers,
// and a state directory.
func appRole(t *testing.T, tokens vaulttest.Tokens) vault.Config {
	t.Helper()
	server.Policy(t, "shared", `path "secret/data/containers/shared/*" { capabilities = ["read"] }`)
	server.Put(t, 2, kv2, "containers/shared/db", map[string]any{"K": canary})
	tokens.Policies = []string{"shared"}
	roleID, secretID := server.AppRoleWith(t, "approle", fmt.Sprintf("shared-%d", roles.Add(1)), tokens)
	c := config(server, kv2, "")
	c.StateDir = sharedDir(t)
	c.Auth = vault.Auth{Method: "approle", RoleID: roleID, SecretIDFile: file(t, secretID)}
	return c
}

// start is one container's start, as far as the source is concerned: it reads
// names with a new Source.
func start(t *testing.T, c vault.Config, deadline time.Duration, names ...string) (*resolver.Record, error) {
	t.Helper()
	record := &resolver.Record{}
	ctx, cancel := context.WithTimeout(resolver.WithRecord(t.Context(), record), deadline)
	defer cancel()
	s := source(t, c)
	var err error
	for _, name := range names {
		var secret *resolver.Secret
		if secret, err = s.Get(ctx, name, 0); err != nil {
			harmless(t, err)
			break
		}
		if got := reveal(t, secret)["K"]; got != canary {
			t.Errorf("K is %q", got)
		}
	}
	if text := fmt.Sprint(record.Notes()); strings.Contains(text, "hvs.") || strings.Contains(text, canary) {
		t.Errorf("a note holds a secret: %s", text)
	}
	return record, err
}

// succeed is a start that must succeed.
func succeed(t *testing.T, c vault.Config, names ...string) *resolver.Record {
	t.Helper()
	record, err := start(t, c, 30*time.Second, names...)
	if err != nil {
		t.Error(err)
	}
	return record
}

// together runs f n times at once.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			f(i)
		}()
	}
	wg.Wait()
}

// counts are numbers of requests.
type counts struct{ logins, renewals, mounts, reads, revoked int }

// counted counts what the server got while f ran.
func counted(t *testing.T, f func()) (n counts) {
	t.Helper()
	for _, c := range server.Calls(t, f) {
		switch {
		case c.Login():
			n.logins++
		case strings.HasPrefix(c.Path, "auth/token/renew-self"):
			n.renewals++
		case strings.HasPrefix(c.Path, "auth/token/revoke-self"):
			n.revoked++
		case strings.HasPrefix(c.Path, "sys/internal/ui/mounts/"):
			n.mounts++
		case strings.Contains(c.Path, "containers/"):
			n.reads++
		default:
			t.Errorf("an unexpected request: %s %s", c.Operation, c.Path)
		}
	}
	return n
}

func wantCounts(t *testing.T, what string, got, want counts) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %+v, want %+v", what, got, want)
	}
}

// kept gives the one file of the state directory that a pattern matches.
func kept(t *testing.T, dir, pattern string) string {
	t.Helper()
	var found []string
	for _, f := range files(t, dir) {
		if regexp.MustCompile(pattern).MatchString(f) {
			found = append(found, f)
		}
	}
	if len(found) != 1 {
		t.Fatalf("files like %s: %q of %q", pattern, found, files(t, dir))
	}
	return filepath.Join(dir, "vault", found[0])
}

const aToken, aMount, aRefusal = `^[0-9a-f]{64}$`, `\.mount$`, `\.refused$`

// files are the names in the folder of package vault.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "vault"))
	if err != nil && !os.IsNotExist(err) { //nolint:forbidigo // a test's own directory
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// edit changes a file there.
func edit(t *testing.T, file string, change func(map[string]any)) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	record := map[string]any{}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&record); err != nil {
		t.Fatal(err)
	}
	change(record)
	if data, err = json.Marshal(record); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// endsIn makes a kept token one that ends then.
func endsIn(t *testing.T, dir string, d time.Duration) {
	t.Helper()
	edit(t, kept(t, dir, aToken), func(r map[string]any) { r["Expires"] = sinceBoot(t) + d })
}

func sinceBoot(t *testing.T) time.Duration {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		t.Fatal(err)
	}
	return time.Duration(now.Nano())
}

// tokenOf is the token that is kept.
func tokenOf(t *testing.T, dir string) (token string) {
	t.Helper()
	edit(t, kept(t, dir, aToken), func(r map[string]any) { token = r["Token"].(string) })
	return token
}

// TestStorm has two hundred starts at once, and then two hundred again.
func TestStorm(t *testing.T) {
	const starts = 200
	c := appRole(t, vaulttest.Tokens{TTL: time.Hour})
	storm := func() { together(starts, func(int) { succeed(t, c, "shared/db") }) }
	wantCounts(t, "cold", counted(t, storm), counts{logins: 1, mounts: 1, reads: starts})
	wantCounts(t, "warm", counted(t, storm), counts{reads: starts})
	info, err := os.Stat(kept(t, c.StateDir, aToken))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("the token's file: %v, %v", info.Mode(), err)
	}
}

// A Source in a process of its own gets its settings from this variable.
const processEnv = "OCI_SECRETS_TEST_VAULT_PROCESS"

// process is the start of one container in a process of its own.
func process(t *testing.T, c vault.Config) *exec.Cmd {
	t.Helper()
	settings, err := json.Marshal([]string{c.Addresses[0], c.CACert, c.StateDir, c.Auth.RoleID, c.Auth.SecretIDFile})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = []string{processEnv + "=" + string(settings)}
	return cmd
}

func runProcess(settings string) int {
	var fields []string
	if err := json.Unmarshal([]byte(settings), &fields); err != nil {
		return 2
	}
	s, err := vault.New(vault.Config{
		Addresses: fields[:1], CACert: fields[1], StateDir: fields[2], Prefix: "containers",
		Auth: vault.Auth{Method: "approle", RoleID: fields[3], SecretIDFile: fields[4]},
	}, resolver.Container{})
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		_, err = s.Get(ctx, "shared/db", 0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func TestStormOfProcesses(t *testing.T) {
	const starts = 25
	c := appRole(t, vaulttest.Tokens{TTL: time.Hour})
	storm := func() {
		together(starts, func(int) {
			if out, err := process(t, c).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wantCounts(t, "cold", counted(t, storm), counts{logins: 1, mounts: 1, reads: starts})
	wantCounts(t, "warm", counted(t, storm), counts{reads: starts})
}

const loginAnswer = `{"auth":{"client_token":"` + token + `","lease_duration":3600,"renewable":true}}`

// slowLogin is a server whose nth login (from 1) is answered by login.
func slowLogin(t *testing.T, login func(n int, w http.ResponseWriter, r *http.Request)) (vault.Config, *atomic.Int64) {
	t.Helper()
	c, _ := fake(t, answer(200, "application/json", readAnswer))
	logins := new(atomic.Int64)
	back := c.Addresses[0]
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/login") {
			// Without it the server does not see that the client is gone.
			_, _ = io.Copy(io.Discard, r.Body)
			login(int(logins.Add(1)), w, r)
			return
		}
		resp, err := http.Get(back + r.URL.Path) //nolint:gosec,noctx // the fake
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = io.Copy(w, resp.Body)
		_ = resp.Body.Close()
	}))
	t.Cleanup(srv.Close)
	c.Addresses, c.StateDir = []string{srv.URL}, sharedDir(t)
	c.Auth = vault.Auth{Method: "approle", RoleID: "role", SecretIDFile: file(t, "secret")}
	return c, logins
}

// A process that is killed while it logs in for all keeps nobody out.
func TestHolderKilled(t *testing.T) {
	arrived := make(chan struct{})
	c, logins := slowLogin(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			close(arrived)
			<-r.Context().Done()
			return
		}
		_, _ = io.WriteString(w, loginAnswer)
	})
	holder := process(t, c)
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	<-arrived
	done := make(chan struct{})
	go func() {
		defer close(done)
		together(20, func(int) { succeed(t, c, "shared/db") })
	}()
	select {
	case <-done:
		t.Error("they did not wait")
	case <-time.After(200 * time.Millisecond): // most of them are waiting
	}
	if n := logins.Load(); n != 1 {
		t.Errorf("%d logins while one was under way", n)
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait() // killed
	<-done
	if n := logins.Load(); n != 2 {
		t.Errorf("%d logins, want the one of who was killed and one more", n)
	}
}

// Who waits for another's login does not wait longer than for its own.
func TestHolderHangs(t *testing.T) {
	arrived := make(chan struct{})
	c, _ := slowLogin(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = source(t, c).Get(ctx, "db", 0) })
	defer wg.Wait()
	defer cancel()
	<-arrived
	begun := time.Now()
	_, err := start(t, c, 300*time.Millisecond, "db")
	wantFault(t, err, fault.Unreachable, "gave up waiting for the login of another")
	if d := time.Since(begun); d > 3*time.Second {
		t.Errorf("waited %s", d)
	}
}

// TestRenewal waits until a token is to be renewed, and sees that Vault did it.
func TestRenewal(t *testing.T) {
	t.Parallel()
	c := appRole(t, vaulttest.Tokens{TTL: 9 * time.Second, MaxTTL: time.Hour})
	succeed(t, c, "shared/db")
	before := tokenOf(t, c.StateDir)
	ttl := func() json.Number {
		got := server.Write(t, "auth/token/lookup", map[string]any{"token": before})
		return got.Data["ttl"].(json.Number)
	}
	if r := succeed(t, c, "shared/db").Counts(); r["vault_renewals"] != 0 || r["vault_logins"] != 0 {
		t.Errorf("renewed or got anew too early: %v", r)
	}
	edit(t, kept(t, c.StateDir, aToken), func(r map[string]any) {
		expires, err := r["Expires"].(json.Number).Int64()
		noError(t, err)
		time.Sleep(time.Duration(expires) - sinceBoot(t) - 2900*time.Millisecond) // less than a third, more than a sixth
	})
	var renewals, logins atomic.Int64
	together(10, func(int) {
		counts := succeed(t, c, "shared/db").Counts()
		renewals.Add(int64(counts["vault_renewals"]))
		logins.Add(int64(counts["vault_logins"]))
	})
	if renewals.Load() != 1 || logins.Load() != 0 {
		t.Errorf("%d renewals and %d logins, want one renewal", renewals.Load(), logins.Load())
	}
	if got := ttl(); got != "9" && got != "8" && got != "7" {
		t.Errorf("the ttl is %s", got)
	}
	if tokenOf(t, c.StateDir) != before {
		t.Error("it is another token")
	}
}

// TestTokensThatEnd has the ways in which a kept token stops being of use.
func TestTokensThatEnd(t *testing.T) {
	hour := vaulttest.Tokens{TTL: time.Hour, MaxTTL: 4 * time.Hour}
	short := vaulttest.Tokens{TTL: time.Minute, MaxTTL: time.Minute}
	for name, tt := range map[string]struct {
		tokens vaulttest.Tokens
		change func(t *testing.T, dir string)
		want   counts
		same   bool // token
	}{
		"new":                    {hour, func(*testing.T, string) {}, counts{reads: 1}, true},
		"a third is left":        {hour, func(t *testing.T, dir string) { endsIn(t, dir, 19*time.Minute) }, counts{renewals: 1, reads: 1}, true},
		"more than a third":      {hour, func(t *testing.T, dir string) { endsIn(t, dir, 21*time.Minute) }, counts{reads: 1}, true},
		"4 s are left":           {hour, func(t *testing.T, dir string) { endsIn(t, dir, 4*time.Second) }, counts{logins: 1, reads: 1}, false},
		"it has ended":           {hour, func(t *testing.T, dir string) { endsIn(t, dir, -time.Second) }, counts{logins: 1, reads: 1}, false},
		"max_ttl":                {short, func(t *testing.T, dir string) { longer(t, dir) }, counts{renewals: 1, logins: 1, reads: 1}, false},
		"revoked":                {hour, revoke, counts{logins: 1, mounts: 1, reads: 2}, false},
		"revoked, no mount":      {hour, func(t *testing.T, dir string) { revoke(t, dir); forgetMount(t, dir) }, counts{logins: 1, mounts: 2, reads: 1}, false},
		"revoked, to be renewed": {hour, func(t *testing.T, dir string) { revoke(t, dir); endsIn(t, dir, 19*time.Minute) }, counts{renewals: 1, logins: 1, reads: 1}, false},
		"batch":                  {vaulttest.Tokens{TTL: time.Hour, Batch: true}, func(t *testing.T, dir string) { endsIn(t, dir, 19*time.Minute) }, counts{reads: 1}, true},
		"batch, ends":            {vaulttest.Tokens{TTL: time.Hour, Batch: true}, func(t *testing.T, dir string) { endsIn(t, dir, 4*time.Second) }, counts{logins: 1, reads: 1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := appRole(t, tt.tokens)
			succeed(t, c, "shared/db")
			before := tokenOf(t, c.StateDir)
			if strings.HasPrefix(name, "batch") && !strings.HasPrefix(before, "hvb.") {
				t.Fatal("not a batch token")
			}
			tt.change(t, c.StateDir)
			wantCounts(t, "after that", counted(t, func() { succeed(t, c, "shared/db") }), tt.want)
			if same := tokenOf(t, c.StateDir) == before; same != tt.same {
				t.Errorf("the same token: %t", same)
			}
			wantCounts(t, "and then", counted(t, func() { succeed(t, c, "shared/db") }), counts{reads: 1})
		})
	}
}

// longer makes a token one that was good for longer than the server lets it be.
func longer(t *testing.T, dir string) {
	t.Helper()
	edit(t, kept(t, dir, aToken), func(r map[string]any) { r["TTL"], r["Expires"] = time.Hour, sinceBoot(t)+10*time.Minute })
}

func revoke(t *testing.T, dir string) {
	t.Helper()
	server.Revoke(t, tokenOf(t, dir))
}

func forgetMount(t *testing.T, dir string) {
	t.Helper()
	if err := os.Remove(kept(t, dir, aMount)); err != nil {
		t.Fatal(err)
	}
}

// A token that is revoked from outside costs one login, however many were about
// to use it: in one Source, and on the host.
func TestRevokedForMany(t *testing.T) {
	c := appRole(t, vaulttest.Tokens{TTL: time.Hour})
	succeed(t, c, "shared/db")
	revoke(t, c.StateDir)
	n := counted(t, func() {
		s := source(t, c)
		together(20, func(int) {
			if _, err := get(t, s, 30*time.Second, "shared/db", 0); err != nil {
				t.Error(err)
			}
		})
	})
	if n.logins != 1 {
		t.Errorf("one source: %+v", n)
	}
	revoke(t, c.StateDir)
	n = counted(t, func() { together(50, func(int) { succeed(t, c, "shared/db") }) })
	if n.logins != 1 || n.mounts > 50 {
		t.Errorf("many: %+v", n)
	}
}

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
	must(t, err)
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

	// A lease ends with its own token, so that one stays when another comes.
	if err := os.MkdirAll(filepath.Join(c.StateDir, "leases/a"), 0o700); err != nil {
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
