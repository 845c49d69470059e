// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// TestShimStderrIsAFile has crun open standard error a second time for the hook:
// neither overwrites what the other has said.
func TestShimStderrIsAFile(t *testing.T) {
	r, b, _, _ := shimmed(t, rig.Crun, rig.Canary())
	b.Annotate(from, "absent")
	b.Write(t)
	file := filepath.Join(t.TempDir(), "stderr")
	script := `exec 2>"$1"; shift; echo before >&2; "$@"; echo after >&2`
	rig.Run(t, append([]string{"sh", "-c", script, "sh", file}, r.Argv("run", "--bundle", b.Dir, b.ID)...)...)
	lines := strings.Split(read(t, file), "\n")
	if len(lines) != 5 || lines[0] != "before" || !strings.HasPrefix(lines[1], `oci-secrets: secret "absent": no secret`) ||
		!strings.HasSuffix(lines[2], "(exit code: 11)") || lines[3] != "after" {
		t.Errorf("the file has %q", lines)
	}
}

// TestShimPoststopOfOthersFails has a hook of others fail at poststop: what is kept
// for exec goes all the same, and their failure is told.
func TestShimPoststopOfOthersFails(t *testing.T) {
	runtimes(t, func(t *testing.T, name string) {
		canary := rig.Canary()
		r, b, file, state := shimmed(t, name, canary)
		b.Hook(t, "poststop", "/bin/false")
		b.Write(t)
		r.Create(t, b)
		r.Start(t, b)
		rig.AwaitReport(t, file)
		if found := rig.Find(t, canary, state); len(found) != 1 {
			t.Fatalf("the value is in %q", found)
		}
		argv := []string{"delete", "--force", b.ID}
		if name == rig.Crun {
			argv = append([]string{"--debug"}, argv...) // it is a warning there
		}
		res := rig.Run(t, r.Argv(argv...)...)
		if found := rig.Find(t, canary, state); found != nil {
			t.Errorf("deleted: the value is in %q", found)
		}
		if !strings.Contains(res.Stderr, "hook") {
			t.Errorf("the failure of the other hook is not told: %+v", res)
		}
	})
}

// TestNoMountNamespace has a container with the host's mounts: the hook refuses and
// says what the way out is, which works.
func TestNoMountNamespace(t *testing.T) {
	// Not crun, which changes the root of the namespace that it is in.
	for _, name := range []string{rig.Runc, rig.Runc11} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			canary := rig.Canary()
			r, b, file, _ := shimmed(t, name, canary)
			b.Spec.Linux.Namespaces = slices.DeleteFunc(b.Spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.MountNamespace })
			b.Spec.Linux.MaskedPaths, b.Spec.Linux.ReadonlyPaths = nil, nil
			b.Spec.Process.Args[1] = "mark"
			b.Write(t)
			// Not in the host's own mounts, which runc mounts over.
			run := func() rig.Result {
				return rig.Run(t, append([]string{"unshare", "--mount", "--propagation", "private"}, r.Argv("run", "--bundle", b.Dir, b.ID)...)...)
			}
			res := run()
			const hint = `delivery = { runc = \"spec\" }`
			if res.Code == 0 || !strings.Contains(res.Stderr, "exit status 14") || !strings.Contains(strings.ReplaceAll(res.Stderr, `\\`, `\`), hint) {
				t.Errorf("exit code %d, want the hint %s\n%s", res.Code, hint, res.Stderr)
			}
			if _, ran := rig.ReadReport(t, file); ran {
				t.Error("the program ran")
			}
			b.WriteSettings(t, "config.toml", strings.Replace(read(t, b.Config), "[runtime]\n", "[runtime]\ndelivery = { runc = \"spec\" }\n", 1))
			b.Write(t)
			if res := run(); res.Code != 0 {
				t.Fatalf("exit code %d\n%s", res.Code, res.Stderr)
			}
			report := rig.AwaitReport(t, file)
			has(t, report.Env, "SECRET", canary)
		})
	}
}

// TestOrphanedInit has crun leave its init to pid 1, where nothing proves that it is
// the container's: the hook refuses, and says what the ways out are, which work.
func TestOrphanedInit(t *testing.T) {
	canary := rig.Canary()
	ids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
	inUser := func(b *rig.Bundle) {
		b.Spec.Linux.Namespaces = append(b.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: "user"})
		b.Spec.Linux.UIDMappings, b.Spec.Linux.GIDMappings = ids, ids
	}
	// A shell that stays is pid 1.
	orphaned := func(argv []string) []string {
		return append([]string{"unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", `"$@"; exit $?`, "sh"}, argv...)
	}
	b := bundle(t, "createRuntime", canary)
	inUser(b)
	b.Annotate("run.oci.hooks.stderr", "/dev/stderr")
	b.Write(t)
	r := rig.NewRuntime(t, rig.Crun)
	res := rig.Run(t, orphaned(r.Argv("create", "--bundle", b.Dir, b.ID))...)
	for _, want := range []string{"(exit code: 14)", "is not its parent\nhint: `crun create` leaves the init", "a subreaper", "`crun run`", `delivery = { runc = "spec" }`} {
		if res.Code == 0 || !strings.Contains(res.Stderr, want) {
			t.Errorf("exit code %d, want %s in\n%s", res.Code, want, res.Stderr)
		}
	}
	b.ID += "run"
	res = rig.Run(t, orphaned(r.Argv("run", "--bundle", b.Dir, b.ID))...)
	if res.Code != 0 {
		t.Fatalf("crun run: exit code %d\n%s", res.Code, res.Stderr)
	}
	has(t, rig.ParseReport(t, res.Stdout).Env, "SECRET", canary)

	b = bundle(t, "", canary)
	inUser(b)
	b.StateDir(t)
	shim := r.Shim(t, b)
	b.WriteSettings(t, "config.toml", read(t, b.Config)+"delivery = { crun = \"spec\" }\n")
	b.Write(t)
	// The shell waits for the program, which it has adopted.
	script := `"$@" create --bundle "$0" ` + b.ID + ` && "$@" start ` + b.ID + ` && while ! "$@" state ` + b.ID + ` | grep -q stopped; do :; done; exit $?`
	res = rig.Run(t, orphaned(append([]string{"sh", "-c", script, b.Dir}, shim.Argv()...))...)
	if res.Code != 0 {
		t.Fatalf("delivery spec: exit code %d\n%s", res.Code, res.Stderr)
	}
	has(t, rig.ParseReport(t, res.Stdout).Env, "SECRET", canary)
}
