// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// unusual gives a process what few have, and each of which a program could
// change for its successor without meaning to: Go raises the limit of open files
// and sets up signals, and who holds secrets forbids core dumps. Go programs, of
// which runc is one, take other signals than these as they like them.
var unusual = []string{
	"prlimit", "--nofile=500:1000", "--core=1024:2048", "--stack=4194304:8388608", "--memlock=65536:65536",
	"nice", "-n", "3", "chrt", "--batch", "0",
	"setpriv", "--no-new-privs", "--inh-caps", "-chown", "--pdeathsig", "TERM",
	"env", "--block-signal=USR1,USR2", "--ignore-signal=HUP,INT",
}

// TestProcess compares what the real runtime is started as with what it is
// started as by the shim: the process, with its environment, descriptors,
// limits, signals, directory and arguments.
func TestProcess(t *testing.T) {
	mask := unix.Umask(0o027) // this process's, too: no test runs beside this one
	defer unix.Umask(mask)
	s := newSite(t, recorder(t))
	bundle := func(annotations string) string {
		dir := t.TempDir()
		rig.WriteFile(t, filepath.Join(dir, "config.json"), `{"annotations": {`+annotations+`}, "process": {"env": []}}`, 0o644)
		return dir
	}
	plain, asking := bundle(``), bundle(`"secrets.oci/from": "db"`)
	// What systemd and others pass on begins at 3; what is above a gap must not
	// move either.
	listening, err := os.Open("/dev/zero")
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	files := []*os.File{listening, other, nil, nil, other}
	s.env = append(s.env, "LISTEN_FDS=2", "LISTEN_PID=1", "A=first", "A=second", "NOTHING=", "without", "BYTES=\xff\xfe\n")

	for name, args := range map[string][]string{
		"create":          {"create", "--bundle", plain, "--preserve-fds", "2", "c"},
		"create, asking":  {"create", "--bundle", asking, "--preserve-fds", "2", "c"},
		"run, asking":     {"--root", s.dir, "run", "-b", asking, "c"},
		"exec in nothing": {"--root", s.dir, "exec", "nothing", "true"},
		"state":           {"state", "c"},
		"no command":      {},
	} {
		t.Run(name, func(t *testing.T) {
			start := func(program string) record {
				return s.start(t, files, slices.Concat(unusual, []string{program}, args)...)
			}
			direct := start(s.real)
			for _, shim := range []string{s.shim, s.named} {
				if diff := cmp.Diff(direct, start(shim)); diff != "" {
					t.Errorf("%s (-direct +shim):\n%s", filepath.Base(shim), diff)
				}
			}
			for _, name := range []string{"descriptor 3", "descriptor 4", "descriptor 7", "environment", "limits", "status SigBlk", "status SigIgn"} {
				if direct[name] == "" {
					t.Errorf("the recorder says nothing of its %s", name)
				}
			}
			if env := direct["environment"]; !strings.Contains(env, "\x00A=first\x00A=second\x00NOTHING=\x00without\x00") {
				t.Errorf("the environment is not the unusual one: %q", env)
			}
		})
	}
	if b, err := os.ReadFile(filepath.Join(asking, "config.json")); err != nil || !strings.Contains(string(b), "prestart") {
		t.Errorf("the hook is not in the bundle that asks: %v, %s", err, b)
	}
}

// TestDeathSignal has an exec that must ask the sources where there is a Vault
// among them: that does not happen where all else does.
func TestDeathSignal(t *testing.T) {
	t.Parallel()
	s := newSite(t, recorder(t))
	s.container(t)
	settings := "chain = [\"dict\"]\n" + rig.ReadFile(t, s.config) + "[vault]\naddress = \"http://127.0.0.1:1\"\nmount = \"m\"\n[vault.auth]\nmethod = \"token\"\ntoken = \"t\"\n"
	rig.WriteFile(t, s.config, settings, 0o600)
	r := s.start(t, nil, "setpriv", "--pdeathsig", "TERM", s.shim, "--root", s.dir, "exec", "c", "true")
	if r["death signal"] != "15" || !strings.Contains(r["arguments"], "/proc/self/fd/") {
		t.Errorf("death signal %q, arguments %q", r["death signal"], r["arguments"])
	}
}

