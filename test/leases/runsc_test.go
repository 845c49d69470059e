// SPDX-License-Identifier: Apache-2.0

package leases

import (
	"os/exec"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// TestInSpec has containers that have no process on this kernel, and no variables
// for exec: there is a hook for what was leased all the same, and the keeper tells
// by the bundle that a container is gone.
func TestInSpec(t *testing.T) {
	begin := func(t *testing.T) (c *container, runsc []string, u User) {
		t.Parallel()
		c = newContainer(t, rig.Runc, long, time.Hour, "[runtime]\nexec = \"off\"\n")
		runsc = []string{
			"env", "OCI_SECRETS_CONFIG=" + c.Config, rig.Link(t, "oci-secrets-runtime-runsc"), "--root", t.TempDir(),
			"--platform=ptrace", "--network=none", "--ignore-cgroups",
		}
		runsc = runsc[:len(runsc):len(runsc)]
		t.Cleanup(func() { _ = exec.Command(runsc[0], append(runsc[1:], "delete", "--force", c.ID)...).Run() })
		rig.MustRun(t, append(runsc, "create", "--bundle", c.Dir, c.ID)...)
		rig.MustRun(t, append(runsc, "start", c.ID)...)
		u = c.host.User(t, rig.AwaitReport(t, c.out+"/report").Env)
		if list := c.host.Leases(t); len(list) != 1 || list[0].State != "running" {
			t.Errorf("leased is %+v", list)
		}
		return c, runsc, u
	}
	t.Run("poststop", func(t *testing.T) {
		c, runsc, u := begin(t)
		rig.MustRun(t, append(runsc, "delete", "--force", c.ID)...)
		c.host.WantNoUser(t, u)
	})
	t.Run("bundle is gone", func(t *testing.T) {
		c, _, u := begin(t)
		rig.MustRun(t, "mv", c.Dir, c.Dir+".gone")
		t.Cleanup(func() { _ = exec.Command("mv", c.Dir+".gone", c.Dir).Run() })
		c.host.Config = c.Dir + ".gone/settings/config.toml"
		c.host.Keep(t)
		c.host.WantNoUser(t, u)
	})
}
