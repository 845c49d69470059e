// SPDX-License-Identifier: Apache-2.0

package budget

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// TestExec has an image with 80,000 variables, and an exec in its container that has
// them all, as engines write it, or asks for a few by flags.
func TestExec(t *testing.T) {
	h := newHost(t)
	var env []string
	for i := range 80_000 {
		env = append(env, fmt.Sprintf("VARIABLE_%d=x", i))
	}
	process := &specs.Process{Cwd: "/", Args: []string{"/bin/true"}, Env: env}
	write := func(path string, v any) string {
		t.Helper()
		text, err := json.Marshal(v)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(path), 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
		rig.WriteFile(t, path, string(text), 0o600)
		return path
	}
	bundle, root := filepath.Join(h.dir, "bundle"), filepath.Join(h.dir, "root")
	write(filepath.Join(bundle, "config.json"), specs.Spec{
		Version: "1.0.2", Process: process, Root: &specs.Root{Path: "rootfs"}, Annotations: from(numbered("wide#", "K%d", "#", 900)),
	})
	write(filepath.Join(root, "web", "state.json"), map[string]any{"config": map[string]any{"labels": []string{"bundle=" + bundle}}})
	file := write(filepath.Join(h.dir, "process.json"), process)
	for name, args := range map[string][]string{
		"a file": {"--process", file, "web"}, "a command line": {"--env", "A=B", "web", "/bin/true"},
	} {
		t.Run(name, func(t *testing.T) {
			h.forget(t)
			line, costs := measured(t, append([]string{h.shim, "--root", root, "exec"}, args...)...)
			res := rig.RunWith(t, h.env, "", line...)
			c := costs()
			h.within(t, c, res, res.Stdout+res.Stderr)
			if c.Code != 0 || text(h.log) == "" {
				t.Errorf("exit code %d: %s", c.Code, res.Stderr)
			}
		})
	}
}
