// SPDX-License-Identifier: Apache-2.0

package podman

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// The settings of a rootless podman's hook that nobody named are the user's,
// though the hook is uid 0 in podman's namespace and may have no environment.
func TestUserSettings(t *testing.T) {
	for _, m := range []mode{user1, user1Crun, user1.pre(), user1Crun.pre()} {
		t.Run(m.String(), func(t *testing.T) {
			s := newSite(t, m, three)
			s.install(t, rig.Binary(t), "")
			home := filepath.Join(rootless.HomeDir, ".config/oci-secrets")
			other := filepath.Join(s.dir, "xdg")
			settings := func(dir, user string) {
				t.Helper()
				s.mkdir(t, filepath.Dir(dir), 0o755)
				s.mkdir(t, dir, 0o700)
				t.Cleanup(func() { _ = os.RemoveAll(dir) })
				s.write(t, dir+"/config.toml", "[dict]\npath = \"secrets.json\"\n", 0o600)
				s.write(t, dir+"/secrets.json", fmt.Sprintf(`{"db": {"DB_USER": %q}}`, user), 0o600)
			}

			if r := s.podman(t, "run", "--rm", from("db"), image); r.Code != 126 || r.Stdout != "" {
				t.Errorf("without settings: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
			}
			settings(home, "home")
			rig.WantVar(t, s.run(t, from("db")).Env, "DB_USER", "home")

			// Podman does not hand it on, so what it names is not found.
			settings(other+"/oci-secrets", "xdg")
			s.env = append(s.env, "XDG_CONFIG_HOME="+other)
			rig.WantVar(t, s.run(t, from("db")).Env, "DB_USER", "home")
		})
	}
}

// A hook sees nothing of the environment that podman was started with. What a
// person sets there is for that person's own commands; the hook's settings are
// where they always are, or where its command line says.
func TestEnvironmentIsNotHandedOn(t *testing.T) {
	each(t, every, func(t *testing.T, m mode) {
		name := rig.Canary()
		s := newSite(t, m, secrets{name: {"DB_USER": "app"}})
		rig.WantVar(t, s.run(t, from(name)).Env, "DB_USER", "app")
		s.install(t, rig.Binary(t), "")
		s.env = append(s.env, "OCI_SECRETS_CONFIG="+s.config)
		if r := s.podman(t, "run", "--rm", from(name), image, "echo", "ran"); r.Code != 126 || r.Stdout != "" {
			t.Errorf("exit code %d, want 126\n%s%s", r.Code, r.Stdout, r.Stderr)
		}
	})
}

// Who may own and read the secrets, as a rootless podman's hook sees it.
func TestFileModes(t *testing.T) {
	each(t, []mode{user1, user1Crun.pre()}, func(t *testing.T, m mode) {
		openStore(t, m)
		uid, _ := strconv.Atoi(rootless.Uid)
		gid, _ := strconv.Atoi(rootless.Gid)
		for _, c := range []struct {
			name     string
			uid, gid int
			mode     os.FileMode
			refused  string // by what; "" for not
		}{
			{"the user's", uid, gid, 0o600, ""},
			{"the user's, for its group", uid, gid, 0o640, ""},
			{"the user's, for all", uid, gid, 0o644, "others can read it"},
			{"the user's, its group may write", uid, gid, 0o660, "its group can write it"},
			{"the host's root's, for the user's group", 0, gid, 0o640, ""},
			{"the host's root's alone", 0, 0, 0o600, "cannot be read: access denied"},
			{"the container's root's", int(subordinate), gid, 0o640, "it must belong to root or to uid 0"}, //nolint:gosec // a uid
		} {
			t.Run(c.name, func(t *testing.T) {
				s := newSite(t, m, three)
				file := filepath.Dir(s.config) + "/secrets.json"
				if err := os.Chmod(file, c.mode); err != nil {
					t.Fatal(err)
				}
				if err := os.Chown(file, c.uid, c.gid); err != nil {
					t.Fatal(err)
				}
				if c.refused == "" {
					rig.WantVar(t, s.run(t, from("db")).Env, "DB_USER", "app")
					return
				}
				r, told := s.refused(t, from("db"))
				if r.Code != 126 || !strings.Contains(r.Stderr, "exit status 12") || !m.precreate && !strings.Contains(told, c.refused) {
					t.Errorf("exit code %d, want 126 and exit status 12 with %q\n%s", r.Code, c.refused, r.Stderr)
				}
			})
		}
	})
}
