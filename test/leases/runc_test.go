// SPDX-License-Identifier: Apache-2.0

package leases

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-secrets/oci-secrets/resolver/lease"
	"github.com/oci-secrets/oci-secrets/test/rig"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// site is what all tests share.
var site Site

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("/var/tmp", "oci-secrets-leases-")
	if err == nil {
		err = os.Chmod(dir, 0o755) // PostgreSQL is another user
	}
	if err == nil {
		err = os.Setenv("TMPDIR", dir)
	}
	if err != nil {
		panic(err)
	}
	code := m.Run()
	site.Close()
	rig.Cleanup()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// container is a bundle whose container asks for a user of the database.
type container struct {
	*rig.Bundle
	*rig.Runtime
	host  *Host
	state string // the state directory
	out   string
}

// long is longer than any test: what is gone before has not gone by itself.
const long = 10 * time.Minute

// newContainer makes a bundle with the hook under the given stages.
func newContainer(t *testing.T, runtime string, ttl, maxTTL time.Duration, more string, stages ...string) *container {
	t.Helper()
	return newContainerAt(t, &site, runtime, ttl, maxTTL, more, stages...)
}

// newContainerAt is newContainer with a Vault that a test may need alone.
func newContainerAt(t *testing.T, site *Site, runtime string, ttl, maxTTL time.Duration, more string, stages ...string) *container {
	t.Helper()
	c := &container{Runtime: rig.NewRuntime(t, runtime), Bundle: rig.NewBundle(t, "", nil)}
	c.state = c.StateDir(t)
	c.host = site.Host(t, filepath.Dir(c.Config), c.state, ttl, maxTTL, more)
	for _, stage := range stages {
		c.Hook(t, stage, rig.Binary(t), "hook", "--config", c.Config)
	}
	c.Annotate("secrets.oci/from", c.host.Asks())
	c.out = c.Out(t)
	c.Spec.Process.Args = []string{rig.PayloadPath, "wait", "/out/report"}
	c.Write(t)
	return c
}

// begin starts the container, and gives the pid of its init and the user it got.
func (c *container) begin(t *testing.T) (pid int, u User) {
	t.Helper()
	pid = c.Create(t, c.Bundle)
	c.Start(t, c.Bundle)
	return pid, c.host.User(t, rig.AwaitReport(t, c.out+"/report").Env)
}

func (c *container) signal(t *testing.T, pid int, signal syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, signal); err != nil {
		t.Fatal(err)
	}
	rig.AwaitEnd(t, "the container", pid)
}

// TestLifetime has the user of the database live past its first TTL, and end with
// its container.
func TestLifetime(t *testing.T) {
	const ttl = 3 * time.Second
	for _, runtime := range rig.Runtimes() {
		t.Run(runtime, func(t *testing.T) {
			t.Parallel()
			c := newContainer(t, runtime, ttl, time.Hour, "", "prestart", "poststop")
			k := c.host.Keep(t)
			pid, u := c.begin(t)
			list := c.host.Leases(t)
			if len(list) != 1 || list[0].Container != c.ID || list[0].State != "running" || !list[0].Renewable ||
				list[0].Path != "database/creds/"+c.host.Name || !strings.HasPrefix(list[0].Lease, list[0].Path+"/") {
				t.Errorf("leased is %+v", list)
			}
			c.host.WantUserFor(t, u, 2*ttl+ttl/2)
			c.signal(t, pid, syscall.SIGTERM)
			c.Delete(t, c.Bundle)
			c.host.WantNoUser(t, u)
			if log := k.Log(t); log != "" {
				t.Errorf("the keeper told %s", log)
			}
		})
	}
}

// TestPoststop has no keeper: the hook alone gives back what it leased.
func TestPoststop(t *testing.T) {
	for _, runtime := range rig.Runtimes() {
		t.Run(runtime, func(t *testing.T) {
			t.Parallel()
			c := newContainer(t, runtime, long, time.Hour, "", "createRuntime", "poststop")
			pid, u := c.begin(t)
			c.signal(t, pid, syscall.SIGKILL)
			c.Delete(t, c.Bundle)
			c.host.WantNoUser(t, u)
		})
	}
}

