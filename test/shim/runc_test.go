// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// host is a site with the real runc, and a bundle on it.
type host struct {
	*site
	*rig.Runtime
	bundle *rig.Bundle
}

// newHost makes a bundle whose program is a shell script.
func newHost(t *testing.T, script string) *host {
	t.Helper()
	r := rig.NewRuntime(t, rig.Runc)
	h := &host{newSite(t, r.Argv()[0]), r, rig.NewBundle(t, "", nil)}
	rig.CopyFile(t, "/bin/busybox", filepath.Join(h.bundle.Dir, "rootfs/busybox"), 0o755)
	h.bundle.Spec.Process.Args = []string{"/busybox", "sh", "-c", script}
	h.bundle.Write(t)
	return h
}

// command is runc's, or the shim's where asking.
func (h *host) command(asking bool, args ...string) []string {
	argv := h.Argv(args...)
	if asking {
		argv[0] = h.shim
	}
	return argv
}

func (h *host) do(t *testing.T, asking bool, args ...string) rig.Result {
	t.Helper()
	return rig.RunWith(t, h.env, "", h.command(asking, args...)...)
}

// each runs a test with runc, and with the shim and a container that asks.
func each(t *testing.T, script string, test func(t *testing.T, h *host, asking bool)) {
	t.Helper()
	for name, asking := range map[string]bool{"runc": false, "shim": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, script)
			if asking {
				h.bundle.Annotate("secrets.oci/from", "db")
				h.bundle.Write(t)
			}
			test(t, h, asking)
		})
	}
}

// timestamp is what runc puts before a message.
var timestamp = regexp.MustCompile(`time="?[^ "]+"? `)

// TestOutput compares all that runc prints with what it prints through the
// shim: what engines parse, and what users read.
func TestOutput(t *testing.T) {
	t.Parallel()
	h := newHost(t, "exec /busybox sleep 1000")
	h.bundle.Annotate("secrets.oci/from", "db")
	h.bundle.Write(t)
	id := h.bundle.ID
	if res := h.do(t, true, "run", "--detach", "--bundle", h.bundle.Dir, id); res.Code != 0 {
		t.Fatalf("%+v", res)
	}
	var state specs.State
	if err := json.Unmarshal([]byte(h.do(t, true, "state", id).Stdout), &state); err != nil || state.Bundle != h.bundle.Dir {
		t.Errorf("the state's bundle is %q: %v", state.Bundle, err)
	}
	for _, args := range [][]string{
		{"--version"},
		{"features"},
		{"--help"},
		{"create", "--help"},
		{"exec", "-h"},
		{"help", "run"},
		{},
		{"state", id},
		{"list"},
		{"list", "--quiet"},
		{"list", "--format", "json"},
		{"ps", id, "-o", "pid,ppid,user,args"}, // and not how busy it is
		{"ps", "--format", "json", id},
		{"events", "--stats", id},
		{"exec", id, "/busybox", "echo", "out"},
		{"exec", id, "/busybox", "sh", "-c", "echo err >&2; exit 7"},
		{"exec", "--cwd", "/tmp", "--env", "A=b c", "--user", "5:6", id, "/busybox", "sh", "-c", "pwd; echo $A; /busybox id -u"},
		{"exec", id, "/nothing"},
		{"exec", id},
		{"exec", "nothing", "true"},
		{"create"},
		{"create", "--bundle", "/nothing", "c"},
		{"create", "--bundle", h.bundle.Dir, id},
		{"run", "--bundle", h.bundle.Dir, "a/b"},
		{"run", "--bundle", h.bundle.Dir, "--nothing", "c"},
		{"run", "--bundle", h.bundle.Dir},
		{"state", "nothing"},
		{"kill", "nothing"},
		{"nothing"},
		{"nothing", "--help"},
	} {
		direct, shimmed := h.do(t, false, args...), h.do(t, true, args...)
		direct.Stderr, shimmed.Stderr = timestamp.ReplaceAllString(direct.Stderr, ""), timestamp.ReplaceAllString(shimmed.Stderr, "")
		if diff := cmp.Diff(direct, shimmed); diff != "" {
			t.Errorf("%q: %s", args, diff)
		}
	}
	written := func(asking bool) string {
		dir := t.TempDir()
		h.do(t, asking, "spec", "--bundle", dir)
		b, err := os.ReadFile(filepath.Join(dir, "config.json"))
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	if diff := cmp.Diff(written(false), written(true)); diff != "" {
		t.Errorf("spec: %s", diff)
	}
}

// TestRun has a container's output and exit code be those of run, and no more.
func TestRun(t *testing.T) {
	t.Parallel()
	each(t, "echo out; echo err >&2; exit 42", func(t *testing.T, h *host, asking bool) {
		if got, want := h.do(t, asking, "run", "--bundle", h.bundle.Dir, h.bundle.ID), (rig.Result{Stdout: "out\n", Stderr: "err\n", Code: 42}); got != want {
			t.Errorf("got %+v", got)
		}
	})
}

// TestSignal sends a signal to the runtime in the foreground, which is the
// process that the engine started and passes it on.
func TestSignal(t *testing.T) {
	t.Parallel()
	each(t, "trap 'exit 43' TERM; echo ready; while :; do /busybox sleep 0.1; done", func(t *testing.T, h *host, asking bool) {
		argv := h.command(asking, "run", "--bundle", h.bundle.Dir, h.bundle.ID)
		cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
		cmd.Env = h.env
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ready := make([]byte, 6)
		if _, err := out.Read(ready); err != nil {
			t.Errorf("read from the container: %v", err)
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // the exit code tells
		if code := cmd.ProcessState.ExitCode(); code != 43 {
			t.Errorf("exit code %d", code)
		}
	})
}
