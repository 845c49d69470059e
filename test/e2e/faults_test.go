// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/test/faults"
	"github.com/oci-secrets/oci-secrets/test/rig"
)

// TestFaults has all that goes wrong with a Vault, in the ways of delivery that
// need no engine.
func TestFaults(t *testing.T) {
	way := func(name, runtime string, setUp func(*testing.T, *faulty)) faults.Way {
		return faults.Way{Name: name, New: func(t *testing.T) faults.Host { return newFaulty(t, runtime, setUp) }}
	}
	faults.Run(t, "e2e", []faults.Way{
		way("hook, runc", rig.Runc, withHook),
		way("hook, crun", rig.Crun, withHook),
		way("shim, runc", rig.Runc, withShim),
		way("shim's exec", rig.Runc, withExec),
		way("shim, in the spec", rig.Runc, func(t *testing.T, f *faulty) {
			t.Helper()
			withShim(t, f)
			f.runtimeTable += "delivery = { runc = \"spec\" }\n"
		}),
	})
}

// faulty is a [faults.Host] of one runtime.
type faulty struct {
	r            *rig.Runtime
	b            *rig.Bundle
	state        string
	runtimeTable string
	start        func(t *testing.T) rig.Result
}

func newFaulty(t *testing.T, runtime string, setUp func(*testing.T, *faulty)) *faulty {
	t.Helper()
	f := &faulty{r: rig.NewRuntime(t, runtime), b: rig.NewBundle(t, "", nil)}
	f.state = f.b.StateDir(t)
	t.Cleanup(func() { _ = unix.Unmount(f.state, unix.MNT_DETACH) }) // a second one, where a fault has mounted it
	f.start = func(t *testing.T) rig.Result {
		t.Helper()
		f.b.ID = "t" + rig.Canary()[:20]
		return f.r.Run(t, f.b)
	}
	setUp(t, f)
	return f
}

func withHook(t *testing.T, f *faulty) {
	t.Helper()
	f.b.Hook(t, "prestart", rig.Binary(t), "hook", "--config", f.b.Config)
}

func withShim(t *testing.T, f *faulty) {
	t.Helper()
	f.runtimeTable = fmt.Sprintf("[runtime]\npath = %q\n", f.r.Path())
	f.r = f.r.Shim(t, f.b)
}

// withExec has a container that runs, of which nothing is kept, so that exec asks
// the sources.
func withExec(t *testing.T, f *faulty) {
	t.Helper()
	withShim(t, f)
	f.b.Annotate(dict, `{"RUNS": "1"}`)
	f.b.Spec.Process.Args = []string{rig.PayloadPath, "wait", "/tmp/report"}
	f.Settings(t, "")
	f.b.Write(t)
	f.r.Create(t, f.b)
	f.r.Start(t, f.b)
	delete(f.b.Spec.Annotations, dict)
	f.start = func(t *testing.T) rig.Result {
		t.Helper()
		f.Shell(t, `rm -rf "$STATE"/exec`)
		return rig.Run(t, f.r.Argv("exec", f.b.ID, rig.PayloadPath, "report")...)
	}
}

func (f *faulty) Dir() string   { return filepath.Dir(f.b.Config) }
func (f *faulty) State() string { return f.state }

func (f *faulty) Settings(t *testing.T, tables string) {
	t.Helper()
	f.b.WriteSettings(t, "config.toml", fmt.Sprintf("deadline = %q\nstate_dir = %q\n[log]\nfile = %q\n%s%s",
		faults.Deadline, f.state, faults.Log, f.runtimeTable, tables))
}

func (f *faulty) Shell(t *testing.T, script string) {
	t.Helper()
	rig.MustRun(t, "env", "STATE="+f.state, "sh", "-ec", script)
}

func (f *faulty) Start(t *testing.T, names string) faults.Result {
	t.Helper()
	f.b.Annotate(from, names)
	f.b.Write(t)
	begin := time.Now()
	r := f.start(t)
	result := faults.Result{Told: r.Stderr + fmt.Sprintf("\nexited with %d", r.Code), Took: time.Since(begin)}
	if r.Stdout != "" {
		result.Env = rig.ParseReport(t, r.Stdout).Env
	}
	return result
}
