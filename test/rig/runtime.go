// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Runtime is a real OCI runtime with a state directory of its own.
type Runtime struct {
	Name   string
	State  string // the directory after --root
	prefix []string
}

// Names of the runtimes under test. runc is the one that go.mod pins; runc-1.1
// and crun are Debian's.
const (
	Runc   = "runc"
	Runc11 = "runc-1.1"
	Crun   = "crun"
)

// Runtimes are all of them.
func Runtimes() []string { return []string{Runc, Runc11, Crun} }

// NewRuntime gives the runtime of the given name. What is still in its state
// directory when the test ends is deleted.
func NewRuntime(tb testing.TB, name string) *Runtime {
	tb.Helper()
	NeedRoot(tb)
	r := &Runtime{Name: name, State: tb.TempDir()}
	switch name {
	case Runc:
		out, err := exec.Command(filepath.Join(Root(tb), "test/setup/runc.sh"), "--path").Output()
		path := strings.TrimSpace(string(out))
		if err != nil || path == "" {
			tb.Fatalf("find runc: %v", err)
		}
		if _, err := os.Stat(path); err != nil {
			tb.Fatalf("%v: build it with test/setup/runc.sh", err)
		}
		r.prefix = []string{path}
	case Runc11:
		r.prefix = []string{need(tb, "/usr/sbin/runc")}
	case Crun:
		crun := need(tb, "crun")
		// It leaves a file in /tmp when a container is killed at an early
		// moment, and it refuses a host that has both versions of control
		// groups mounted. So it gets mounts of its own, and bundles cannot be
		// in /tmp.
		script := `mount -t tmpfs tmpfs /tmp && exec "$@"`
		if _, err := os.Stat("/sys/fs/cgroup/unified"); err == nil {
			script = "umount -l /sys/fs/cgroup/unified && " + script
		}
		r.prefix = []string{"unshare", "-m", "sh", "-c", script, "sh", crun}
	default:
		tb.Fatalf("no runtime called %q", name)
	}
	tb.Cleanup(func() {
		entries, _ := os.ReadDir(r.State)
		for _, e := range entries {
			_ = exec.Command(r.prefix[0], append(r.args("delete", "--force"), e.Name())...).Run()
		}
	})
	return r
}

func need(tb testing.TB, program string) string {
	tb.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		tb.Fatalf("%v: install it with test/setup/packages.sh test", err)
	}
	return path
}

// Argv is the command line of the runtime with args.
func (r *Runtime) Argv(args ...string) []string {
	return append([]string{r.prefix[0]}, r.args(args...)...)
}

func (r *Runtime) args(args ...string) []string {
	return append(append(append([]string{}, r.prefix[1:]...), "--root", r.State), args...)
}

// Run runs the container of a bundle to its end.
func (r *Runtime) Run(tb testing.TB, b *Bundle) Result {
	tb.Helper()
	r.wantSeen(tb, b)
	return Run(tb, r.Argv("run", "--bundle", b.Dir, b.ID)...)
}

// Status is what the runtime says of a container: "created", "running",
// "stopped"; empty where it knows none.
func (r *Runtime) Status(tb testing.TB, id string) string {
	tb.Helper()
	res := Run(tb, r.Argv("state", id)...)
	var st specs.State
	if res.Code != 0 || json.Unmarshal([]byte(res.Stdout), &st) != nil {
		return ""
	}
	return string(st.Status)
}

// PID is the pid of a container's first process.
func (r *Runtime) PID(tb testing.TB, id string) int {
	tb.Helper()
	var st specs.State
	if err := json.Unmarshal([]byte(MustRun(tb, r.Argv("state", id)...).Stdout), &st); err != nil {
		tb.Fatal(err)
	}
	return st.Pid
}
