// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/oci-secrets/oci-secrets/install"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// openContainerd verifies the shim through `ctr`, and the handler through CRI
// where crictl is there.
func openContainerd(ctx context.Context, image, self string) (*engine, error) {
	if _, err := output(ctx, []string{"ctr", "version"}); err != nil {
		return nil, fault.New(failed, "does the daemon run, and is CONTAINERD_ADDRESS right?", "containerd does not answer: %w", err)
	}
	shim := filepath.Join(filepath.Dir(self), install.Shim)
	if !exists(shim) {
		return nil, fault.New(failed, "ln -s "+filepath.Base(self)+" "+shim, "%s, the runtime shim, is not there", shim)
	}
	// A namespace of our own: what is in CRI's gets a second name from CRI.
	_, namespace, _ := strings.Cut(image, ":")
	ctr := func(args ...string) []string { return append([]string{"ctr", "--namespace", namespace}, args...) }
	e := &engine{
		problem: (&install.Machine{}).Unseen("containerd"),

		load:   [][]string{ctr("images", "import", "-")},
		unload: [][]string{ctr("images", "rm", "--sync", image), {"ctr", "namespaces", "rm", namespace}},
	}
	e.ways = []way{{
		name: "ctr run --runc-binary " + install.Shim, shim: true, fix: "the real runtime must run hooks",
		run: func(name, secret string, args ...string) ([]string, error) {
			return append(ctr("run", "--rm", "--cgroup", "/"+name, "--runc-binary", shim, "--annotation", "secrets.oci/from="+secret, image, name), args...), nil
		},
		exec: func(name string, args ...string) []string {
			return append(ctr("tasks", "exec", "--exec-id", "probe", name), args...)
		},
		annotations: func(name string) []string { return ctr("containers", "info", "--spec", name) },
		inspect:     func(name string) []string { return ctr("containers", "info", name) },
		remove: func(name string) [][]string {
			return [][]string{ctr("tasks", "rm", "--force", name), ctr("containers", "rm", name), ctr("snapshots", "rm", name)}
		},
	}}
	if _, err := exec.LookPath("crictl"); err != nil {
		e.notes = append(e.notes, "crictl is not here, so the runtime handler "+runtimeName+" that pods use was not tried")
		return e, nil //nolint:nilerr // the other way is verified
	}
	dir, err := os.MkdirTemp("", "oci-secrets-verify-")
	if err != nil {
		return nil, err
	}
	e.load = append(e.load, []string{"ctr", "--namespace", "k8s.io", "images", "import", "-"})
	e.unload = append(e.unload, []string{"crictl", "rmi", image})
	e.clean = func() error { return os.RemoveAll(dir) }
	e.ways = append(e.ways, criWay(dir, image))
	return e, nil
}
