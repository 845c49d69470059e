// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// engine is one release of docker.
type engine struct {
	name     string
	path     []string       // directories of its programs, ahead of the host's
	libs     string         // a directory of libraries that the host may lack
	settings map[string]any // of daemon.json, that only it needs
}

// docker29 is the Docker 29 line, with the runc that go.mod pins.
func docker29(t *testing.T) engine {
	t.Helper()
	e := engine{name: "docker 29"}
	for _, script := range []string{"runc.sh", "containerd.sh", "dockerd.sh", "docker.sh"} {
		e.path = append(e.path, filepath.Dir(rig.Engine(t, script)))
	}
	return e
}

// docker20 is Debian's 20.10, with Debian's runc 1.1.
func docker20(t *testing.T) engine {
	t.Helper()
	dir := rig.Engine(t, "docker20.sh")
	return engine{
		name: "docker 20.10", path: []string{dir + "/usr/sbin", dir + "/usr/bin"}, libs: dir + "/lib/x86_64-linux-gnu",
		settings: map[string]any{"oom-score-adjust": 0},
	}
}

// environment is what its programs are started with.
func (e engine) environment(more ...string) []string {
	env := append(more, "PATH="+strings.Join(append(e.path, "/usr/sbin:/usr/bin:/sbin:/bin"), ":"))
	if e.libs != "" {
		env = append(env, "LD_LIBRARY_PATH="+e.libs)
	}
	return env
}

// program finds one of its programs.
func (e engine) program(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range e.path {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Fatalf("%s has no %s", e.name, name)
	return ""
}
