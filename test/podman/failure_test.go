// SPDX-License-Identifier: Apache-2.0

package podman

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// mislabels are the phrases by which podman decides to show an error of its
// own (libpod/oci_util.go), and what it then says.
var mislabels = []string{
	"permission denied", "operation not permitted", "no such file or directory",
	"OCI permission denied", "attempted to invoke a command that was not found",
}

func TestRefuses(t *testing.T) {
	cases := []struct {
		name  string
		code  int
		shim  bool // a shim notices it, and not the hook
		args  []string
		setUp func(t *testing.T, s *site)
		line  string // of our message
	}{
		{name: "missing secret", code: 11, args: []string{from("absent db gone")}, line: `secret "absent": no secret "absent" in `},
		{name: "missing key", code: 11, args: []string{from("db#ABSENT")}, line: "ABSENT"},
		{name: "unknown annotation", code: 10, shim: true, args: []string{from("db"), "--annotation=secrets.oci/form=db"}, line: "annotation secrets.oci/form: no such key"},
		{name: "empty list", code: 10, shim: true, args: []string{from("")}, line: "annotation secrets.oci/from: the list is empty"},
		{name: "list that podman cuts in two", code: 10, shim: true, args: []string{from("db,db#DB_USER=NAME")}, line: "it is the rest of a list that was cut in two"},
		{name: "container of no pod", code: 10, shim: true, args: []string{"--annotation=secrets.oci/from.web=db"}, line: "this container has no name in a pod"},
		{name: "broken settings", code: 15, shim: true, args: []string{from("db")}, setUp: func(t *testing.T, s *site) {
			t.Helper()
			s.write(t, s.config, "[dict\n", 0o600)
		}, line: "config.toml"},
		{name: "settings that do not exist", code: 15, shim: true, args: []string{from("db")}, setUp: func(t *testing.T, s *site) {
			t.Helper()
			if err := os.Remove(s.config); err != nil {
				t.Fatal(err)
			}
		}, line: "config.toml"},
		{name: "settings others can write", code: 15, shim: true, args: []string{from("db")}, setUp: func(t *testing.T, s *site) {
			t.Helper()
			if err := os.Chmod(s.config, 0o666); err != nil {
				t.Fatal(err)
			}
		}, line: "it must have 0644 or stricter"},
		{name: "secrets others can read", code: 12, args: []string{from("db")}, setUp: func(t *testing.T, s *site) {
			t.Helper()
			if err := os.Chmod(filepath.Dir(s.config)+"/secrets.json", 0o644); err != nil {
				t.Fatal(err)
			}
		}, line: "it must have 0640 or 0600"},
		{name: "Vault that does not answer", code: 13, args: []string{from("vault:db")}, setUp: func(t *testing.T, s *site) {
			t.Helper()
			s.write(t, s.config, "deadline = \"1s\"\n[vault]\naddress = \"http://127.0.0.1:1\"\n[vault.auth]\nmethod = \"token\"\ntoken = \"t\"\n", 0o600)
		}, line: "127.0.0.1:1"},
	}
	each(t, every, func(t *testing.T, m mode) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				s := newSite(t, m, three)
				if c.setUp != nil {
					c.setUp(t, s)
				}
				r, told := s.refused(t, c.args...)
				want := fmt.Sprintf("exit status %d", c.code)
				if m.runtime == "crun" && !m.precreate {
					want = fmt.Sprintf("(exit code: %d)", c.code)
				}
				if m.shim && c.shim {
					want = "Error: OCI runtime error: oci-secrets: oci-secrets: "
				}
				if r.Code != 126 || !strings.Contains(r.Stderr, want) {
					t.Errorf("exit code %d, want 126 and %q\n%s", r.Code, want, r.Stderr)
				}
				if !m.precreate && (!strings.Contains(told, "oci-secrets: ") || !strings.Contains(told, c.line)) {
					t.Errorf("the user is told %q, want %q in it", told, c.line)
				}
				for _, value := range []string{"hunter2", "sk_1"} {
					if strings.Contains(r.Stderr+told, value) {
						t.Errorf("a value in %s", r.Stderr+told)
					}
				}
				for _, phrase := range mislabels {
					if strings.Contains(strings.ToLower(r.Stderr+told), strings.ToLower(phrase)) {
						t.Errorf("%q in %s", phrase, r.Stderr+told)
					}
				}
			})
		}
	})
}

