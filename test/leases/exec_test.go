// SPDX-License-Identifier: Apache-2.0

package leases

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// TestExecAgain has what a container got lost: exec leases anew, once for all that
// is executed in it, and that ends with the container.
func TestExecAgain(t *testing.T) {
	for _, runtime := range rig.Runtimes() {
		t.Run(runtime, func(t *testing.T) {
			t.Parallel()
			c := newContainer(t, runtime, long, time.Hour, "")
			c.Runtime = c.Shim(t, c.Bundle)
			pid, u := c.begin(t)
			report := func() User {
				r := rig.MustRun(t, c.Argv("exec", c.ID, rig.PayloadPath, "report")...)
				return c.host.User(t, rig.ParseReport(t, r.Stdout).Env)
			}
			if again := report(); again.Name != u.Name {
				t.Errorf("exec has %s, and the container %s", again.Name, u.Name)
			}
			if err := os.RemoveAll(filepath.Join(c.state, "exec")); err != nil {
				t.Fatal(err)
			}
			again := report()
			for range 2 {
				if third := report(); third.Name != again.Name {
					t.Errorf("exec has %s, and then %s", again.Name, third.Name)
				}
			}
			if list := c.host.Leases(t); len(list) != 2 {
				t.Errorf("leased are %+v", list)
			}
			c.signal(t, pid, syscall.SIGKILL)
			for _, l := range c.host.Leases(t) {
				if l.State != "gone" {
					t.Errorf("its container has ended: %+v", l)
				}
			}
			c.Delete(t, c.Bundle)
			c.host.WantNoUser(t, u)
			c.host.WantNoUser(t, again)
		})
	}
}

// TestExecFails leaves nothing of an exec that comes to nothing.
func TestExecFails(t *testing.T) {
	t.Parallel()
	c := newContainer(t, rig.Runc, long, time.Hour, "")
	c.Runtime = c.Shim(t, c.Bundle)
	c.begin(t)
	if err := os.RemoveAll(filepath.Join(c.state, "exec")); err != nil {
		t.Fatal(err)
	}
	process := filepath.Join(t.TempDir(), "process.json")
	rig.WriteFile(t, process, "nonsense", 0o600)
	if r := rig.Run(t, c.Argv("exec", "--process", process, c.ID)...); r.Code == 0 {
		t.Error("it did not fail")
	}
	if list := c.host.Leases(t); len(list) != 1 {
		t.Errorf("leased are %+v", list)
	}
	c.Delete(t, c.Bundle)
	c.host.WantNoUsers(t)
}
