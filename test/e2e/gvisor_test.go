// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// TestGVisor lists the hook where the program is a process of another kernel:
// the pid is that of the sandbox, and the hook refuses it.
func TestGVisor(t *testing.T) {
	rig.NeedRoot(t)
	run := func(t *testing.T, b *rig.Bundle) rig.Result {
		b.Write(t)
		runsc := []string{"runsc", "--root", t.TempDir(), "--platform=ptrace", "--network=none", "--ignore-cgroups"}
		t.Cleanup(func() { _ = exec.Command(runsc[0], append(runsc[1:], "delete", "--force", b.ID)...).Run() })
		return rig.Run(t, append(runsc, "run", "--bundle", b.Dir, b.ID)...)
	}
	for _, stage := range []string{"prestart", "createRuntime"} {
		t.Run(stage, func(t *testing.T) {
			b, file := marking(t, stage, rig.Canary(), "mark")
			res := run(t, b)
			if res.Code == 0 || !strings.Contains(res.Stderr, "exit status 16") || !strings.Contains(res.Stderr, "gVisor") || !strings.Contains(res.Stderr, "hint: ") {
				t.Errorf("exit code %d\n%s", res.Code, res.Stderr)
			}
			if _, ran := rig.ReadReport(t, file); ran {
				t.Error("the program ran")
			}
		})
	}
	t.Run("without a request", func(t *testing.T) {
		b, file := marking(t, "createRuntime", rig.Canary(), "mark")
		delete(b.Spec.Annotations, from)
		if res := run(t, b); res.Code != 0 {
			t.Errorf("exit code %d\n%s", res.Code, res.Stderr)
		}
		if _, ran := rig.ReadReport(t, file); !ran {
			t.Error("the program did not run")
		}
	})
}
