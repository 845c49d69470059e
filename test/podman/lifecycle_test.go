// SPDX-License-Identifier: Apache-2.0

package podman

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

func version(v string) secrets { return secrets{"db": {"DB_VERSION": v}} }

// Every start of a container asks anew, so a rotated value is there after it.
func TestRestart(t *testing.T) {
	each(t, every, func(t *testing.T, m mode) {
		s := newSite(t, m, version("1"))
		name := s.name(t)
		s.must(t, append([]string{"run", "--detach", "--name", name, from("db")}, s.wait()...)...)
		rig.WantVar(t, s.report(t).Env, "DB_VERSION", "1")

		s.have(t, version("2"))
		s.must(t, "restart", name)
		rig.WantVar(t, s.report(t).Env, "DB_VERSION", "2")

		s.must(t, "stop", name)
		s.have(t, version("3"))
		s.must(t, "start", name)
		rig.WantVar(t, s.report(t).Env, "DB_VERSION", "3")

		s.have(t, secrets{})
		if r := s.podman(t, "restart", name); r.Code == 0 || running(t, s, name) {
			t.Errorf("it restarted without its secret: exit code %d\n%s", r.Code, r.Stderr)
		}
		if _, err := os.Stat(s.vol + "/report"); err == nil {
			t.Error("the program ran without its secret")
		}

		s.have(t, version("4"))
		s.must(t, "start", name)
		rig.WantVar(t, s.report(t).Env, "DB_VERSION", "4")
	})
}

func running(t *testing.T, s *site, name string) bool {
	t.Helper()
	return s.must(t, "inspect", "--format", "{{.State.Running}}", name) == "true"
}

// A created container has no process yet; one that podman has initialised
// waits for its start with the values of that moment, and the tracer with it.
func TestStartLater(t *testing.T) {
	each(t, every, func(t *testing.T, m mode) {
		s := newSite(t, m, version("1"))
		name := s.name(t)
		s.must(t, append([]string{"create", "--name", name, from("db")}, s.wait()...)...)
		s.have(t, version("2"))
		s.must(t, "start", name)
		rig.WantVar(t, s.report(t).Env, "DB_VERSION", "2")

		// Another container: podman cleans up after one that ended whenever it
		// gets to it, and would initialise it once more.
		s.must(t, "stop", name)
		name = s.name(t)
		s.must(t, append([]string{"create", "--name", name, from("db")}, s.wait()...)...)
		s.must(t, "init", name)
		if n := len(tracers(t, s, name)); n != 1 && !m.precreate || n != 0 && m.precreate {
			t.Errorf("%d tracers wait", n)
		}
		s.have(t, version("3"))
		s.must(t, "start", name)
		rig.WantVar(t, s.report(t).Env, "DB_VERSION", "2")
		rig.Eventually(t, "no tracer is left", func() bool { return len(tracers(t, s, name)) == 0 })
	})
}

// The tracer of a container that is removed without a start ends with it.
func TestNeverStarted(t *testing.T) {
	each(t, inflight, func(t *testing.T, m mode) {
		s := newSite(t, m, version("1"))
		name := s.name(t)
		s.must(t, append([]string{"create", "--name", name, from("db")}, s.wait()...)...)
		s.must(t, "init", name)
		if n := len(tracers(t, s, name)); n != 1 {
			t.Fatalf("%d tracers wait", n)
		}
		id := s.must(t, "inspect", "--format", "{{.Id}}", name)
		s.must(t, "rm", "--force", "--time", "0", name)
		rig.Eventually(t, "the tracer ends", func() bool { return len(tracersOf(id)) == 0 })
		if _, err := os.Stat(s.vol + "/report"); err == nil {
			t.Error("the program ran")
		}
	})
}

// tracers are the command lines of the processes of ours that belong to a
// container.
func tracers(t *testing.T, s *site, name string) []string {
	t.Helper()
	return tracersOf(s.must(t, "inspect", "--format", "{{.Id}}", name))
}

func tracersOf(id string) []string {
	var found []string
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		cmdline, _ := os.ReadFile(f)
		program, rest, _ := strings.Cut(string(cmdline), "\x00")
		if strings.HasPrefix(program, "oci-secrets") && strings.Contains(rest, id) {
			found = append(found, fmt.Sprintf("%s: %q", f, cmdline))
		}
	}
	return found
}