// refused runs a container that leaves a mark if it runs at all, and gives the
// result and our message: what podman's user can see of it. With crun and no shim
// that is nothing, so the hook is run by a script that keeps what it says.
func (s *site) refused(t *testing.T, args ...string) (rig.Result, string) {
	t.Helper()
	argv := append([]string{"run", "--rm", "--volume", s.vol + ":/vol"}, args...)
	errs := s.dir + "/hook-stderr"
	hidden := s.runtime == "crun" && !s.shim && !s.precreate
	if hidden {
		script := s.dir + "/oci-secrets.sh"
		s.write(t, script, "#!/bin/sh\nexec "+rig.Binary(t)+" \"$@\" 2>>"+errs+"\n", 0o755)
		s.install(t, script, s.config)
	}
	r := s.podman(t, append(argv, image, "sh", "-c", ": >/vol/mark; echo ran")...)
	if _, err := os.Stat(s.vol + "/mark"); err == nil || r.Stdout != "" {
		t.Errorf("the program ran: %q", r.Stdout)
	}
	told := strings.ReplaceAll(r.Stderr, `\"`, `"`) // runc quotes it where its log is text
	if hidden {
		b, err := os.ReadFile(errs)
		if err != nil {
			t.Error(err)
		}
		told = string(b)
	}
	return r, told
}

// logTime is when a runtime logged what podman shows of it.
var logTime = regexp.MustCompile(`time="[^"]*"`)

// What podman says of a refusal, in full. Only with runc in flight its user
// sees our message; otherwise the exit code is all there is, and README has
// the table.
func TestMessage(t *testing.T) {
	for m, want := range map[mode]string{
		root: "Error: OCI runtime error: runc: runc create failed: unable to start container process: error during container init: " +
			"error running hook #0: error running hook: exit status 11, stdout: , stderr: " +
			"oci-secrets: secret \"absent\": no secret \"absent\" in SETTINGS/secrets.json\n",
		root.as(): "Error: OCI runtime error: oci-secrets: time=TIME level=error msg=\"runc create failed: unable to start container process: error during container init: " +
			"error running hook #0: error running hook: exit status 11, stdout: , stderr: " +
			"oci-secrets: secret \\\"absent\\\": no secret \\\"absent\\\" in SETTINGS/secrets.json\\n\"\n",
		rootCrun.as(): "Error: OCI runtime error: oci-secrets: oci-secrets: secret \"absent\": no secret \"absent\" in SETTINGS/secrets.json\n" +
			"error executing hook `BINARY` (exit code: 11)\n",
		rootCrun:   "Error: OCI runtime error: crun: error executing hook `BINARY` (exit code: 11)\n",
		root.pre(): "Error: setting up OCI Hooks: executing [oci-secrets precreate --config SETTINGS/config.toml]: exit status 11\n",
	} {
		t.Run(m.String(), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, m, three)
			got := s.podman(t, "run", "--rm", from("absent"), image).Stderr
			got = logTime.ReplaceAllString(got, "time=TIME")
			got = strings.NewReplacer(filepath.Dir(s.config), "SETTINGS", rig.Binary(t), "BINARY").Replace(got)
			if m.precreate {
				// Before it, a warning with the time and the container's id.
				lines := strings.SplitAfter(got, "\n")
				if len(lines) > 1 && strings.Contains(lines[0], "level=warning") {
					got = strings.Join(lines[1:], "")
				}
			}
			if got != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

// Podman itself does not notice that a hook's program is gone, or its whole
// directory: the container starts without it. That is why the installation has
// an order and can be checked; nothing in a hook can refuse here.
func TestHookGone(t *testing.T) {
	each(t, slices.Concat(hooked, allPrecreate), func(t *testing.T, m mode) {
		s := newSite(t, m, three)
		s.install(t, s.dir+"/absent", s.config)
		r := s.podman(t, "run", "--rm", from("db"), image)
		if r.Code != 0 || r.Stderr != "" {
			t.Fatalf("podman tells by now, which README should say: exit code %d\n%s", r.Code, r.Stderr)
		}
		rig.WantNone(t, rig.ParseReport(t, r.Stdout).Env, "DB_USER", "DB_PASSWORD")
	})
	t.Run("directory", func(t *testing.T) {
		s := newSite(t, root, three)
		if err := os.RemoveAll(s.dir + "/hooks.d"); err != nil {
			t.Fatal(err)
		}
		rig.WantNone(t, s.run(t, from("db")).Env, "DB_USER", "DB_PASSWORD")
	})
}

// What crun, which is root here, writes for podman where the container's author
// says so: nothing of his.
func TestRedirected(t *testing.T) {
	const line = "# oci-secrets refuses this container, see the system log\n"
	for m, want := range map[mode]string{rootCrun: line, rootCrun.as(): "", rootCrun.pre(): "", root: "", user1Crun: line} {
		for _, list := range []string{"'$(id)'", "db lib/evil.so"} {
			t.Run(m.String()+"/"+list, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, m, three)
				file := s.vol + "/ld.so.preload"
				r := s.podman(t, "run", "--rm", from(list), "--annotation=run.oci.hooks.stderr="+file, image)
				if r.Code != 126 || r.Stdout != "" {
					t.Errorf("exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
				}
				got, _ := os.ReadFile(file) // it need not be there
				if string(got) != want {
					t.Errorf("crun has written %q for the author, want %q", got, want)
				}
			})
		}
	}
}
