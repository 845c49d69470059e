// SPDX-License-Identifier: Apache-2.0

package podman

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

var three = secrets{
	"db":     {"DB_USER": "app", "DB_PASSWORD": "hunter2", "SHARED": "db"},
	"stripe": {"STRIPE_KEY": "sk_1", "SHARED": "stripe", "FROM_FLAG": "secret"},
	"web":    {"FROM_IMAGE": "secret"},
}

func TestDelivers(t *testing.T) {
	each(t, every, func(t *testing.T, m mode) {
		s := newSite(t, m, three)
		args := []string{"--hostname", "h", "--env", "FROM_FLAG=flag", "--env", "KEPT=kept"}
		bare := s.run(t, args...)
		got := s.run(t, append(args, from("db  stripe\tweb"), `--annotation="secrets.oci/dict={""MODE"":""test"",""DB_USER"":""dict""}"`)...)

		wanted := map[string]string{
			"DB_USER": "dict", "DB_PASSWORD": "hunter2", "SHARED": "stripe", "STRIPE_KEY": "sk_1",
			"FROM_FLAG": "secret", "FROM_IMAGE": "secret", "MODE": "test",
		}
		// The order of the flags' and the image's variables differs between
		// two runs of podman, so only the set can be compared.
		want := replaced(bare.Env, wanted)
		for _, list := range []*[]string{&want, &bare.Env} {
			slices.Sort(*list)
		}
		if d := cmp.Diff(want, sorted(got.Env)); d != "" {
			t.Errorf("environment (-want +got):\n%s", d)
		}
		if m.precreate {
			return
		}
		// The kernel keeps the environment as it was before delivery.
		if d := cmp.Diff(bare.Env, sorted(got.Environ)); d != "" {
			t.Errorf("/proc/self/environ (-bare +got):\n%s", d)
		}
		if d := cmp.Diff(replaced(got.Environ, wanted)[:len(got.Environ)], got.Env[:len(got.Environ)]); d != "" {
			t.Errorf("not replaced in place (-want +got):\n%s", d)
		}
	})
}

// replaced is env with the variables replaced in place, or else appended.
func replaced(env []string, vars map[string]string) []string {
	out := slices.Clone(env)
	for name, v := range vars {
		i := slices.IndexFunc(out, func(e string) bool { return strings.HasPrefix(e, name+"=") })
		if i < 0 {
			out = append(out, "")
			i = len(out) - 1
		}
		out[i] = name + "=" + v
	}
	return out
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

func TestOptions(t *testing.T) {
	cases := []struct {
		name string
		args []string
		uid  int
	}{
		{"user", []string{"--user=1000"}, 1000},
		{"capabilities", []string{"--cap-drop=all"}, 0},
		{"read-only", []string{"--read-only"}, 0},
		{"no new privileges", []string{"--security-opt=no-new-privileges"}, 0},
		{"all of them", []string{"--user=1000:1000", "--cap-drop=all", "--read-only", "--security-opt=no-new-privileges"}, 1000},
		{"privileged", []string{"--privileged"}, 0},
		{"seccomp off", []string{"--security-opt=seccomp=unconfined"}, 0},
		{"host's pids", []string{"--pid=host"}, 0},
		{"tmpfs and workdir", []string{"--tmpfs=/tmp", "--workdir=/tmp"}, 0},
		{"script", []string{"--volume=SCRIPT:/script", "--entrypoint=/script"}, 0},
	}
	each(t, every, func(t *testing.T, m mode) {
		s := newSite(t, m, three)
		script := s.dir + "/script"
		s.write(t, script, "#!/bin/sh\n: a script\nexec \"$@\"\n", 0o755)
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				args := []string{"run", "--rm", from("db")}
				for _, a := range c.args {
					args = append(args, strings.ReplaceAll(a, "SCRIPT", script))
				}
				got := s.reported(t, append(args, image, rig.PayloadPath, "report")...)
				rig.WantVar(t, got.Env, "DB_USER", "app")
				rig.WantVar(t, got.Env, "DB_PASSWORD", "hunter2")
				if got.UID != c.uid {
					t.Errorf("uid %d, want %d", got.UID, c.uid)
				}
			})
		}
	})
}

// With --init the first program is an init, which gives its environment to the
// container's.
func TestInit(t *testing.T) {
	each(t, every, func(t *testing.T, m mode) {
		s := newSite(t, m, three)
		// A stand-in for catatonit, which is not everywhere podman is.
		init := s.dir + "/init"
		s.write(t, init, "#!/bin/sh\n[ \"$1\" = -- ] && shift\n\"$@\" &\nwait $!\n", 0o755)
		got := s.run(t, "--init", "--init-path", init, from("db"))
		rig.WantVar(t, got.Env, "DB_PASSWORD", "hunter2")
		if got.PID == 1 {
			t.Error("there was no init")
		}
	})
}

