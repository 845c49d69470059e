// SPDX-License-Identifier: Apache-2.0

package budget

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/nri/pkg/adaptation"

	"github.com/oci-secrets/oci-secrets/test/nri"
	"github.com/oci-secrets/oci-secrets/test/rig"
)

// patience is how long engines wait for an answer of a plugin, before they drop it
// and start the container as it was.
const patience = adaptation.DefaultPluginRequestTimeout

// TestNRI has the engines' half of NRI show containers to the plugin and the guard:
// one with every shape of annotations, after one by which they are known to be there.
func TestNRI(t *testing.T) {
	adaptation.SetPluginRequestTimeout(time.Minute) // the machine may have much else to do
	defer adaptation.SetPluginRequestTimeout(patience)
	for name, flags := range map[string][]string{"plugin": nil, "guard": {"--guard"}} {
		for shape, s := range shapes() {
			t.Run(shape+"/"+name, func(t *testing.T) {
				e := nri.New(t)
				e.Start(t)
				line, costs := measured(t, append([]string{rig.Binary(t), "nri", "--socket", e.Socket}, flags...)...)
				cmd := exec.Command(line[0], line[1:]...)
				cmd.Env = []string{"HOME=" + e.Dir}
				var said strings.Builder
				cmd.Stdout, cmd.Stderr = &said, &said
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				rig.Eventually(t, "the plugin is there", func() bool {
					reply, err := e.Create(t, from("db"))
					return err != nil || len(reply.GetAdjust().GetHooks().GetCreateRuntime()) > 0
				})
				reply, err := e.Create(t, s)
				if end := cmd.Process.Signal(syscall.SIGTERM); end != nil {
					t.Fatal(end)
				}
				if ended := cmd.Wait(); ended != nil {
					t.Errorf("it ended with %v\n%s", ended, said.String())
				}
				c := costs()
				(&host{}).within(t, c, rig.Result{}, said.String())
				if c.CPU > patience {
					t.Errorf("it took %v of a processor", c.CPU)
				}
				if err != nil && len(err.Error()) > mostError {
					t.Errorf("it refused with %d bytes", len(err.Error()))
				}
				if size := reply.GetAdjust().SizeVT(); size > 3*full { // of keys, of values, and around them
					t.Errorf("it added %d bytes", size)
				}
			})
		}
	}
}
