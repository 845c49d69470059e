// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/resolver/lease"
	"github.com/oci-secrets/oci-secrets/resolver/memory"
	"github.com/oci-secrets/oci-secrets/test/rig"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// site is a host whose containers get secrets from a Vault.
type site struct {
	*vaulttest.Server
	settings, state string
}

func newSite(t *testing.T, tokens vaulttest.Tokens) *site {
	t.Helper()
	s := &site{Server: vaulttest.Start(t, vaulttest.Options{})}
	above, err := os.MkdirTemp("/dev/shm", "oci-secrets-logout-") // where a user has a tmpfs, too
	if err != nil {
		t.Fatal(err)
	}
	s.state = filepath.Join(above, "state")
	t.Cleanup(func() {
		_ = unix.Unmount(s.state, unix.MNT_DETACH) // for a user it is none
		if err := os.RemoveAll(above); err != nil {
			t.Error(err)
		}
	})
	s.Mount(t, "secret", 2)
	s.Put(t, 2, "secret", "db", map[string]any{"K": "canary-logout"})
	s.Policy(t, "db", `path "secret/data/db" { capabilities = ["read"] }`)
	tokens.Policies = []string{"db"}
	roleID, secretID := s.AppRoleWith(t, "approle", "db", tokens)
	dir := t.TempDir()
	rig.WriteFile(t, dir+"/secret-id", secretID, 0o600)
	s.settings = dir + "/config.toml"
	rig.WriteFile(t, s.settings, fmt.Sprintf(`
deadline = "2s"
state_dir = %q
[vault]
address = %q
ca_cert = %q
auth.method = "approle"
auth.role_id = %q
auth.secret_id_file = "secret-id"
`, s.state, s.Address, s.CAFile, roleID), 0o600)
	return s
}

// starts has the source asked as a container's start does.
func (s *site) starts(t *testing.T) {
	t.Helper()
	rig.MustRun(t, rig.Binary(t), "explain", "--config", s.settings, "--annotation", "secrets.oci/from=db")
}

// logout runs the command, and wants its exit code and the lines of its output.
func (s *site) logout(t *testing.T, code int, want string, args ...string) rig.Result {
	t.Helper()
	r := rig.Run(t, append([]string{rig.Binary(t), "logout", "--config", s.settings}, args...)...)
	if r.Code != code || strings.TrimSpace(r.Stdout) != want {
		t.Errorf("exit code %d, want %d; %q, want %q\n%s", r.Code, code, r.Stdout, want, r.Stderr)
	}
	if strings.Contains(r.Stdout+r.Stderr, "hvs.") {
		t.Errorf("a token: %s%s", r.Stdout, r.Stderr)
	}
	return r
}

// tokens are the operations on tokens that the server got while f ran.
func (s *site) tokens(t *testing.T, f func()) (ops string) {
	t.Helper()
	for _, c := range s.Calls(t, f) {
		if strings.HasPrefix(c.Path, "auth/") {
			ops += strings.TrimPrefix(c.Path, "auth/") + " "
		}
	}
	return ops
}

func TestLogout(t *testing.T) {
	s := newSite(t, vaulttest.Tokens{TTL: time.Hour})
	nothing := "nothing to do: no login is kept in " + s.state
	s.logout(t, 0, nothing)
	if _, err := os.Stat(s.state); err == nil {
		t.Error("it made the state directory")
	}

	if ops := s.tokens(t, func() { s.starts(t); s.starts(t) }); ops != "approle/login " {
		t.Errorf("two starts: %q", ops)
	}
	const said = "revoked 1 token\nremoved what was remembered of mounts and refusals"
	if ops := s.tokens(t, func() { s.logout(t, 0, said) }); ops != "token/revoke-self " {
		t.Errorf("logout: %q", ops)
	}
	s.logout(t, 0, nothing)
	if ops := s.tokens(t, func() { s.starts(t) }); ops != "approle/login " {
		t.Errorf("a start after it: %q", ops)
	}

	// Leases end with their token.
	if err := lease.Put(s.state, lease.Record{Container: "web", ID: "database/creds/x/1"}); err != nil {
		t.Fatal(err)
	}
	r := s.logout(t, 12, "")
	if !strings.Contains(r.Stderr, "containers that run: web\n") || !strings.Contains(r.Stderr, "--force") {
		t.Error(r.Stderr)
	}
	s.logout(t, 0, said, "--force")
	if err := os.RemoveAll(filepath.Join(s.state, "leases")); err != nil {
		t.Fatal(err)
	}

	// What a start left that was killed is no lease.
	if err := os.MkdirAll(filepath.Join(s.state, "leases/a"), 0o700); err != nil {
		t.Fatal(err)
	}
	rig.WriteFile(t, filepath.Join(s.state, "leases/a/b.1073741824"), "{", 0o600)
	s.logout(t, 0, nothing)

	// An unwrapped secret id cannot be had again, nor one that is being unwrapped.
	s.starts(t)
	unwrapped := []string{filepath.Join(s.state, "vault/x.secret-id"), filepath.Join(s.state, "vault/y.secret-id.new")}
	for _, file := range unwrapped {
		rig.WriteFile(t, file, "id", 0o600)
	}
	const stays = "kept 1 unwrapped secret id, which cannot be had again"
	s.logout(t, 0, said+"\n"+stays)
	s.logout(t, 0, stays)
	for _, file := range unwrapped {
		if err := os.Remove(file); err != nil {
			t.Error(err)
		}
	}

	// The settings have changed since.
	s.starts(t)
	text, err := os.ReadFile(s.settings)
	if err != nil {
		t.Fatal(err)
	}
	rig.WriteFile(t, s.settings, strings.Replace(string(text), s.Address, "https://127.0.0.1:1", 1), 0o600)
	if ops := s.tokens(t, func() { s.logout(t, 0, said) }); ops != "token/revoke-self " {
		t.Errorf("logout: %q", ops)
	}
	rig.WriteFile(t, s.settings, string(text), 0o600)

	// Without the server all goes but the token's own end.
	s.starts(t)
	s.Stop()
	r = s.logout(t, 13, "removed what was remembered of mounts and refusals")
	if !strings.Contains(r.Stderr, "revoke the token: ") || !strings.Contains(r.Stderr, "; the token is removed here, and ends by itself in 59m5") {
		t.Error(r.Stderr)
	}
	s.logout(t, 0, nothing)
}

