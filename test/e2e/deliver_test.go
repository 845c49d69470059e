// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// from is the annotation that names secrets.
const (
	from = "secrets.oci/from"
	dict = "secrets.oci/dict"
)

// secrets is a dict of one secret, db, with one variable, SECRET.
func secrets(value string) map[string]map[string]string {
	return map[string]map[string]string{"db": {"SECRET": value}}
}

// bundle makes a bundle that asks for db, which has the variable SECRET.
func bundle(t *testing.T, stage, value string) *rig.Bundle {
	t.Helper()
	b := rig.NewBundle(t, stage, secrets(value))
	b.Annotate(from, "db")
	b.Spec.Process.Env = append(b.Spec.Process.Env, "HOME=/")
	b.Write(t)
	return b
}

// marking makes a bundle whose program leaves its report in the file that is
// returned, and thereby shows that it has run.
func marking(t *testing.T, stage, value, command string) (b *rig.Bundle, file string) {
	t.Helper()
	b = bundle(t, stage, value)
	dir := b.Out(t)
	b.Spec.Process.Args = []string{rig.PayloadPath, command, "/out/report"}
	b.Write(t)
	return b, filepath.Join(dir, "report")
}

func runtimes(t *testing.T, test func(t *testing.T, runtime string)) {
	for _, name := range rig.Runtimes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, name)
		})
	}
}

// has fails unless the environment has exactly one NAME and it has the value.
func has(t *testing.T, env []string, name, value string) {
	t.Helper()
	var got []string
	for _, e := range env {
		if n, v, _ := strings.Cut(e, "="); n == name {
			got = append(got, v)
		}
	}
	if len(got) != 1 || got[0] != value {
		t.Fatalf("%s is %.200q, want one %.200q", name, got, value)
	}
}

func TestDeliver(t *testing.T) {
	for _, name := range rig.Runtimes() {
		for _, stage := range []string{"prestart", "createRuntime"} {
			t.Run(name+"/"+stage, func(t *testing.T) {
				t.Parallel()
				deliver(t, name, stage)
			})
		}
	}
}

func deliver(t *testing.T, name, stage string) {
	canary, replaced, later := rig.Canary(), rig.Canary(), rig.Canary()
	r := rig.NewRuntime(t, name)
	b := rig.NewBundle(t, stage, map[string]map[string]string{
		"db":     {"URL": canary, "MODE": replaced, "SHARED": rig.Canary(), "KIND": "db"},
		"stripe": {"SHARED": later, "KEY": rig.Canary()},
	})
	b.Annotate(from, "db stripe")
	b.Annotate(dict, `{"INLINE": "i", "KEY": "inline", "KIND": "inline"}`)
	b.Spec.Process.Env = []string{"PATH=/bin", "MODE=old", "HOME=/", "TERM=xterm"}
	dir := b.Out(t)
	b.Spec.Process.Args = []string{rig.PayloadPath, "wait", "/out/report"}
	b.Write(t)
	config := read(t, filepath.Join(b.Dir, "config.json"))

	pid := r.Create(t, b)
	// Those are all the places that have to do with this container, but for
	// the settings.
	nowhere := func(when string) {
		t.Helper()
		proc := "/proc/" + strconv.Itoa(pid)
		for _, value := range []string{canary, replaced, later} {
			if found := rig.Find(t, value, filepath.Join(b.Dir, "config.json"), filepath.Join(b.Dir, "rootfs"), r.State, proc+"/environ", proc+"/cmdline"); found != nil {
				t.Errorf("%s: a value is in %q", when, found)
			}
		}
		if now := read(t, filepath.Join(b.Dir, "config.json")); now != config {
			t.Errorf("%s: config.json changed (-before +after):\n%s", when, cmp.Diff(config, now))
		}
	}
	nowhere("created")
	tracer := rig.TracerOf(t, pid)
	if tracer == 0 {
		t.Fatal("nothing traces the created container")
	}

	r.Start(t, b)
	report := rig.AwaitReport(t, filepath.Join(dir, "report"))
	want := []string{
		"PATH=/bin", "MODE=" + replaced, "HOME=/", "TERM=xterm",
		"KIND=inline", "SHARED=" + later, "URL=" + canary, "KEY=inline", "INLINE=i",
	}
	if diff := cmp.Diff(want, report.Env); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(b.Spec.Process.Env, report.Environ); diff != "" {
		t.Errorf("/proc/self/environ (-want +got):\n%s", diff)
	}
	if report.PID != 1 {
		t.Errorf("the program is process %d", report.PID)
	}
	nowhere("running")
	if by := rig.TracerOf(t, pid); by != 0 {
		t.Errorf("process %d still traces the program", by)
	}
	rig.AwaitEnd(t, "the tracer", tracer)

	if err := unix.Kill(pid, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rig.AwaitEnd(t, "the container", pid)
	r.Delete(t, b)
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
