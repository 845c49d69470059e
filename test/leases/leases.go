// SPDX-License-Identifier: Apache-2.0

// Package leases is what the tests of dynamic secrets stand on: a real
// PostgreSQL, a real Vault that makes users of it, the settings for that, and the
// keeper of leases. What a lease is worth is seen at the database: who may log in.
package leases

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/test/postgres"
	"github.com/oci-secrets/oci-secrets/test/rig"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// Patience bounds what a test waits for.
const Patience = 30 * time.Second

// Policy is what the login of a host with dynamic secrets may do.
const Policy = `
path "database/creds/*" { capabilities = ["read"] }
path "secret/*" { capabilities = ["read"] }
path "sys/leases/renew" { capabilities = ["update"] }
path "sys/leases/revoke" { capabilities = ["update"] }
`

// Site is a database and the Vault that has it, for a test binary.
type Site struct {
	DB    *postgres.Server
	Vault *vaulttest.Server

	once sync.Once
	err  error
	ids  sync.Mutex
}

// open starts both, when the first test needs them.
func (s *Site) open(tb testing.TB) {
	tb.Helper()
	s.once.Do(func() {
		if s.DB, s.err = postgres.Launch(); s.err != nil {
			return
		}
		if s.Vault, s.err = vaulttest.Launch(vaulttest.Options{}); s.err != nil {
			return
		}
		s.Vault.Mount(tb, "secret", 2)
		s.Vault.Policy(tb, "host", Policy)
	})
	if s.err != nil {
		tb.Fatal(s.err)
	}
}

// Close ends both, for TestMain.
func (s *Site) Close() {
	if s.Vault != nil {
		s.Vault.Close()
	}
	if s.DB != nil {
		s.DB.Close()
	}
}

// Host is where containers get users of the database.
type Host struct {
	*Site
	Name   string   // of its role: vault:database/creds/NAME
	Config string   // the settings
	Enter  []string // the command that enters the mount namespace of the engine; nil for none
}

// Host writes settings with a login of the host's own into dir, for a role whose
// users live for ttl, and with renewals for maxTTL. more is added to [vault].
func (s *Site) Host(tb testing.TB, dir, stateDir string, ttl, maxTTL time.Duration, more string) *Host {
	tb.Helper()
	s.ids.Lock() // the engine and the auth method are made by the first one
	defer s.ids.Unlock()
	s.open(tb)
	h := &Host{Site: s, Config: filepath.Join(dir, "config.toml"), Name: "r" + strings.ToLower(rig.Canary()[7:19])}
	s.Vault.Database(tb, "database", h.Name, s.DB, ttl, maxTTL)
	roleID, secretID := s.Vault.AppRole(tb, "approle", h.Name, "host")
	rig.WriteFile(tb, filepath.Join(dir, "secret-id"), secretID, 0o600)
	rig.WriteFile(tb, filepath.Join(dir, "ca.pem"), rig.ReadFile(tb, s.Vault.CAFile), 0o644)
	rig.WriteFile(tb, h.Config, fmt.Sprintf(`state_dir = %q
[vault]
address = %q
ca_cert = "ca.pem"
dynamic = ["database/creds"]
[vault.auth]
method = "approle"
role_id = %q
secret_id_file = "secret-id"
%s`, stateDir, s.Vault.Address, roleID, more), 0o600)
	return h
}

// Asks is the annotation of a container that gets a user of the database.
func (h *Host) Asks() string {
	return fmt.Sprintf("vault:database/creds/%s#username=DB_USER#password=DB_PASSWORD", h.Name)
}

// Lease is one line of `oci-secrets leases`.
type Lease struct {
	Container, Path, Lease, State string
	ExpiresIn                     int `json:"expires_in"`
	Renewable                     bool
}