// Who asks in person gets an answer of the server, also a moment after a refusal.
func TestExplainAsksAgain(t *testing.T) {
	s := newSite(t, vaulttest.Tokens{TTL: time.Hour})
	rig.WriteFile(t, filepath.Join(filepath.Dir(s.settings), "secret-id"), "wrong", 0o600)
	ops := s.tokens(t, func() {
		for range 2 {
			r := rig.Run(t, rig.Binary(t), "explain", "--config", s.settings, "--annotation", "secrets.oci/from=db")
			if r.Code != 12 || strings.Contains(r.Stderr, "ago") {
				t.Errorf("exit code %d\n%s", r.Code, r.Stderr)
			}
		}
	})
	if ops != "approle/login approle/login " {
		t.Errorf("%q", ops)
	}
}

func TestLogoutOfBatchTokens(t *testing.T) {
	s := newSite(t, vaulttest.Tokens{TTL: time.Hour, Batch: true})
	s.starts(t)
	if ops := s.tokens(t, func() {
		s.logout(t, 0, "removed 1 token, which ends by itself\nremoved what was remembered of mounts and refusals")
	}); ops != "" {
		t.Errorf("asked for %q", ops)
	}
}

// TestUninstallForgets has what uninstall does with the state directory.
func TestUninstallForgets(t *testing.T) {
	s := newSite(t, vaulttest.Tokens{TTL: time.Hour})
	uninstall := func() string {
		t.Helper()
		var out strings.Builder
		if err := forget(cli.NewContext(&cli.App{Writer: &out}, nil, nil), s.state); err != nil {
			t.Error(err)
		}
		return out.String()
	}
	s.starts(t)
	if err := os.MkdirAll(filepath.Join(s.state, "leases/a"), 0o700); err != nil {
		t.Fatal(err)
	}
	rig.WriteFile(t, filepath.Join(s.state, "vault/x.secret-id"), "id", 0o600)
	rig.WriteFile(t, filepath.Join(s.state, "leases/a/b"), "{}", 0o600)
	if out := uninstall(); out != "note: logins to Vault are kept in "+s.state+"; oci-secrets logout ends them\n" {
		t.Errorf("%q", out)
	}
	if ops := s.tokens(t, func() { s.starts(t) }); ops != "" {
		t.Errorf("the token is gone: %q", ops)
	}
	if err := os.Rename(filepath.Join(s.state, "leases/a/b"), filepath.Join(s.state, "leases/a/b.1073741824")); err != nil { // of a start that was killed
		t.Fatal(err)
	}
	if ops := s.tokens(t, func() {
		out := uninstall()
		if !strings.HasPrefix(out, "note: removed Vault tokens without revoking them") || !strings.Contains(out, "\nnote: removed unwrapped secret ids") {
			t.Errorf("%q", out)
		}
	}); ops != "" {
		t.Errorf("asked for %q", ops)
	}
	if out := uninstall(); out != "" {
		t.Errorf("again: %q", out)
	}
	if err := memory.Release(s.state); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.state); err == nil {
		t.Error("the state directory is still there")
	}
}
