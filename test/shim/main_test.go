// SPDX-License-Identifier: Apache-2.0

// Package shim tests that the runtime shim is not there: but for what it is
// for, the real runtime is the process that the engine started, with all that a
// process is given. The real runtime is a recorder, which says what it was
// given, or runc itself. Nothing here depends on which secrets there are.
package shim

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

func TestMain(m *testing.M) {
	code := m.Run()
	rig.Cleanup()
	os.Exit(code)
}

// site is a host with the shim on it.
type site struct {
	dir    string
	shim   string // its path
	named  string // and that of one which finds the real runtime by its own name
	real   string // and that of the real runtime
	config string
	env    []string
}

// newSite puts the shim before a real runtime.
func newSite(t *testing.T, runtime string) *site {
	t.Helper()
	rig.NeedRoot(t)
	s := &site{
		dir: t.TempDir(), real: runtime,
		shim: rig.Link(t, "oci-secrets-runtime"), named: rig.Link(t, "oci-secrets-runtime-"+filepath.Base(runtime)),
	}
	s.config = filepath.Join(s.dir, "config.toml")
	rig.WriteFile(t, filepath.Join(s.dir, "secrets.json"), `{"db": {"SECRET": "value"}}`, 0o600)
	rig.WriteFile(t, s.config, fmt.Sprintf("state_dir = %q\n[runtime]\npath = %q\n[dict]\npath = \"secrets.json\"\n",
		filepath.Join(s.dir, "kept"), runtime), 0o600)
	// The hook mounts it, so that values are in memory.
	t.Cleanup(func() { _ = unix.Unmount(filepath.Join(s.dir, "kept"), unix.MNT_DETACH) })
	path := "PATH=" + os.Getenv("PATH")
	s.env = slices.DeleteFunc(os.Environ(), func(e string) bool { return e == path })
	s.env = append(s.env, path+":"+filepath.Dir(runtime), "OCI_SECRETS_CONFIG="+s.config)
	return s
}

// recorder builds the recorder.
func recorder(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "recorder")
	rig.MustRun(t, "gcc", "-O2", "-o", path, "testdata/recorder.c")
	return path
}

// record is what the recorder says of itself, by name.
type record map[string]string

// read reads the recorder's frames.
func (r record) read(t *testing.T, out []byte) {
	t.Helper()
	for len(out) > 0 {
		head, rest, _ := bytes.Cut(out, []byte("\n"))
		at := bytes.LastIndexByte(head, ' ')
		n, err := strconv.Atoi(string(head[at+1:]))
		if at < 0 || err != nil || n >= len(rest) {
			t.Fatalf("the real runtime did not report alone: %q", head)
		}
		r[string(head[:at])] = string(rest[:n])
		out = rest[n+1:]
	}
}

// varying are the lines of /proc/PID/status that two runs of one program may
// differ in.
var varying = []string{"Tgid", "Pid", "NStgid", "NSpid", "State", "SigQ", "Vm", "Rss", "voluntary", "nonvoluntary", "FDSize"}

// start runs a command as an engine would, with files from 3 on (nil for none),
// and gives what the recorder says.
func (s *site) start(t *testing.T, files []*os.File, argv ...string) record {
	t.Helper()
	path := filepath.Join(s.dir, "stdout")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	program, err := exec.LookPath(argv[0])
	if err != nil {
		t.Fatal(err)
	}
	// Package exec would tidy the environment.
	p, err := os.StartProcess(program, argv, &os.ProcAttr{
		Dir: s.dir, Env: s.env, Files: append([]*os.File{os.Stdin, out, os.Stderr}, files...),
	})
	if err != nil {
		t.Fatal(err)
	}
	if state, err := p.Wait(); err != nil || !state.Success() {
		t.Fatalf("%q: %v, %v", argv, state, err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := record{}
	r.read(t, b)
	if pid := strconv.Itoa(p.Pid); r["pid"] != pid {
		t.Errorf("the real runtime is process %s, and the engine started %s", r["pid"], pid)
	}
	delete(r, "pid")
	for line := range strings.Lines(r["status"]) {
		name, value, _ := strings.Cut(line, ":")
		r["status "+name] = strings.TrimSpace(value)
	}
	delete(r, "status")
	for name := range r {
		for _, v := range varying {
			if strings.HasPrefix(name, "status "+v) {
				delete(r, name)
			}
		}
	}
	return r
}
