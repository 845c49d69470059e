// SPDX-License-Identifier: Apache-2.0

package budget

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// TestHook measures the hook where a real runtime runs it, for a container that gets
// much, and for one that cannot get what it asks for: of that nothing is kept.
func TestHook(t *testing.T) {
	for name, tt := range map[string]struct {
		list string
		code int
		said string
	}{
		"much":                           {list: numbered("big#", "B=V%d", "#", 12)},
		"more than fits":                 {numbered("big#", "B=V%d", "#", 47), 10, "do not fit: the stack may hold"},
		"more than any program's":        {numbered("big#", "B=V%d", "#", 1000), 10, "the variables are more than 6291456 bytes together"},
		"as many missing keys as can be": {numbered("big#", strings.Repeat("X", 200)+"%d", "#", 1000), 11, " more"},
	} {
		t.Run(name, func(t *testing.T) {
			r := rig.NewRuntime(t, rig.Runc11)
			b := rig.NewBundle(t, "", map[string]map[string]string{"big": {"B": strings.Repeat("v", 130_000)}})
			state := filepath.Join(t.TempDir(), "state")
			t.Cleanup(func() { _ = unix.Unmount(state, unix.MNT_DETACH) })
			line, costs := measured(t, rig.Binary(t), "hook", "--keep", state, "--config", b.Config)
			b.Hook(t, "prestart", line[0], line[1:]...)
			b.Annotate("secrets.oci/from", tt.list)
			b.Write(t)
			res := r.Run(t, b)
			c := costs()
			(&host{}).within(t, c, res, "")
			if c.Code != tt.code || !strings.Contains(res.Stderr, tt.said) || len(res.Stderr) > mostError+2000 { // which runc adds
				t.Errorf("exit code %d, %d bytes: %.1000s", c.Code, len(res.Stderr), res.Stderr)
			}
			kept, _ := os.ReadDir(filepath.Join(state, "exec")) // it need not be there
			if (len(kept) > 0) != (tt.code == 0) {
				t.Errorf("kept are %v", kept)
			}
		})
	}
}