// container makes one that exists, and asks.
func (s *site) container(t *testing.T) {
	t.Helper()
	rig.WriteFile(t, filepath.Join(s.dir, "config.json"), `{"annotations": {"secrets.oci/from": "db"}, "process": {"cwd": "/"}}`, 0o644)
	if err := os.Mkdir(filepath.Join(s.dir, "c"), 0o755); err != nil {
		t.Fatal(err)
	}
	rig.WriteFile(t, filepath.Join(s.dir, "c", "state.json"), `{"config": {"labels": ["bundle=`+s.dir+`"]}}`, 0o644)
}

// TestEnvironmentOfUser has an exec of a rootless engine, which cannot read its
// own environment any more when it holds values.
func TestEnvironmentOfUser(t *testing.T) {
	t.Parallel()
	s := newSite(t, recorder(t))
	s.container(t)
	s.shim = filepath.Join(s.dir, "oci-secrets-runtime")
	rig.CopyFile(t, rig.Binary(t), s.shim, 0o755)
	for _, path := range []string{filepath.Dir(s.dir), s.dir, filepath.Dir(s.real)} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{s.config, filepath.Join(s.dir, "secrets.json")} {
		if err := os.Chown(path, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	s.env = append(s.env, "A=first", "A=second")
	r := s.start(t, nil, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", s.shim, "--root", s.dir, "exec", "c", "true")
	if !strings.Contains(r["environment"], "\x00A=first\x00A=second\x00") || !strings.Contains(r["arguments"], "/proc/self/fd/") {
		t.Errorf("environment %q, arguments %q", r["environment"], r["arguments"])
	}
}

// TestArguments passes command lines on, those of newer runtimes and broken
// ones among them, which the real runtime understands or refuses.
func TestArguments(t *testing.T) {
	t.Parallel()
	s := newSite(t, recorder(t))
	for _, args := range [][]string{
		{"--version"},
		{"-v"},
		{"--help"},
		{"features"},
		{"--root=/r", "--log", "l", "--log-format", "json", "--debug", "--systemd-cgroup", "state", "c"},
		{"--root", "create", "state", "c"},
		{"--rootless=auto", "kill", "--all", "c", "KILL"},
		{"delete", "--force", "c"},
		{"start", "c"},
		{"restore", "--image-path", "i", "-b", "b", "c"},
		{"checkpoint", "--leave-running", "c"},
		{"update", "--resources", "-", "c"},
		{"events", "--stats", "c"},
		{"list", "--format", "json"},
		{"ps", "c", "-ef"},
		{"spec", "--rootless"},
		{"exec", "c", "create"},
		{"--new-flag", "state", "c"},
		{"--new-flag=x", "--another", "value", "create", "--newer", "c", "--newest=9007199254740993"},
		{"create", "--bundle", "/nowhere", "c"},
		{"create"},
		{"run", "--bundle"},
		{"exec"},
		{"exec", "--process"},
		{"exec", "-it", "c", "sh", "-c", "echo --process $0", "--env", "A=b"},
		{"new-command", "--bundle", "b", "c"},
		{""},
		{"", "create"},
		{"--"},
		{"--", "create", "c"},
		{"-"},
		{"state", "\xff\xfe", "a\nb", " ", ""},
		{"state", strings.Repeat("x", 100<<10)},
	} {
		t.Run(strings.Join(args, " ")[:min(40, len(strings.Join(args, " ")))], func(t *testing.T) {
			want := strings.Join(append([]string{s.real}, args...), "\x00") + "\x00"
			for _, shim := range []string{s.shim, s.named} {
				if got := s.start(t, nil, append([]string{shim}, args...)...)["arguments"]; got != want {
					t.Errorf("%s:\ngot  %q\nwant %q", filepath.Base(shim), got, want)
				}
			}
		})
	}
}
