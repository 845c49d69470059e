// SPDX-License-Identifier: Apache-2.0

package podman

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/test/leases"
	"github.com/oci-secrets/oci-secrets/test/rig"
)

// database is what the tests of dynamic secrets share.
var database leases.Site

// newDatabaseHost gives a site settings with a database, whose users live for ttl.
func newDatabaseHost(t *testing.T, s *site, ttl time.Duration) *leases.Host {
	t.Helper()
	h := database.Host(t, filepath.Dir(s.config), s.stateDir(), ttl, time.Hour, "")
	for _, file := range []string{"config.toml", "secret-id", "ca.pem"} {
		s.own(t, filepath.Join(filepath.Dir(s.config), file))
	}
	h.Enter = s.argv(nil)
	h.Enter = h.Enter[:len(h.Enter)-1] // without podman
	return h
}

// begin starts a container that waits, and gives the user of the database that it
// got.
func begin(t *testing.T, s *site, h *leases.Host) (name string, u leases.User) {
	t.Helper()
	name = s.name(t)
	s.must(t, append([]string{"run", "--detach", "--name", name, from(h.Asks())}, s.wait()...)...)
	return name, h.User(t, s.report(t).Env)
}

// dynamic are the ways into podman; but rootless crun runs no poststop hooks, and
// there the keeper does it.
var dynamic = []mode{root, rootCrun, user1, root.as(), rootCrun.as(), user1.as()}

// A user of the database lives as long as the container that it was made for:
// past its first TTL, and not past the container's end, however that comes.
func TestLeases(t *testing.T) {
	each(t, append(dynamic, user1Crun, user1Crun.as()), func(t *testing.T, m mode) {
		const ttl = 4 * time.Second
		s := newSite(t, m, secrets{})
		h := newDatabaseHost(t, s, ttl)
		h.Keep(t)
		name, u := begin(t, s, h)
		h.WantUserFor(t, u, 2*ttl+ttl/2)
		s.must(t, "stop", name)
		h.WantNoUser(t, u)

		// The next start gets another one.
		s.must(t, "start", name)
		again := h.User(t, s.report(t).Env)
		if again.Name == u.Name {
			t.Error("the same user again")
		}
		s.must(t, "rm", "--force", "--time", "5", name)
		h.WantNoUser(t, again)
	})
}

// Without a keeper it is podman that has the hook called, after the container was
// killed, too.
func TestLeasesOfKilled(t *testing.T) {
	each(t, dynamic, func(t *testing.T, m mode) {
		s := newSite(t, m, secrets{})
		h := newDatabaseHost(t, s, 10*time.Minute)
		name, u := begin(t, s, h)
		if list := h.Leases(t); len(list) != 1 || list[0].State != "running" || !strings.HasPrefix(list[0].Lease, "database/creds/") {
			t.Errorf("leased is %+v", list)
		}
		var pid int
		if _, err := fmt.Sscan(s.must(t, "inspect", "--format", "{{.State.Pid}}", name), &pid); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		h.WantNoUser(t, u)
	})
}

// The keeper was killed, and the container and all that podman had beside it are,
// so that no hook is called.
func TestLeasesOfCrashed(t *testing.T) {
	s := newSite(t, root, secrets{})
	h := newDatabaseHost(t, s, 10*time.Minute)
	k := h.Keep(t)
	name, u := begin(t, s, h)
	k.End(syscall.SIGKILL)
	for _, field := range []string{"ConmonPid", "Pid"} {
		var pid int
		if _, err := fmt.Sscan(s.must(t, "inspect", "--format", "{{.State."+field+"}}", name), &pid); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		rig.AwaitEnd(t, field, pid)
	}
	h.WantUser(t, u)
	h.Keep(t)
	h.WantNoUser(t, u)
}

// A container that does not start leaves nothing, and one that is made by the
// filter gets nothing.
func TestLeasesOfRefused(t *testing.T) {
	each(t, append(dynamic, root.pre()), func(t *testing.T, m mode) {
		s := newSite(t, m, secrets{})
		h := newDatabaseHost(t, s, 10*time.Minute)
		r := s.podman(t, "run", "--rm", from(h.Asks()+" vault:none"), image)
		if r.Code == 0 || r.Stdout != "" {
			t.Errorf("exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
		}
		if m.precreate && !strings.Contains(r.Stderr, "exit status 16") && r.Code != 126 {
			t.Errorf("exit code %d\n%s", r.Code, r.Stderr)
		}
		h.WantNoUsers(t)
	})
}