// TestNeverStarted has a container that is created, and deleted.
func TestNeverStarted(t *testing.T) {
	t.Parallel()
	c := newContainer(t, rig.Runc, long, time.Hour, "", "prestart", "poststop")
	c.Create(t, c.Bundle)
	if list := c.host.Leases(t); len(list) != 1 || len(c.host.DB.Roles(t)) == 0 {
		t.Errorf("leased is %+v", list)
	}
	c.Delete(t, c.Bundle)
	c.host.WantNoUsers(t)
}

// TestFailedStart asks for more than there is, and must leave nothing, poststop
// or not.
func TestFailedStart(t *testing.T) {
	t.Parallel()
	c := newContainer(t, rig.Runc, long, time.Hour, "", "prestart")
	for text, more := range map[string]string{
		"nothing at secret/data/none": " vault:none", "LD_PRELOAD": " vault:database/creds/" + c.host.Name + "#username=LD_PRELOAD",
	} {
		c.Annotate("secrets.oci/from", c.host.Asks()+more)
		c.Write(t)
		if r := c.Run(t, c.Bundle); r.Code == 0 || !strings.Contains(r.Stderr, text) {
			t.Errorf("%s: exit code %d: %s", more, r.Code, r.Stderr)
		}
		c.host.WantNoUsers(t)
	}
}

// TestFailedDelivery has everything that is asked for, and no room for it. crun
// sets limits before it calls hooks, so that the hook sees it.
func TestFailedDelivery(t *testing.T) {
	t.Parallel()
	c := newContainer(t, rig.Crun, long, time.Hour, "", "prestart")
	large := map[string]any{}
	for i := range 6 {
		large[fmt.Sprint("LARGE_", i)] = strings.Repeat("s", 100<<10)
	}
	c.host.Vault.Put(t, 2, "secret", c.host.Name, large)
	c.Annotate("secrets.oci/from", c.host.Asks()+" vault:"+c.host.Name)
	c.Spec.Process.Rlimits = append(c.Spec.Process.Rlimits, specs.POSIXRlimit{Type: "RLIMIT_STACK", Soft: 256 << 10, Hard: 256 << 10})
	c.Write(t)
	if r := c.Run(t, c.Bundle); !strings.Contains(r.Stderr, "exit code: 10") {
		t.Errorf("exit code %d: %s", r.Code, r.Stderr)
	}
	c.host.WantNoUsers(t)
}

// TestLoginOutlived has a lease that lives longer than the token it was made with
// would without the keeper.
func TestLoginOutlived(t *testing.T) {
	t.Parallel()
	const tokens = 6 * time.Second
	c := newContainer(t, rig.Runc, long, time.Hour, "", "prestart", "poststop")
	c.host.Vault.AppRoleWith(t, "approle", c.host.Name, vaulttest.Tokens{Policies: []string{"host"}, TTL: tokens})
	k := c.host.Keep(t)
	_, u := c.begin(t)
	c.host.WantUserFor(t, u, 3*tokens)
	c.Delete(t, c.Bundle)
	c.host.WantNoUser(t, u)
	if log := k.Log(t); log != "" {
		t.Errorf("the keeper told %s", log)
	}
}

// TestLoginMaxTTL has the login end before the lease that was made with it, which
// ends then, too: the container is stopped before.
func TestLoginMaxTTL(t *testing.T) {
	t.Parallel()
	c := newContainer(t, rig.Runc, long, time.Hour, "[vault.leases]\nat_max_ttl = \"stop\"\n", "prestart", "poststop")
	c.host.Vault.AppRoleWith(t, "approle", c.host.Name, vaulttest.Tokens{Policies: []string{"host"}, TTL: 6 * time.Second, MaxTTL: 10 * time.Second})
	k := c.host.Keep(t)
	pid, u := c.begin(t)
	k.Tells(t, "with the login that it was made with, which cannot be renewed: it is stopped before")
	c.host.WantUser(t, u)
	k.Tells(t, "told to stop")
	rig.AwaitEnd(t, "the container", pid)
	c.Delete(t, c.Bundle)
	c.host.WantNoUser(t, u)
}

// TestKilled has nobody but the keeper to notice that the container is gone.
func TestKilled(t *testing.T) {
	t.Parallel()
	c := newContainer(t, rig.Runc, long, time.Hour, "", "prestart", "poststop")
	k := c.host.Keep(t)
	pid, u := c.begin(t)
	c.signal(t, pid, syscall.SIGKILL)
	c.host.WantNoUser(t, u)
	k.Tells(t, "container "+c.ID+" is gone")
}

