// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// What docker starts in a running container has what its first process has.
func TestExec(t *testing.T) {
	t.Parallel()
	s := newSite(t, docker29(t), three, nil)
	first := s.up(t, "web", "--env", "FROM_FLAG=flag", "--env", "KEPT=kept", from("db stripe web"))
	s.have(t, secrets{"db": {"DB_USER": "rotated"}})

	t.Run("same", func(t *testing.T) {
		got := s.exec(t).Env
		if d := cmp.Diff(sorted(first.Env), sorted(got)); d != "" {
			t.Errorf("environment (-first process +exec):\n%s", d)
		}
	})
	t.Run("explicit", func(t *testing.T) {
		got := s.exec(t, "--env", "DB_USER=mine", "--env", "FROM_IMAGE=mine", "--env", "NEW=mine").Env
		for _, name := range []string{"DB_USER", "FROM_IMAGE", "NEW"} {
			rig.WantVar(t, got, name, "mine")
		}
		rig.WantVar(t, got, "DB_PASSWORD", "hunter2")
		rig.WantVar(t, got, "FROM_FLAG", "secret")
	})
	t.Run("options", func(t *testing.T) {
		for _, flags := range [][]string{
			{"--user", "1000"}, {"--workdir", "/tmp"}, {"--tty"}, {"--privileged"}, {"--user", "1000:1000", "--tty", "--workdir", "/tmp"},
		} {
			got := s.exec(t, flags...)
			rig.WantVar(t, got.Env, "DB_PASSWORD", "hunter2")
			if want := map[bool]int{true: 1000}[flags[0] == "--user"]; got.UID != want {
				t.Errorf("%q: uid %d", flags, got.UID)
			}
		}
	})
	t.Run("detached", func(t *testing.T) {
		s.must(t, "exec", "--detach", "web", "/payload", "mark", "/vol/detached")
		rig.WantVar(t, s.report(t, "detached").Env, "DB_PASSWORD", "hunter2")
	})
	t.Run("exit code", func(t *testing.T) {
		if r := s.docker(t, "exec", "web", "sh", "-c", "exit 42"); r.Code != 42 {
			t.Errorf("exit code %d", r.Code)
		}
	})
}

// Docker's health checks are execs.
func TestHealthCheck(t *testing.T) {
	t.Parallel()
	s := newSite(t, docker29(t), three, nil)
	s.up(t, "web", from("db"), "--health-cmd", `test "$DB_PASSWORD" = hunter2`, "--health-interval", "100ms", "--health-retries", "1")
	if got := s.event(t, "--filter", "container=web", "--filter", "event=health_status"); got != "health_status: healthy" {
		t.Error(got)
	}
}

// What was kept for exec can be lost. Then the sources are asked again, and if
// they do not answer nothing runs.
func TestExecAfterLoss(t *testing.T) {
	t.Parallel()
	s := newSite(t, docker29(t), three, nil)
	s.up(t, "web", from("db"))
	s.have(t, secrets{"db": {"DB_USER": "rotated"}})
	rig.WantVar(t, s.exec(t).Env, "DB_USER", "app")
	if err := os.RemoveAll(s.inside("/run/oci-secrets/exec")); err != nil {
		t.Fatal(err)
	}
	rig.WantVar(t, s.exec(t).Env, "DB_USER", "rotated")
	s.have(t, secrets{})
	r := s.docker(t, "exec", "web", "sh", "-c", "echo ran")
	want := rig.Result{ // docker shows the error of an exec on standard output
		Stdout: `OCI runtime exec failed: oci-secrets: exec in container ID: secret "db": no secret "db" in DIR/settings/secrets.json`,
		Code:   128,
	}
	if d := cmp.Diff(want, rig.Result{Stdout: s.told(r.Stdout), Stderr: r.Stderr, Code: r.Code}); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestExecOff(t *testing.T) {
	t.Parallel()
	s := newSite(t, docker29(t), three, nil)
	s.set(t, "[runtime]\nexec = \"off\"\n")
	rig.WantVar(t, s.up(t, "web", from("db")).Env, "DB_USER", "app")
	rig.WantNone(t, s.exec(t).Env, "DB_USER", "DB_PASSWORD")
}
