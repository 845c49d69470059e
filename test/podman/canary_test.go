// SPDX-License-Identifier: Apache-2.0

package podman

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// Where the value is to be seen when precreate delivers it; README has the
// same table. In flight it is nowhere.
var (
	whileRunning = []string{
		"/proc/PID/environ",
		"GRAPHROOT/overlay-containers/ID/userdata/config.json",
		"podman --log-level=debug run",
		"podman inspect",
	}
	whileRunningCrun = []string{"RUN/crun/ID/config.json"} // and these
	afterEnd         = []string{
		"GRAPHROOT/overlay-containers/ID/userdata/config.json",
		"podman inspect",
	}
)

func TestCanary(t *testing.T) {
	each(t, every, func(t *testing.T, m mode) {
		canary := rig.Canary()
		s := newSite(t, m, secrets{"db": {"CANARY": canary}})
		name := s.name(t)

		started := s.podman(t, append([]string{"--log-level=debug", "run", "--detach", "--name", name, from("db")}, s.wait()...)...)
		if started.Code != 0 {
			t.Fatalf("exit code %d\n%s", started.Code, started.Stderr)
		}
		if !strings.Contains(started.Stderr, "level=debug") {
			t.Error("there is no debug log to search")
		}
		wantVar(t, s.report(t).Env, "CANARY", canary)
		id := s.must(t, "inspect", "--format", "{{.Id}}", name)

		check := func(when string, want []string, hits map[string]bool) {
			t.Helper()
			if d := cmp.Diff(slices.Sorted(slices.Values(want)), slices.Sorted(maps.Keys(hits)), equateEmpty); d != "" {
				t.Errorf("the value is seen %s (-want +got):\n%s", when, d)
			}
		}
		var running, ended []string
		if m.precreate {
			running, ended = whileRunning, afterEnd
			if m.runtime == "crun" {
				running = append(slices.Clone(whileRunningCrun), running...)
			}
		}

		hits := s.search(t, canary, id)
		s.said(t, hits, canary, name)
		hits.note(canary, "podman --log-level=debug run", started.Stdout+started.Stderr)
		s.committed(t, hits, canary, id, name)
		check("while the container runs", running, hits)

		s.must(t, "stop", name)
		hits = s.search(t, canary, id)
		s.said(t, hits, canary, name)
		check("when it has ended", ended, hits)

		s.must(t, "rm", name)
		check("when it is gone", nil, s.search(t, canary, id))
	})
}

// With --rm the whole log of a container's life is podman's output.
func TestCanaryDebugLog(t *testing.T) {
	each(t, inflight, func(t *testing.T, m mode) {
		canary := rig.Canary()
		s := newSite(t, m, secrets{"db": {"CANARY": canary}})
		r := s.podman(t, "--log-level=trace", "run", "--rm", from("db"), image, "sh", "-c", `echo "it is ${#CANARY} long"`)
		if want := fmt.Sprintf("it is %d long\n", len(canary)); r.Stdout != want {
			t.Errorf("output %q, want %q", r.Stdout, want)
		}
		if !strings.Contains(r.Stderr, "level=debug") || strings.Contains(r.Stderr, canary) {
			t.Errorf("the value, or nothing at all, in the debug log:\n%s", r.Stderr)
		}
	})
}

var equateEmpty = cmp.Transformer("empty", func(l []string) []string {
	if len(l) == 0 {
		return nil
	}
	return l
})

type hits map[string]bool

func (h hits) note(canary, place, text string) {
	if strings.Contains(text, canary) {
		h[place] = true
	}
}

// search looks through everything that podman and the runtimes write to, the
// command lines and environments of all processes, and the kernel's log.
func (s *site) search(t *testing.T, canary, id string) hits {
	t.Helper()
	h := hits{}
	inside := fmt.Sprintf("/proc/%d/root", holder.Process.Pid)
	dirs := []string{s.store.dir, inside + "/run", inside + "/dev/shm", inside + "/var/lib/containers", inside + "/var/tmp", inside + "/etc/containers"}
	runtimes := inside + "/run"
	if s.rootless {
		dirs = append(dirs, rootless.HomeDir)
		runtimes += "/user/" + rootless.Uid
	}
	names := strings.NewReplacer(s.store.dir+"/graph", "GRAPHROOT", s.store.dir+"/run", "RUNROOT", runtimes+"/", "RUN/", id, "ID")
	for _, path := range rig.Find(t, canary, dirs...) {
		h[names.Replace(path)] = true
	}
	pid := s.podman(t, "inspect", "--format", "{{.State.Pid}}", id).Stdout
	files, err := filepath.Glob("/proc/[0-9]*/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if base := filepath.Base(f); base != "cmdline" && base != "environ" {
			continue
		}
		if b, err := os.ReadFile(f); err == nil && bytes.Contains(b, []byte(canary)) {
			h[strings.Replace(f, "/"+strings.TrimSpace(pid)+"/", "/PID/", 1)] = true
		}
	}
	h.note(canary, "dmesg", rig.MustRun(t, "dmesg").Stdout)
	return h
}

// said looks through what podman answers about a container.
func (s *site) said(t *testing.T, h hits, canary, name string) {
	t.Helper()
	for _, args := range []string{
		"inspect", "inspect --size", "logs", "ps --all --no-trunc --format json", "diff", "mount",
		"generate kube", "generate systemd --new", "generate spec", "events --stream=false --filter container=",
		"exec NAME /bin/busybox env", "top",
	} {
		argv := strings.Fields(args)
		switch place := argv[0]; place {
		case "inspect", "logs", "diff", "generate", "top":
			argv = append(argv, name)
		case "mount":
			if s.rootless {
				continue // podman wants `podman unshare` for it
			}
			argv = append(argv, name)
		case "events":
			argv[len(argv)-1] += name
		case "exec":
			argv[1] = name
		}
		r := s.podman(t, argv...)
		if r.Code != 0 && argv[0] != "exec" && argv[0] != "top" && args != "generate spec" { // which want a running container
			t.Errorf("podman %q: exit code %d\n%s", argv, r.Code, r.Stderr)
		}
		h.note(canary, "podman "+strings.Fields(args)[0], r.Stdout+r.Stderr)
	}
}

// committed makes an image of the container and looks through it.
func (s *site) committed(t *testing.T, h hits, canary, id, name string) {
	t.Helper()
	copied := "localhost/" + strings.ToLower(name) + ":copy"
	s.must(t, "commit", name, copied)
	h.note(canary, "podman commit", s.must(t, "image", "inspect", copied)+s.must(t, "history", "--no-trunc", copied))
	dir := s.dir + "/saved"
	s.mkdir(t, dir, 0o755)
	s.must(t, "save", "--output", dir+"/image.tar", copied)
	s.must(t, "export", "--output", dir+"/container.tar", name)
	for _, path := range rig.Find(t, canary, dir) {
		h["podman save or export: "+filepath.Base(path)] = true
	}
	// The layers as they are stored.
	for place := range s.search(t, canary, id) {
		h[place] = true
	}
	s.must(t, "rmi", copied)
	if size, err := os.Stat(dir + "/container.tar"); err != nil || size.Size() < 1<<20 {
		t.Errorf("nothing was exported: %v", err)
	}
}