// TestKeeperKilled has the container end while there is no keeper, and no
// poststop.
func TestKeeperKilled(t *testing.T) {
	t.Parallel()
	c := newContainer(t, rig.Runc, long, time.Hour, "", "prestart")
	k := c.host.Keep(t)
	pid, u := c.begin(t)
	k.End(syscall.SIGKILL)
	c.signal(t, pid, syscall.SIGKILL)
	c.Delete(t, c.Bundle)
	if list := c.host.Leases(t); len(list) != 1 || list[0].State != "gone" {
		t.Errorf("leased is %+v", list)
	}
	c.host.WantUser(t, u)
	c.host.Keep(t)
	c.host.WantNoUser(t, u)
}

// TestKeeperReplaced has the next keeper go on where the first one was killed.
func TestKeeperReplaced(t *testing.T) {
	t.Parallel()
	const ttl = 4 * time.Second
	c := newContainer(t, rig.Runc, ttl, time.Hour, "", "prestart", "poststop")
	k := c.host.Keep(t)
	_, u := c.begin(t)
	c.host.WantUserFor(t, u, ttl+ttl/2)
	k.End(syscall.SIGKILL)
	c.host.Keep(t)
	c.host.WantUserFor(t, u, 3*ttl)
	c.Delete(t, c.Bundle)
	c.host.WantNoUser(t, u)
}

// TestVaultAway has a container stop while there is no Vault: the delete does not
// fail, and the keeper revokes when there is one again.
func TestVaultAway(t *testing.T) {
	t.Parallel()
	var own Site
	t.Cleanup(own.Close)
	c := newContainerAt(t, &own, rig.Runc, long, time.Hour, "", "prestart", "poststop")
	c.AddSettings(t, "deadline = \"1s\"\n")
	pid, u := c.begin(t)
	c.signal(t, pid, syscall.SIGKILL)
	own.Vault.Freeze(t)
	c.Delete(t, c.Bundle) // which must succeed
	c.host.WantUser(t, u)
	if list := c.host.Leases(t); len(list) != 1 || list[0].State != "gone" {
		t.Errorf("leased is %+v", list)
	}
	own.Vault.Thaw(t)
	c.host.Keep(t)
	c.host.WantNoUser(t, u)
}

// TestLogout has nobody but logout to revoke what is left of a container, and to
// forget what has ended by itself.
func TestLogout(t *testing.T) {
	t.Parallel()
	var own Site
	t.Cleanup(own.Close)
	c := newContainerAt(t, &own, rig.Runc, long, time.Hour, "", "prestart", "poststop")
	c.AddSettings(t, "deadline = \"1s\"\n")
	logout := func() rig.Result { return rig.Run(t, rig.Binary(t), "logout", "--config", c.Config) }
	pid, u := c.begin(t)
	if r := logout(); r.Code != 12 || !strings.Contains(r.Stderr, "containers that run: "+c.ID) {
		t.Errorf("exit code %d: %s", r.Code, r.Stderr)
	}
	c.signal(t, pid, syscall.SIGKILL)
	own.Vault.Freeze(t)
	c.Delete(t, c.Bundle)
	if r := logout(); r.Code == 0 || !strings.Contains(r.Stderr, "containers that are gone is not revoked") {
		t.Errorf("exit code %d: %s", r.Code, r.Stderr)
	}
	own.Vault.Thaw(t)
	ended := lease.Record{Container: c.ID, Bundle: c.Dir, Pid: pid, Started: "1", ID: "database/creds/ended/1", Session: "unknown"}
	if err := lease.Put(c.state, ended); err != nil {
		t.Fatal(err)
	}
	if r := logout(); r.Code != 0 || !strings.Contains(r.Stdout, "revoked 1 token") {
		t.Errorf("exit code %d: %s", r.Code, r.Stderr)
	}
	c.host.WantNoUser(t, u)
}

