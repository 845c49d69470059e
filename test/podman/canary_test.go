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
// same table. In flight it is nowhere, but for the shim's state directory, and what
// exec gets from there.
var (
	whenCreated = []string{
		"GRAPHROOT/overlay-containers/ID/userdata/config.json",
		"podman --log-level=debug",
		"podman inspect",
	}
	whenRunning     = append([]string{"/proc/PID/environ"}, whenCreated...)
	whenCreatedCrun = []string{"RUN/crun/ID/config.json"} // and while it runs
	whenEnded       = []string{
		"GRAPHROOT/overlay-containers/ID/userdata/config.json",
		"podman inspect",
	}
)

func TestCanary(t *testing.T) {
	each(t, every, func(t *testing.T, m mode) {
		canary := rig.Canary()
		s := newSite(t, m, secrets{"db": {"CANARY": canary}})
		name := s.name(t)
		var created, running, ended []string
		if m.precreate {
			created, running, ended = whenCreated, whenRunning, whenEnded
			if m.runtime == "crun" {
				created, running = slices.Concat(created, whenCreatedCrun), slices.Concat(running, whenCreatedCrun)
			}
		}
		var gone []string
		if m.shim {
			created, running = []string{"STATE"}, []string{"STATE", "podman exec"}
			if m.rootless && m.runtime == "crun" { // which runs no poststop hooks there; the next start removes it
				ended, gone = []string{"STATE"}, []string{"STATE"}
			}
		}
		check := func(when string, want []string, hits map[string]bool) {
			t.Helper()
			if d := cmp.Diff(sorted(want), slices.Sorted(maps.Keys(hits))); d != "" {
				t.Errorf("the value is seen %s (-want +got):\n%s", when, d)
			}
		}

		log := s.debug(t, append([]string{"create", "--name", name, from("db")}, s.wait()...)...)
		id := s.must(t, "inspect", "--format", "{{.Id}}", name)
		hits := s.search(t, canary, id)
		hits.note(canary, "podman --log-level=debug", log)
		check("before there is a process", nil, hits)

		log = s.debug(t, "init", name)
		if n := len(tracersOf(id)); !m.precreate && n != 1 {
			t.Errorf("%d tracers to be searched", n)
		}
		hits = s.search(t, canary, id)
		s.said(t, hits, canary, name)
		hits.note(canary, "podman --log-level=debug", log)
		check("before the container's program runs", created, hits)

		log += s.debug(t, "start", name)
		rig.WantVar(t, s.report(t).Env, "CANARY", canary)
		hits = s.search(t, canary, id)
		s.said(t, hits, canary, name)
		hits.note(canary, "podman --log-level=debug", log)
		s.committed(t, hits, canary, id, name)
		check("while the container runs", running, hits)

		hits = hitsOf(canary, "podman --log-level=debug", s.debug(t, "stop", name))
		maps.Copy(hits, s.search(t, canary, id))
		s.said(t, hits, canary, name)
		check("when it has ended", ended, hits)

		hits = hitsOf(canary, "podman --log-level=debug", s.debug(t, "rm", name))
		maps.Copy(hits, s.search(t, canary, id))
		check("when it is gone", gone, hits)
	})
}

// debug gives all that podman prints with its log at the highest level.
func (s *site) debug(t *testing.T, args ...string) string {
	t.Helper()
	r := s.podman(t, append([]string{"--log-level=debug"}, args...)...)
	if r.Code != 0 || !strings.Contains(r.Stderr, "level=debug") {
		t.Fatalf("podman %q: exit code %d, or no debug log\n%s", args, r.Code, r.Stderr)
	}
	return r.Stdout + r.Stderr
}

// The log of create, start and run differ. Not in the foreground: without a log
// daemon on the host, podman at this level then waits 20 s for nothing.
func TestCanaryDebugLog(t *testing.T) {
	each(t, every, func(t *testing.T, m mode) {
		canary := rig.Canary()
		s := newSite(t, m, secrets{"db": {"CANARY": canary}})
		log := s.debug(t, append([]string{"run", "--detach", "--name", s.name(t), from("db")}, s.wait()...)...)
		rig.WantVar(t, s.report(t).Env, "CANARY", canary)
		if strings.Contains(log, canary) != m.precreate {
			t.Errorf("is the value in the log? %v\n%s", !m.precreate, log)
		}
	})
}

// Engines and runtimes drop what a successful hook says, but for crun, which
// can be told not to. There is nothing to drop.
func TestSilent(t *testing.T) {
	each(t, slices.Concat(hooked, allPrecreate), func(t *testing.T, m mode) {
		s := newSite(t, m, three)
		said, wrapper := s.vol+"/said", s.dir+"/wrapper"
		redirect := "2>>"
		if !m.precreate { // there, standard output is config.json
			redirect = ">>" + said + " " + redirect
		}
		s.write(t, wrapper, "#!/bin/sh\nexec "+rig.Binary(t)+" \"$@\" "+redirect+said+"\n", 0o755)
		s.install(t, wrapper, s.config)
		rig.WantVar(t, s.run(t, from("db")).Env, "DB_USER", "app")
		if b, err := os.ReadFile(said); err != nil || len(b) > 0 {
			t.Errorf("the hook said %q (%v)", b, err)
		}
	})
}

type hits map[string]bool

func (h hits) note(canary, place, text string) {
	if strings.Contains(text, canary) {
		h[place] = true
	}
}

func hitsOf(canary, place, text string) hits {
	h := hits{}
	h.note(canary, place, text)
	return h
}

// search looks through everything that podman and the runtimes write to, the
// command lines and environments of all processes, and the kernel's log.
func (s *site) search(t *testing.T, canary, id string) hits {
	t.Helper()
	h := hits{}
	inside := fmt.Sprintf("/proc/%d/root", holder.Process.Pid)
	dirs := []string{s.store.dir, inside + "/run", inside + "/dev/shm", inside + "/var/lib/containers", inside + "/var/tmp", inside + "/etc/containers"}
	theirs, _ := filepath.Glob(inside + "/tmp/*")
	dirs = append(dirs, slices.DeleteFunc(theirs, func(dir string) bool { return dir == inside+base })...)
	runtimes := inside + "/run"
	if s.rootless {
		dirs = append(dirs, rootless.HomeDir)
		runtimes += "/user/" + rootless.Uid
	}
	state := inside + s.stateDir()
	if _, err := os.Stat(state); err == nil {
		dirs = append(dirs, state)
	}
	names := strings.NewReplacer(s.store.dir+"/graph", "GRAPHROOT", s.store.dir+"/run", "RUNROOT", runtimes+"/", "RUN/", id, "ID")
	for _, path := range rig.Find(t, canary, dirs...) {
		if strings.HasPrefix(path, state+"/") {
			path = "STATE"
		}
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
