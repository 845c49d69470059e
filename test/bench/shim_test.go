// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/containerd/nri/pkg/api"
	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/hook/nri"
	"github.com/oci-secrets/oci-secrets/test/rig"
)

// through is a runtime with and without the shim in its place, and the bundles
// for both.
type through struct {
	shim, runc             *rig.Runtime
	asking, hooked, silent *rig.Bundle
	text                   map[*rig.Bundle]string // what the engine writes
}

func newThrough(t *testing.T) *through {
	t.Helper()
	secrets := map[string]map[string]string{"db": {"DB_PASSWORD": "hunter2"}}
	x := &through{runc: rig.NewRuntime(t, rig.Runc), text: map[*rig.Bundle]string{}}
	x.asking = rig.NewBundle(t, "", secrets)
	x.asking.Annotate("secrets.oci/from", "db")
	state := filepath.Join(t.TempDir(), "state")
	t.Cleanup(func() { _ = unix.Unmount(state, unix.MNT_DETACH) })
	x.asking.AddSettings(t, fmt.Sprintf("state_dir = %q\n", state))
	// By its name it finds runc without the settings, as most do.
	t.Setenv("PATH", filepath.Dir(x.runc.Path())+":"+os.Getenv("PATH"))
	t.Setenv("OCI_SECRETS_CONFIG", x.asking.Config)
	x.shim = x.runc.At(rig.Link(t, "oci-secrets-runtime"))
	x.hooked = rig.NewBundle(t, "", nil)
	x.hooked.Annotate("secrets.oci/from", "db")
	for _, stage := range []string{"prestart", "poststop"} {
		x.hooked.Hook(t, stage, rig.Binary(t), "hook", "--keep", state, "--config", x.asking.Config)
	}
	x.silent = rig.NewBundle(t, "", nil)
	for _, b := range []*rig.Bundle{x.asking, x.hooked, x.silent} {
		b.Spec.Process.Args = []string{rig.PayloadPath, "wait", "/tmp/report"}
		b.Write(t)
		x.text[b] = rig.ReadFile(t, filepath.Join(b.Dir, "config.json"))
	}
	return x
}

// create gives a function that creates the container of a bundle, whose
// config.json is as an engine has just written it. Only that counts.
func (x *through) create(t *testing.T, r *rig.Runtime, b *rig.Bundle) func() {
	t.Helper()
	return func() {
		t.Helper()
		pause(func() { rig.WriteFile(t, filepath.Join(b.Dir, "config.json"), x.text[b], 0o644) })
		command(t, nil, r.Argv("create", "--bundle", b.Dir, b.ID)...)
		pause(func() { command(t, nil, x.runc.Argv("delete", "--force", b.ID)...) })
	}
}

// shimRows measures what it costs to have the shim between an engine and its
// runtime.
func shimRows(t *testing.T, rounds func(int) int, line func(...string)) {
	t.Helper()
	x := newThrough(t)
	row := func(work, against, aim string, n int, a, b func()) {
		t.Helper()
		ma, mb := alternate(rounds(n), rested(a), rested(b))
		line(work, against, ms(ma), ms(mb), fmt.Sprintf("%.2fx, %+.2f ms", float64(ma)/float64(mb), float64((ma-mb).Microseconds())/1000), aim)
	}
	row("shim `create`, one dict secret", "`runc create` with the hook listed", "<= 1.1x, <= 5 ms", 100,
		x.create(t, x.shim, x.asking), x.create(t, x.runc, x.hooked))
	row("shim `create`, no request", "`runc create`", "<= 3 ms", 100,
		x.create(t, x.shim, x.silent), x.create(t, x.runc, x.silent))

	command(t, nil, x.shim.Argv("create", "--bundle", x.asking.Dir, x.asking.ID)...)
	command(t, nil, x.shim.Argv("start", x.asking.ID)...)
	exec := func(r *rig.Runtime) func() {
		return func() { t.Helper(); command(t, nil, r.Argv("exec", x.asking.ID, rig.PayloadPath, "report")...) }
	}
	row("shim `exec` where there are secrets", "`runc exec`", "<= 1.15x", 100, exec(x.shim), exec(x.runc))
	command(t, nil, x.runc.Argv("delete", "--force", x.asking.ID)...)

	n := rounds(200)
	with, without := many(t, x.shim, x.asking, n), many(t, x.runc, x.silent, n)
	a, b := alternate(rounds(3), with, without)
	line(fmt.Sprintf("%d containers, 8 at a time: shim, one dict secret", n), "`runc`, without secrets", rate(n, a), rate(n, b), fmt.Sprintf("%.2fx", float64(b)/float64(a)), ">= 0.9x")
}

// nriRow measures the plugin's answer to an engine, without the way there: what
// is said on the socket is the engine's.
func nriRow(t *testing.T, line func(...string)) {
	t.Helper()
	plugin := &nri.Plugin{Path: rig.Binary(t)}
	pod := &api.PodSandbox{Name: "web", Namespace: "default", Annotations: map[string]string{"secrets.oci/from": "db stripe", "secrets.oci/from.web": "db#USER#PASSWORD"}}
	container := &api.Container{Name: "web", Annotations: map[string]string{"io.kubernetes.cri.container-name": "web"}}
	for i := range 30 {
		pod.Annotations["io.example.annotation."+strconv.Itoa(i)] = "v"
	}
	r := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			if a, _, err := plugin.CreateContainer(t.Context(), pod, container); err != nil || a.GetHooks() == nil {
				b.Fatal(a, err)
			}
		}
	})
	line("NRI plugin: CreateContainer, 32 annotations", "", fmt.Sprintf("%.3f ms", float64(r.NsPerOp())/1e6), "", "", "the engine waits 2 s")
}
