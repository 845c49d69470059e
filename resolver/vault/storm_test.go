// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/vault"
	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

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

// TestNothingIsLogged has what net/http would write of requests with these
// variables of a hook's caller: headers, the token among them.
func TestNothingIsLogged(t *testing.T) {
	c := appRole(t, vaulttest.Tokens{TTL: time.Hour})
	cmd := process(t, c)
	cmd.Env = append(cmd.Env, "GODEBUG=http2debug=2")
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%.1000s", err, out)
	}
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

// A login whose answer has no token that a request could carry is refused at once.
func TestNoToken(t *testing.T) {
	for _, given := range []string{``, `hvs.a\r\nX-Vault-Namespace: other`, `hvs.\u0000`, `hvs.\u00e9`} {
		c, _ := slowLogin(t, func(_ int, w http.ResponseWriter, r *http.Request) {
			answer(200, "application/json", `{"auth":{"client_token":"`+given+`","lease_duration":3600}}`)(0, w, r)
		})
		begun := time.Now()
		_, err := get(t, sourceFor(t, c, resolver.Container{}), 5*time.Second, "shared/db", 0)
		wantFault(t, err, fault.Refused, "gave no token")
		if d := time.Since(begun); d > 4*time.Second {
			t.Errorf("%q: it took %v", given, d)
		}
	}
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
