// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// What docker's user sees of a refusal by the shim, and of one by the hook.
const (
	byShim = "OCI runtime create failed: "
	byHook = byShim + "runc create failed: unable to start container process: error during container init: " +
		"error running prestart hook #0: exit status %d, stdout: , stderr: "
)

// refused runs a container that leaves a mark if it runs at all, and gives what
// docker says of it behind its own words.
func (s *site) refused(t *testing.T, name string, args ...string) string {
	t.Helper()
	r := s.docker(t, append(append(s.args("run", "--name", name), args...), image, "sh", "-c", ": >/vol/mark; echo ran")...)
	told := s.told(r.Stderr)
	if r.Code != 125 || r.Stdout != "" {
		t.Errorf("exit code %d, want 125\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	if _, err := os.Stat(s.vol + "/mark"); err == nil {
		t.Error("the program ran")
	}
	if status, code := s.state(t, name, "Status"), s.state(t, name, "ExitCode"); status != "created" || code != "128" {
		t.Errorf("the container is %s with exit code %s, want created and 128", status, code)
	}
	return told
}

// told takes docker's own words, and what is of this run alone, away.
func (s *site) told(stderr string) string {
	stderr = strings.TrimSuffix(stderr, "\n\nRun 'docker run --help' for more information\n")
	stderr = strings.TrimSpace(stderr)
	for _, prefix := range []string{
		"docker: ", "Error response from daemon: ", "Cannot restart container web: ",
		"failed to create task for container: ", "failed to create shim task: ",
	} {
		stderr = strings.TrimPrefix(stderr, prefix)
	}
	stderr = strings.ReplaceAll(stderr, s.dir, "DIR")
	return durations.ReplaceAllString(ids.ReplaceAllString(stderr, "ID"), "after TIME")
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	s := newSite(t, docker29(t), three, nil)
	const (
		dict   = "DIR/settings/secrets.json"
		bundle = "oci-secrets: read DIR/exec/containerd/daemon/io.containerd.runtime.v2.task/moby/ID/config.json: "
	)
	for _, c := range []struct {
		name  string
		args  []string
		setUp func(t *testing.T)
		want  string
	}{
		{name: "missing secret", args: []string{from("absent")}, want: fmt.Sprintf(byHook, 11) +
			`oci-secrets: secret "absent": no secret "absent" in ` + dict},
		{name: "missing secrets", args: []string{from("absent db gone")}, want: fmt.Sprintf(byHook, 11) +
			`oci-secrets: secret "absent": no secret "absent" in ` + dict + "\n" +
			`oci-secrets: secret "gone": no secret "gone" in ` + dict},
		{name: "missing key", args: []string{from("db#ABSENT")}, want: fmt.Sprintf(byHook, 11) +
			`oci-secrets: secret "db#ABSENT": it is in dict, but it has no key "ABSENT"`},
		{name: "reserved variable", args: []string{`--annotation=secrets.oci/dict={"LD_PRELOAD":"x"}`}, want: fmt.Sprintf(byHook, 10) +
			"oci-secrets: the annotation's dict: variable LD_PRELOAD is reserved: it changes how a process finds or runs code\n" +
			"hint: give the key another name, or let the operator add it to allow_names"},
		{name: "unknown annotation", args: []string{from("db"), "--annotation=secrets.oci/form=db"}, want: byShim + bundle +
			"annotation secrets.oci/form: no such key; hint: did you mean secrets.oci/from?"},
		{name: "letter case", args: []string{"--annotation=Secrets.oci/from=db"}, want: byShim + bundle +
			"annotation Secrets.oci/from: no such key; hint: did you mean secrets.oci/from?"},
		{name: "empty list", args: []string{from("")}, want: byShim + bundle +
			"annotation secrets.oci/from: the list is empty; hint: leave the annotation out if nothing is wanted; none: exempts one container of a pod"},
		{name: "list cut in two", args: []string{from("db"), "--annotation=db#DB_USER=NAME"}, want: byShim + bundle +
			`annotation "db#DB_USER": it is the rest of a list that was cut in two; hint: write + between items: podman 4 cuts an annotation at commas, and a quadlet at blanks`},
		{name: "container of no pod", args: []string{"--annotation=secrets.oci/from.web=db"}, want: byShim + bundle +
			"annotation secrets.oci/from.<container>: this container has no name in a pod; hint: use secrets.oci/from"},
		{name: "broken settings", args: []string{from("db")}, setUp: func(t *testing.T) {
			t.Helper()
			rig.WriteFile(t, s.config, "[dict\n", 0o600)
		}, want: byShim + "oci-secrets: settings DIR/settings/config.toml: line 2: not valid TOML, or not the type that the key has"},
		{name: "settings that do not exist", args: []string{from("db")}, setUp: func(t *testing.T) {
			t.Helper()
			if err := os.Remove(s.config); err != nil {
				t.Fatal(err)
			}
		}, want: byShim + "oci-secrets: settings: DIR/settings/config.toml does not exist"},
		{name: "secrets others can read", args: []string{from("db")}, setUp: func(t *testing.T) {
			t.Helper()
			if err := os.Chmod(filepath.Dir(s.config)+"/secrets.json", 0o644); err != nil {
				t.Fatal(err)
			}
		}, want: fmt.Sprintf(byHook, 12) + `oci-secrets: secret "db": ` + dict + " has mode 0644, so others can read it; it must have 0640 or 0600\n" +
			"hint: chmod 0640 " + dict},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.setUp != nil {
				c.setUp(t)
				defer s.set(t, "")
			}
			got := s.refused(t, strings.ReplaceAll(c.name, " ", "-"), c.args...)
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("docker's user is told (-want +got):\n%s", d)
			}
		})
	}
}

// A Vault that takes the connection and says nothing is waited for until the
// deadline in the settings, and no longer.
func TestVaultHangs(t *testing.T) {
	t.Parallel()
	s := newSite(t, docker29(t), three, nil)
	hangs, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hangs.Close() })
	s.set(t, fmt.Sprintf("deadline = \"2s\"\n[vault]\naddress = \"http://%s\"\n[vault.auth]\nmethod = \"token\"\ntoken = \"t\"\n", hangs.Addr()))
	start := time.Now()
	got := s.refused(t, "hanging", from("vault:db"))
	if took := time.Since(start); took < 2*time.Second || took > 9*time.Second {
		t.Errorf("it took %v to refuse, want 2s", took)
	}
	want := fmt.Sprintf(byHook, 13) +
		`oci-secrets: secret "vault:db": vault http://ADDRESS: look up mount secret: gave up at the deadline, after TIME; last seen: no answer at all`
	if d := cmp.Diff(want, strings.ReplaceAll(got, hangs.Addr().String(), "ADDRESS")); d != "" {
		t.Errorf("docker's user is told (-want +got):\n%s", d)
	}
}
