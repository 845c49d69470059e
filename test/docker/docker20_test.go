// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// Docker before 24 has no annotations, so nothing can be asked for. The shim
// refuses nothing there, and changes nothing.
func TestDocker20(t *testing.T) {
	t.Parallel()
	s := newSite(t, docker20(t), three, nil)
	args := []string{"--hostname", "h", "--env", "FROM_FLAG=flag", "--label", "secrets.oci/from=db"}
	got := s.run(t, args...)
	rig.WantNone(t, got.Env, "DB_USER", "DB_PASSWORD")
	rig.WantVar(t, got.Env, "FROM_FLAG", "flag")
	if d := cmp.Diff(s.bundle(t, "--runtime", "runc"), s.bundle(t, "--runtime", shim)); d != "" {
		t.Errorf("config.json (-runc +shim):\n%s", d)
	}
	s.up(t, "web", args...)
	rig.WantVar(t, s.exec(t).Env, "FROM_FLAG", "flag")
	s.must(t, "restart", "web")
	s.report(t, "web")
	s.must(t, "stop", "web")
	if code := s.state(t, "web", "ExitCode"); code != "0" {
		t.Errorf("exit code %s", code)
	}

	r := s.docker(t, append(s.args("run", "--rm", from("db")), image)...)
	if r.Code != 125 || !strings.Contains(r.Stderr, "unknown flag: --annotation") {
		t.Errorf("exit code %d, want 125\n%s", r.Code, r.Stderr)
	}
	// A later command line does not send them to a daemon that would drop them.
	s.path = append(docker29(t).path, s.path...)
	r = s.docker(t, append(s.args("run", "--rm", from("db")), image)...)
	if want := "\"--annotation\" requires API version 1.43, but the Docker daemon API version is 1.41\n"; r.Code != 1 || r.Stderr != want {
		t.Errorf("exit code %d, want 1 and %q\n%s", r.Code, want, r.Stderr)
	}
}
