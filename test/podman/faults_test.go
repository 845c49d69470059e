// SPDX-License-Identifier: Apache-2.0

package podman

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/test/faults"
	"github.com/oci-secrets/oci-secrets/test/rig"
)

// TestFaults has all that goes wrong with a Vault, in podman's ways of delivery.
func TestFaults(t *testing.T) {
	var ways []faults.Way
	for _, w := range []struct {
		name string
		mode mode
	}{{"podman, hook", root}, {"podman, filter", root.pre()}, {"podman, shim", root.as()}} {
		ways = append(ways, faults.Way{Name: w.name, New: func(t *testing.T) faults.Host {
			f := faulty{newSite(t, w.mode, nil)}
			f.Shell(t, `mkdir "$STATE"; mount -t tmpfs -o mode=0700 tmpfs "$STATE"`)
			t.Cleanup(func() {
				argv := f.shell(`while umount -l "$STATE" 2>/dev/null; do :; done`)
				_ = exec.Command(argv[0], argv[1:]...).Run() // the mount namespace ends, too
			})
			return f
		}})
	}
	faults.Run(t, "podman", ways)
}

// faulty is a [faults.Host] of podman's.
type faulty struct{ *site }

func (f faulty) Dir() string   { return filepath.Dir(f.config) }
func (f faulty) State() string { return f.stateDir() }

func (f faulty) Settings(t *testing.T, tables string) {
	t.Helper()
	f.write(t, f.config, fmt.Sprintf("deadline = %q\nstate_dir = %q\n[log]\nfile = %q\n%s", faults.Deadline, f.State(), faults.Log, tables), 0o600)
}

func (f faulty) shell(script string) []string {
	return []string{"nsenter", fmt.Sprintf("--mount=/proc/%d/ns/mnt", holder.Process.Pid), "env", "STATE=" + f.State(), "sh", "-ec", script}
}

func (f faulty) Shell(t *testing.T, script string) {
	t.Helper()
	if r := rig.Run(t, f.shell(script)...); r.Code != 0 {
		t.Fatalf("%s: %s", script, r.Stderr)
	}
}

func (f faulty) Start(t *testing.T, names string) faults.Result {
	t.Helper()
	begin := time.Now()
	r := f.podman(t, "run", "--rm", from(names), image)
	result := faults.Result{Told: r.Stderr, Took: time.Since(begin), Mute: strings.Contains(r.Stderr, "OCI runtime error: oci-secrets: oci-secrets: ")}
	if r.Stdout != "" {
		result.Env = rig.ParseReport(t, r.Stdout).Env
	}
	return result
}
