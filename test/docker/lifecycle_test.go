// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"os"
	"testing"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

func version(v string) secrets { return secrets{"db": {"DB_VERSION": v}} }

// Every start of a container asks anew, so a rotated value is there after it.
func TestRestart(t *testing.T) {
	t.Parallel()
	s := newSite(t, docker29(t), version("1"), nil)
	rig.WantVar(t, s.up(t, "web", from("db")).Env, "DB_VERSION", "1")

	s.have(t, version("2"))
	s.must(t, "restart", "web")
	rig.WantVar(t, s.report(t, "web").Env, "DB_VERSION", "2")
	rig.WantVar(t, s.exec(t).Env, "DB_VERSION", "2")

	s.must(t, "stop", "web")
	s.have(t, version("3"))
	s.must(t, "start", "web")
	rig.WantVar(t, s.report(t, "web").Env, "DB_VERSION", "3")

	s.have(t, secrets{})
	if r := s.docker(t, "restart", "web"); r.Code != 1 || s.state(t, "web", "Running") != "false" {
		t.Errorf("it restarted without its secret: exit code %d\n%s", r.Code, r.Stderr)
	}
	if _, err := os.Stat(s.vol + "/web"); err == nil {
		t.Error("the program ran without its secret")
	}

	s.have(t, version("4"))
	s.must(t, "start", "web")
	rig.WantVar(t, s.report(t, "web").Env, "DB_VERSION", "4")
}

// A created container of docker's has no process yet, and starts with the
// values of that moment.
func TestStartLater(t *testing.T) {
	t.Parallel()
	s := newSite(t, docker29(t), version("1"), nil)
	s.must(t, append(s.args("create", "--name", "web", from("db")), waiting("web")...)...)
	s.have(t, version("2"))
	s.must(t, "start", "web")
	rig.WantVar(t, s.report(t, "web").Env, "DB_VERSION", "2")
}

// After the host has started again, /run is empty, and docker starts the containers
// that it is to restart: with the values of now, or not at all.
func TestReboot(t *testing.T) {
	t.Parallel()
	s := newSite(t, docker29(t), secrets{"db": {"DB_VERSION": "1"}, "gone": {"GONE": "1"}}, nil)
	s.up(t, "web", "--restart", "always", from("db"))
	s.up(t, "bare", "--restart", "always", from("gone"))
	s.have(t, version("2"))
	s.end(t)
	s.launch(t)
	rig.WantVar(t, s.report(t, "web").Env, "DB_VERSION", "2")
	rig.WantVar(t, s.exec(t).Env, "DB_VERSION", "2")
	if s.state(t, "bare", "Running") != "false" {
		t.Error("it runs without its secret")
	}
	if _, err := os.Stat(s.vol + "/bare"); err == nil {
		t.Error("the program ran without its secret")
	}
}

// A container that docker restarts by itself asks anew, too.
func TestRestartPolicy(t *testing.T) {
	t.Parallel()
	s := newSite(t, docker29(t), version("1"), nil)
	rig.WantVar(t, s.up(t, "web", "--restart", "always", from("db")).Env, "DB_VERSION", "1")
	s.have(t, version("2"))
	s.docker(t, "exec", "web", "sh", "-c", "kill 1") // which may end as the container does
	rig.WantVar(t, s.report(t, "web").Env, "DB_VERSION", "2")
}

// A mistake in the settings, or a secret that is gone, keeps nobody from ending a
// container.
func TestEnds(t *testing.T) {
	t.Parallel()
	s := newSite(t, docker29(t), version("1"), nil)
	for _, name := range []string{"stopped", "killed", "removed"} {
		s.up(t, name, from("db"))
	}
	s.have(t, secrets{})
	rig.WriteFile(t, s.config, "[dict\n", 0o600)
	s.must(t, "stop", "stopped")
	s.must(t, "kill", "killed")
	s.must(t, "rm", "--force", "removed")
	for _, name := range []string{"stopped", "killed"} {
		if status := s.state(t, name, "Status"); status != "exited" {
			t.Errorf("the container %s is %s", name, status)
		}
	}
}
