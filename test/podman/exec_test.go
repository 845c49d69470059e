// SPDX-License-Identifier: Apache-2.0

package podman

import (
	"slices"
	"testing"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// A process that podman puts into a running container gets the environment
// that podman knows of, which in neither way in has the secrets
// (containers/podman#29347 for precreate). README says so.
func TestExec(t *testing.T) {
	each(t, slices.Concat(hooked, allPrecreate), func(t *testing.T, m mode) {
		s := newSite(t, m, three)
		name := s.name(t)
		s.must(t, append([]string{"run", "--detach", "--name", name, from("db web")}, s.wait()...)...)
		rig.WantVar(t, s.report(t).Env, "FROM_IMAGE", "secret")
		got := s.reported(t, "exec", name, rig.PayloadPath, "report")
		rig.WantNone(t, got.Env, "DB_USER", "DB_PASSWORD")
		rig.WantVar(t, got.Env, "FROM_IMAGE", "image")
	})
}

// With the shim it gets what the first process got, whatever is stored since;
// but for what its caller sets.
func TestExecShim(t *testing.T) {
	each(t, allShim, func(t *testing.T, m mode) {
		s := newSite(t, m, three)
		name := s.name(t)
		s.must(t, append([]string{"run", "--detach", "--name", name, from("db web")}, s.wait()...)...)
		first := s.report(t)
		s.have(t, secrets{})
		got := s.reported(t, "exec", name, rig.PayloadPath, "report")
		for _, variable := range []string{"DB_USER", "DB_PASSWORD", "FROM_IMAGE"} {
			want, _ := rig.Value(first.Env, variable)
			rig.WantVar(t, got.Env, variable, want)
		}
		got = s.reported(t, "exec", "--env", "DB_USER=mine", name, rig.PayloadPath, "report")
		rig.WantVar(t, got.Env, "DB_USER", "mine")
		rig.WantVar(t, got.Env, "FROM_IMAGE", "secret")
	})
}