// A container without one of our annotations starts without the hook.
func TestUntouched(t *testing.T) {
	each(t, every, func(t *testing.T, m mode) {
		s := newSite(t, m, three)
		marker, wrapper := s.vol+"/ran", s.dir+"/wrapper"
		s.write(t, wrapper, "#!/bin/sh\n: >"+marker+"\nexec "+rig.Binary(t)+" \"$@\"\n", 0o755)
		s.install(t, wrapper, s.config)
		for _, args := range [][]string{
			nil,
			{"--annotation=other/from=db"},
			{"--annotation=xsecrets.oci/from=db"},
			{"--annotation=secretsXoci/from=db"},
			{"--label=secrets.oci/from=db"},
		} {
			got := s.run(t, args...)
			rig.WantNone(t, got.Env, "DB_USER", "DB_PASSWORD", "SHARED")
			if _, err := os.Stat(marker); err == nil {
				t.Errorf("%q: the hook ran", args)
			}
		}
		rig.WantVar(t, s.run(t, from("db")).Env, "DB_USER", "app")
		if _, err := os.Stat(marker); err != nil {
			t.Errorf("the hook's wrapper does not tell: %v", err)
		}
	})
}

// Annotations that are ours but for their letters' case reach the hook too,
// which refuses them: a typo must not start a container without its secrets.
func TestLetterCase(t *testing.T) {
	each(t, []mode{root, root.pre()}, func(t *testing.T, m mode) {
		s := newSite(t, m, three)
		for _, key := range []string{"Secrets.oci/from", "SECRETS.OCI/FROM", "web.Secrets.oci/from", "web.secrets.oci/from"} {
			r := s.podman(t, "run", "--rm", "--annotation", key+"=db", image)
			if r.Code != 126 || r.Stdout != "" || !strings.Contains(r.Stderr, "exit status 10") {
				t.Errorf("%s: exit code %d, want 126 and exit status 10\n%s%s", key, r.Code, r.Stdout, r.Stderr)
			}
		}
	})
}

// What podman 4 makes of its flag --annotation, which it reads as a line of
// CSV. README names the forms that work.
func TestFlag(t *testing.T) {
	s := newSite(t, root, three)
	works := func(t *testing.T, annotation string, want map[string]string) {
		t.Helper()
		got := s.run(t, "--annotation", annotation)
		for _, name := range []string{"DB_USER", "STRIPE_KEY", "A", "B"} {
			if v, ok := want[name]; ok {
				rig.WantVar(t, got.Env, name, v)
			} else {
				rig.WantNone(t, got.Env, name)
			}
		}
	}
	t.Run("plus", func(t *testing.T) {
		works(t, "secrets.oci/from=db#DB_USER+stripe#STRIPE_KEY=A#STRIPE_KEY+dict:no~40where?", map[string]string{"DB_USER": "app", "A": "sk_1", "STRIPE_KEY": "sk_1"})
	})
	t.Run("white space", func(t *testing.T) {
		works(t, "secrets.oci/from=db stripe", map[string]string{"DB_USER": "app", "STRIPE_KEY": "sk_1"})
	})
	t.Run("comma in quotes", func(t *testing.T) {
		works(t, `"secrets.oci/from=db,stripe"`, map[string]string{"DB_USER": "app", "STRIPE_KEY": "sk_1"})
	})
	t.Run("dict", func(t *testing.T) {
		works(t, `"secrets.oci/dict={""A"":""x"",""B"":""y""}"`, map[string]string{"A": "x", "B": "y"})
	})
	t.Run("two annotations", func(t *testing.T) {
		works(t, "secrets.oci/from=db,secrets.oci/dict={}", map[string]string{"DB_USER": "app"})
	})
	// Only the first line is read. The rest is lost before anybody of ours is asked.
	t.Run("second line lost", func(t *testing.T) {
		works(t, "secrets.oci/from=db\nstripe", map[string]string{"DB_USER": "app"})
	})
	t.Run("last flag wins", func(t *testing.T) {
		got := s.run(t, from("db"), from("stripe"))
		rig.WantVar(t, got.Env, "STRIPE_KEY", "sk_1")
		rig.WantNone(t, got.Env, "DB_USER")
	})
	for _, c := range []struct{ name, annotation, message string }{
		{"comma", "secrets.oci/from=db,stripe", "annotations must be formatted KEY=VALUE"},
		{"dict without quotes", `secrets.oci/dict={"A":"x"}`, `bare " in non-quoted-field`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := s.podman(t, "run", "--rm", "--annotation", c.annotation, image)
			if r.Code != 125 || r.Stdout != "" || !strings.Contains(r.Stderr, c.message) {
				t.Errorf("exit code %d, want 125 and %q\n%s%s", r.Code, c.message, r.Stdout, r.Stderr)
			}
		})
	}
}

// The runtime's own error comes through as it is without us.
func TestNoEntrypoint(t *testing.T) {
	each(t, every, func(t *testing.T, m mode) {
		s := newSite(t, m, three)
		for _, c := range []struct {
			name, program string
			code          int
		}{{"absent", "/absent", 127}, {"not executable", "/etc", 126}, {"not on PATH", "absent", 127}} {
			t.Run(c.name, func(t *testing.T) {
				bare := s.podman(t, "run", "--rm", image, c.program)
				got := s.podman(t, "run", "--rm", from("db"), image, c.program)
				for _, r := range []*rig.Result{&bare, &got} {
					r.Stderr = logTime.ReplaceAllString(r.Stderr, "time=TIME")
				}
				if d := cmp.Diff(bare, got); d != "" {
					t.Errorf("(-without +with):\n%s", d)
				}
				if got.Code != c.code || got.Stderr == "" {
					t.Errorf("exit code %d, want %d, and %q", got.Code, c.code, got.Stderr)
				}
			})
		}
	})
}