// TestSealed has the keeper stay while Vault is sealed, and do then what is left to
// do.
func TestSealed(t *testing.T) {
	t.Parallel()
	var own Site
	t.Cleanup(own.Close)
	c := newContainerAt(t, &own, rig.Runc, long, time.Hour, "", "prestart")
	k := c.host.Keep(t)
	pid, u := c.begin(t)
	own.Vault.Seal(t)
	c.signal(t, pid, syscall.SIGKILL)
	k.Tells(t, "Vault does not answer")
	c.host.WantUser(t, u)
	own.Vault.Unseal(t)
	c.host.WantNoUser(t, u)
	k.Tells(t, "Vault answers again")
	k.Tells(t, "is gone")
	if log := k.Log(t); strings.Count(log, "\n") != 3 {
		t.Errorf("the keeper told more than that:\n%s", log)
	}
}

// TestMaxTTL has a lease that cannot be renewed for ever.
func TestMaxTTL(t *testing.T) {
	const ttl, maxTTL = 4 * time.Second, 7 * time.Second
	t.Run("warn", func(t *testing.T) {
		t.Parallel()
		c := newContainer(t, rig.Runc, ttl, maxTTL, "[vault.leases]\nat_max_ttl = \"warn\"\n", "prestart", "poststop")
		k := c.host.Keep(t)
		pid, u := c.begin(t)
		k.Tells(t, "cannot be renewed: its credentials end then")
		c.host.WantUser(t, u)
		k.Tells(t, "has ended")
		c.host.DB.WaitRole(t, u.Name, false, Patience)
		if !rig.Alive(pid) {
			t.Error("the container was stopped")
		}
		c.Delete(t, c.Bundle)
		c.host.WantNoUser(t, u)
	})
	t.Run("stop", func(t *testing.T) {
		t.Parallel()
		c := newContainer(t, rig.Runc, ttl, maxTTL, "[vault.leases]\nat_max_ttl = \"stop\"\n", "prestart", "poststop")
		k := c.host.Keep(t)
		pid, u := c.begin(t)
		k.Tells(t, "told to stop")
		rig.AwaitEnd(t, "the container", pid)
		if log := k.Log(t); strings.Contains(log, "is killed") {
			t.Errorf("it was killed, and would have stopped:\n%s", log)
		}
		c.Delete(t, c.Bundle)
		c.host.WantNoUser(t, u)
	})
	t.Run("stop a stubborn one", func(t *testing.T) {
		t.Parallel()
		c := newContainer(t, rig.Runc, ttl, maxTTL, "[vault.leases]\nat_max_ttl = \"stop\"\n", "prestart", "poststop")
		// The first process of a pid namespace does not hear of SIGTERM.
		rig.CopyFile(t, "/bin/busybox", filepath.Join(c.Dir, "rootfs/busybox"), 0o755)
		c.Spec.Process.Args = []string{"/busybox", "sh", "-c", "/busybox sleep 600; :"}
		c.Write(t)
		k := c.host.Keep(t)
		pid := c.Create(t, c.Bundle)
		c.Start(t, c.Bundle)
		k.Tells(t, "is killed")
		rig.AwaitEnd(t, "the container", pid)
		c.Delete(t, c.Bundle)
		c.host.WantNoUsers(t)
	})
}

// TestExplain leaves nothing behind, of a container that there is not.
func TestExplain(t *testing.T) {
	t.Parallel()
	c := newContainer(t, rig.Runc, long, time.Hour, "")
	r := rig.MustRun(t, rig.Binary(t), "explain", "--config", c.Config, "--annotation", "secrets.oci/from="+c.host.Asks())
	if !strings.Contains(r.Stdout, "DB_PASSWORD") {
		t.Errorf("it says %s", r.Stdout)
	}
	c.host.WantNoUsers(t)
}

// TestSecondKeeper refuses, and the first one goes on.
func TestSecondKeeper(t *testing.T) {
	t.Parallel()
	const ttl = 3 * time.Second
	c := newContainer(t, rig.Runc, ttl, time.Hour, "", "prestart", "poststop")
	k := c.host.Keep(t)
	_, u := c.begin(t)
	c.host.WantUserFor(t, u, ttl+ttl/2) // so the first one is there
	r := rig.Run(t, rig.Binary(t), "leases", "keep", "--config", c.Config)
	if r.Code != 1 || !strings.Contains(r.Stderr, "have a keeper already") {
		t.Errorf("exit code %d: %s", r.Code, r.Stderr)
	}
	c.host.WantUserFor(t, u, 3*ttl)
	if code := k.End(syscall.SIGINT); code != 0 {
		t.Errorf("the first one ended with %d", code)
	}
	c.host.WantUser(t, u) // leases stay
}
