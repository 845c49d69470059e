// SPDX-License-Identifier: Apache-2.0

package budget

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// TestWatch has starts that wait for what no context ends: podman does not read
// what its filter prints, and whoever reads the errors hangs, too.
func TestWatch(t *testing.T) {
	h := newHost(t)
	const short = 200 * time.Millisecond
	h.configure(t, short, "[dict]\npath = \"secrets.json\"\n")
	_, config := h.bundle(t, from(numbered("big#", "B=V%d", "#", 10)))
	for name, mute := range map[string]bool{"output": false, "output and errors": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			full, unread, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer full.Close()   //nolint:errcheck // nobody reads it
			defer unread.Close() //nolint:errcheck // the child has its own
			cmd := exec.Command(h.binary, "precreate", "--config", h.config)
			cmd.Env, cmd.Stdin, cmd.Stdout = h.env, strings.NewReader(config), unread
			errs, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
			if err != nil {
				t.Fatal(err)
			}
			defer errs.Close() //nolint:errcheck // its reader is below
			cmd.Stderr = errs
			if mute {
				cmd.Stderr = unread
			}
			time.AfterFunc(time.Minute, func() { _ = full.Close() }) // or it would wait for ever
			begun := time.Now()
			_ = cmd.Run() // its exit code says it
			took := time.Since(begun)
			if code := cmd.ProcessState.ExitCode(); code != 13 || took < short+overtime || took > short+overtime+2*slack {
				t.Errorf("exit code %d (%v) after %v", code, cmd.ProcessState.Sys().(syscall.WaitStatus), took)
			}
			const said = "oci-secrets: given up: something did not answer, 5s after the deadline\n"
			if got := rig.ReadFile(t, errs.Name()); !mute && got != said {
				t.Errorf("it said %q", got)
			}
		})
	}
}
