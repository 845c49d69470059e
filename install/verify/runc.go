// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-secrets/oci-secrets/install"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// openRunc verifies the runtime alone, with the hook in a bundle of our own; and
// the shim in its place, with no hook there.
func openRunc(self, config string) (*engine, error) {
	runtime, err := exec.LookPath("runc")
	if err != nil {
		if runtime, err = exec.LookPath("crun"); err != nil {
			return nil, fault.New(failed, "", "neither runc nor crun is on the path")
		}
	}
	dir, err := os.MkdirTemp("", "oci-secrets-verify-")
	if err != nil {
		return nil, err
	}
	rootfs := filepath.Join(dir, "rootfs")
	e := &engine{clean: func() error { return os.RemoveAll(dir) }}
	err = errors.Join(os.Chmod(dir, 0o755), os.Mkdir(rootfs, 0o755), copySelf(rootfs+program))
	for _, name := range []string{"proc", "dev"} {
		err = errors.Join(err, os.Mkdir(filepath.Join(rootfs, name), 0o755))
	}
	if err != nil {
		return nil, errors.Join(err, e.clean())
	}
	hook := install.Hook{Path: self, Config: config}
	e.ways = []way{runcWay(dir, runtime, false, hook)}
	if shim := filepath.Join(filepath.Dir(self), install.Shim); exists(shim) {
		e.ways = append(e.ways, runcWay(dir, shim, true, hook))
	} else {
		e.notes = append(e.notes, shim+", the runtime shim, is not there: ln -s "+filepath.Base(self)+" "+shim)
	}
	return e, nil
}

func runcWay(dir, runtime string, shim bool, hook install.Hook) way {
	bundle := func(name string) string { return filepath.Join(dir, name) }
	return way{
		name: filepath.Base(runtime), shim: shim, fix: "the runtime must run hooks; " + runtime + " did not",
		run: func(name, secret string, args ...string) ([]string, error) {
			spec := example(dir+"/rootfs", secret, args)
			var err error
			if !shim {
				var hooks []byte
				if hooks, err = hook.Runc(); err == nil {
					err = json.Unmarshal(hooks, spec)
				}
			}
			config, marshal := json.Marshal(spec)
			if err = errors.Join(err, marshal, os.Mkdir(bundle(name), 0o755)); err == nil {
				err = os.WriteFile(filepath.Join(bundle(name), "config.json"), config, 0o600)
			}
			return []string{runtime, "run", "--bundle", bundle(name), name}, err
		},
		exec:        func(name string, args ...string) []string { return append([]string{runtime, "exec", name}, args...) },
		annotations: func(name string) []string { return []string{runtime, "state", name} },
		inspect:     func(name string) []string { return []string{"cat", filepath.Join(bundle(name), "config.json")} },
		remove:      func(name string) [][]string { return [][]string{{runtime, "delete", "--force", name}} },
	}
}

// example is the smallest container that runtimes take.
func example(rootfs, secret string, args []string) *specs.Spec {
	return &specs.Spec{
		Version:     "1.0.2",
		Root:        &specs.Root{Path: rootfs, Readonly: true},
		Process:     &specs.Process{Args: args, Cwd: "/", NoNewPrivileges: true},
		Annotations: map[string]string{"secrets.oci/from": secret},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "mode=755", "size=64k"}},
		},
		Linux: &specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: "pid"}, {Type: "network"}, {Type: "ipc"}, {Type: "uts"}, {Type: "mount"}}},
	}
}

func copySelf(path string) error {
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }() // only read from
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
