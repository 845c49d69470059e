// SPDX-License-Identifier: Apache-2.0

package podman

import (
	"testing"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// A process that podman puts into a running container gets the environment
// that podman knows of, which in neither way in has the secrets
// (containers/podman#29347 for precreate). README says so.
func TestExec(t *testing.T) {
	each(t, every, func(t *testing.T, m mode) {
		s := newSite(t, m, three)
		name := s.name(t)
		s.must(t, append([]string{"run", "--detach", "--name", name, from("db web")}, s.wait()...)...)
		wantVar(t, s.report(t).Env, "FROM_IMAGE", "secret")
		got := s.reported(t, "exec", name, rig.PayloadPath, "report")
		wantNone(t, got.Env, "DB_USER", "DB_PASSWORD")
		wantVar(t, got.Env, "FROM_IMAGE", "image")
	})
}
