// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

const (
	plugin = "oci-secrets"
	guard  = "oci-secrets-guard"

	// What a kubelet is told.
	nri     = "rpc error: code = Unknown desc = failed to create containerd container: failed to get NRI adjustment for container: "
	absent  = nri + `validator "00-default-validator" rejected container adjustment, reason: validation error: required plugin "oci-secrets" not present`
	absents = nri + `validator "00-default-validator" rejected container adjustment, reason: validation error: required plugins "oci-secrets,oci-secrets-guard" not present`
	noGuard = nri + `validator "00-default-validator" rejected container adjustment, reason: validation error: required plugin "oci-secrets-guard" not present`
	guarded = nri + `validator "99-oci-secrets-guard" rejected container adjustment, reason: container NAME of pod tests/POD asks for secrets, ` +
		"and the NRI plugin oci-secrets has not added its hook: it is not connected, or was too slow"
	silent = nri + "validator plugin 99-oci-secrets-guard failed: context deadline exceeded"
	closed = nri + "validator plugin 99-oci-secrets-guard failed: ttrpc: closed"
	either = absent + "|" + guarded // the validators are asked at the same time
)

// TestPluginGone pins down what containerd lets through when the plugin is
// killed, or is there and does not answer: the first container that is created
// then, and the ones after it. README has the same table.
//
// The first one is special, because containerd notices at a request, and forgets
// the plugin only after it; until then a required one counts as there.
func TestPluginGone(t *testing.T) {
	const bare = "" // it starts, without its secrets
	one, two := []string{plugin}, []string{plugin, guard}
	cases := []struct {
		name          string
		required      []string
		guard         bool
		kill, stop    []string // plugins that are killed, and that are stopped
		first, second string   // what the kubelet is told
	}{
		{name: "killed", kill: one, first: bare, second: bare},
		{name: "killed, required", required: one, kill: one, first: bare, second: absent},
		{name: "killed, guarded", guard: true, kill: one, first: guarded, second: guarded},
		{name: "killed, required and guarded", guard: true, required: two, kill: one, first: guarded, second: either},
		{name: "silent", stop: one, first: bare, second: bare},
		{name: "silent, required", required: one, stop: one, first: bare, second: absent},
		{name: "silent, guarded", guard: true, stop: one, first: guarded, second: guarded},
		{name: "silent, required and guarded", guard: true, required: two, stop: one, first: guarded, second: either},
		{name: "both killed", guard: true, kill: two, first: closed, second: bare},
		{name: "both killed, required", guard: true, required: two, kill: two, first: closed, second: absents},
		{name: "both silent", guard: true, stop: two, first: silent, second: bare},
		{name: "both silent, required", guard: true, required: two, stop: two, first: silent, second: absents},
		{name: "guard killed, required", guard: true, required: two, kill: []string{guard}, first: closed, second: noGuard},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, way{required: c.required}, three)
			running := map[string]*exec.Cmd{plugin: s.service(t).cmd}
			if c.guard {
				running[guard] = s.service(t, "--guard").cmd
			}
			p := s.pod(t, from("db"))
			_, r := s.up(t, p, "before", nil)
			rig.WantVar(t, r.Env, "DB_USER", "app")
			other, tolerant := s.pod(t, nil), s.pod(t, annotations{"tolerate-missing-nri-plugins.noderesource.dev": "true"})
			for _, name := range c.stop {
				halt(t, running[name].Process.Pid)
			}
			for _, name := range c.kill {
				if err := running[name].Process.Kill(); err != nil {
					t.Fatal(err)
				}
				_ = running[name].Wait() // it was killed
			}
			rig.Eventually(t, "containerd has seen the connections close", func() bool {
				return strings.Count(s.log(t), "connection to plugin") == len(c.kill)
			})
			for i, want := range []string{c.first, c.second} {
				name := []string{"first", "second"}[i]
				if want == bare {
					_, r := s.up(t, p, name, nil)
					wantEnv(t, name, r.Env, nil)
					continue
				}
				want = strings.NewReplacer("NAME", name, "POD", p.config.Metadata.Name).Replace(want)
				if got := s.refused(t, p, name); !slices.Contains(strings.Split(want, "|"), got) {
					t.Errorf("%s:\ngot  %s\nwant %s", name, got, want)
				}
			}
			// A pod that asks for nothing is created as ever, unless the plugin is
			// required: then only one that tolerates its absence is.
			s.up(t, tolerant, "tolerant", nil)
			want, _, _ := strings.Cut(c.second, "|")
			if len(c.required) == 0 {
				s.up(t, other, "other", nil)
			} else if got := s.refused(t, other, "other"); got != want {
				t.Errorf("a pod that asks for nothing: %s", got)
			}
		})
	}
}

// halt stops a process, all of its threads.
func halt(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	rig.Eventually(t, "the process stands still", func() bool {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		return !slices.ContainsFunc(threads, func(dir string) bool {
			tid, _ := strconv.Atoi(filepath.Base(dir))
			return !strings.HasPrefix(rig.StatusField(tid, "State"), "T")
		})
	})
}

// A plugin that comes, or comes back, says which containers were started in its
// absence.
func TestTellsWhatItMissed(t *testing.T) {
	t.Parallel()
	s := newSite(t, way{}, three)
	p := s.pod(t, from("db"))
	s.up(t, p, "web", nil)
	s.up(t, s.pod(t, nil), "free", nil)
	want := "oci-secrets: nri: container web of pod tests/" + p.config.Metadata.Name + " asks for secrets and has been created without the hook: create it again\n"
	svc := s.service(t)
	rig.Eventually(t, "the plugin tells", func() bool { return strings.Contains(svc.said(), want) })
	if strings.Contains(svc.said(), "free") {
		t.Errorf("it says %s", svc.said())
	}
}

// containerd starts plugins before it creates containers; a service connects
// again a moment later.
func TestRestart(t *testing.T) {
	t.Parallel()
	t.Run("plugin that containerd starts", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, way{plugin: true, guard: true}, three)
		p := s.pod(t, from("db"))
		id, r := s.up(t, p, "before", nil)
		rig.WantVar(t, r.Env, "DB_USER", "app")
		s.restart(t)
		_, r = s.up(t, p, "after", nil)
		rig.WantVar(t, r.Env, "DB_USER", "app")
		s.stopContainer(t, id)
	})
	t.Run("service", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, way{}, three)
		svc := s.service(t)
		p := s.pod(t, from("db"))
		s.up(t, p, "before", nil)
		s.restart(t)
		rig.Eventually(t, "the plugin connects again", func() bool {
			return strings.Count(svc.said(), "10-oci-secrets is connected to containerd ") == 2
		})
		_, r := s.up(t, p, "after", nil)
		rig.WantVar(t, r.Env, "DB_USER", "app")
	})
}

// Two plugins are one too many: an engine lets only one set an annotation. The
// container is refused, and the engine says by whom.
func TestTwoPlugins(t *testing.T) {
	t.Parallel()
	s := newSite(t, way{plugin: true}, three)
	s.service(t, "--index", "20")
	got := s.refused(t, s.pod(t, from("db")), "web")
	if !strings.HasPrefix(got, nri) || !strings.Contains(got, "10-oci-secrets") || !strings.Contains(got, "20-oci-secrets") {
		t.Errorf("got %s", got)
	}
}