// Leases is what `oci-secrets leases` says.
func (h *Host) Leases(tb testing.TB) []Lease {
	tb.Helper()
	r := rig.MustRun(tb, append(h.Enter, rig.Binary(tb), "leases", "--json", "--config", h.Config)...)
	var list []Lease
	if err := json.Unmarshal([]byte(r.Stdout), &list); err != nil {
		tb.Fatalf("%v: %s", err, r.Stdout)
	}
	return list
}

// User is a user of the database that a container got.
type User struct {
	Name, Password string
	since          time.Time
}

// User checks that the container which has env can log in with it.
func (h *Host) User(tb testing.TB, env []string) User {
	tb.Helper()
	var u User
	u.Name, _ = rig.Value(env, "DB_USER")
	u.Password, _ = rig.Value(env, "DB_PASSWORD")
	u.since = time.Now()
	h.WantUser(tb, u)
	return u
}

// WantUser checks that a user can log in.
func (h *Host) WantUser(tb testing.TB, u User) {
	tb.Helper()
	if u.Name == "" || u.Password == "" {
		tb.Fatal("the container got no user")
	}
	if err := h.DB.Login(tb, u.Name, u.Password); err != nil {
		tb.Fatalf("the container's user cannot log in: %v", err)
	}
}

// WantUserFor checks that a user can log in all the time until so long after it
// was got.
func (h *Host) WantUserFor(tb testing.TB, u User, age time.Duration) {
	tb.Helper()
	for {
		h.WantUser(tb, u)
		if time.Since(u.since) > age {
			return
		}
		time.Sleep(200 * time.Millisecond) // between two logins
	}
}

// WantNoUser waits until a user is gone, which must be before it would be by
// itself, and the record with it.
func (h *Host) WantNoUser(tb testing.TB, u User) {
	tb.Helper()
	h.DB.WaitRole(tb, u.Name, false, Patience)
	rig.Eventually(tb, "the record is gone", func() bool { return len(h.Leases(tb)) == 0 })
}

// WantNoUsers waits until no user of the host's role is there.
func (h *Host) WantNoUsers(tb testing.TB) {
	tb.Helper()
	rig.Eventually(tb, "no user of the role is left", func() bool {
		for _, role := range h.DB.Roles(tb) {
			if strings.Contains(role, h.Name[:8]) {
				return false
			}
		}
		return true
	})
	if list := h.Leases(tb); len(list) != 0 {
		tb.Errorf("recorded are %+v", list)
	}
}

// Keeper is a running `oci-secrets leases keep`.
type Keeper struct {
	cmd *exec.Cmd
	log string
}

// Keep runs the keeper until the test ends.
func (h *Host) Keep(tb testing.TB) *Keeper {
	tb.Helper()
	log, err := os.CreateTemp(tb.TempDir(), "keeper")
	if err != nil {
		tb.Fatal(err)
	}
	argv := append(append([]string{}, h.Enter...), rig.Binary(tb), "leases", "keep", "--config", h.Config)
	k := &Keeper{exec.Command(argv[0], argv[1:]...), log.Name()}
	k.cmd.Stderr = log
	if err := errors.Join(k.cmd.Start(), log.Close()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if code := k.End(syscall.SIGTERM); code != 0 && code != -1 {
			tb.Errorf("the keeper ended with %d: %s", code, k.Log(tb))
		}
	})
	return k
}

// End ends the keeper with a signal, if it has not ended, and gives its exit code.
func (k *Keeper) End(signal syscall.Signal) int {
	if k.cmd.ProcessState == nil {
		_ = k.cmd.Process.Signal(signal)
		_ = k.cmd.Wait() // what it has to say is in the log
	}
	return k.cmd.ProcessState.ExitCode()
}

// Log is what the keeper has told.
func (k *Keeper) Log(tb testing.TB) string {
	tb.Helper()
	return rig.ReadFile(tb, k.log)
}

// Tells waits until the keeper has told something.
func (k *Keeper) Tells(tb testing.TB, text string) {
	tb.Helper()
	rig.Eventually(tb, "the keeper tells "+text, func() bool { return strings.Contains(k.Log(tb), text) })
}
