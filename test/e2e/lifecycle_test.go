// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// TestStartLater starts a container after others have come and gone: three, or,
// with OCI_SECRETS_TEST_LONG=1, as many as a minute has room for.
func TestStartLater(t *testing.T) {
	runtimes(t, func(t *testing.T, name string) {
		value := rig.Canary()
		r := rig.NewRuntime(t, name)
		first, file := marking(t, "createRuntime", value, "mark")
		pid := r.Create(t, first)
		tracer := rig.TracerOf(t, pid)
		long := os.Getenv("OCI_SECRETS_TEST_LONG") != ""
		for i, begun := 0, time.Now(); i < 3 || long && time.Since(begun) < time.Minute; i++ {
			other := rig.Canary()
			res := r.Run(t, bundle(t, "createRuntime", other))
			has(t, rig.ParseReport(t, res.Stdout).Env, "SECRET", other)
		}
		if got := r.Status(t, first.ID); got != "created" {
			t.Errorf("status %q, want created", got)
		}
		r.Start(t, first)
		has(t, rig.AwaitReport(t, file).Env, "SECRET", value)
		rig.AwaitEnd(t, "the tracer", tracer)
	})
}

// TestDeleteWithoutStart deletes a created container: the tracer ends without
// a word.
func TestDeleteWithoutStart(t *testing.T) {
	for _, way := range []struct {
		name string
		// end makes a created container deletable, as far as it must be.
		end  func(t *testing.T, pid int)
		args []string
	}{
		{"forced", func(*testing.T, int) {}, []string{"delete", "--force"}},
		{"killed first", func(t *testing.T, pid int) {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			rig.AwaitEnd(t, "the init", pid)
		}, []string{"delete"}},
		{"plain", func(*testing.T, int) {}, []string{"delete"}},
	} {
		t.Run(way.name, func(t *testing.T) {
			runtimes(t, func(t *testing.T, name string) {
				r := rig.NewRuntime(t, name)
				log := r.Log(t)
				b, file := marking(t, "createRuntime", rig.Canary(), "mark")
				pid := r.Create(t, b)
				tracer := rig.TracerOf(t, pid)
				way.end(t, pid)
				res := rig.Run(t, r.Argv(append(way.args, b.ID)...)...)
				if res.Code != 0 || res.Stderr != "" {
					t.Errorf("%q: exit code %d\n%s", way.args, res.Code, res.Stderr)
				}
				rig.AwaitEnd(t, "the tracer", tracer)
				if _, ok := rig.ReadReport(t, file); ok {
					t.Error("the program ran")
				}
				if lines := log.Lines(); lines != nil {
					t.Errorf("logged: %q", lines)
				}
			})
		})
	}
}
