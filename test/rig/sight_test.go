// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// failing is a test that notes how it failed.
type failing struct {
	testing.TB
	failed string
}

func (f *failing) Fatalf(format string, args ...any) {
	f.failed = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestWantSeen(t *testing.T) {
	NeedRoot(t)
	hidden, plain, mounted := t.TempDir(), t.TempDir(), StateDir(t)
	WriteFile(t, hidden+"/agent", "", 0o600)
	r := &Runtime{prefix: []string{"unshare", "-m", "sh", "-c", `mount -t tmpfs tmpfs "$0" && exec "$@"`, hidden, "runc"}}
	for name, tt := range map[string]struct{ settings, want string }{
		"seen":             {fmt.Sprintf("state_dir = %q", mounted), ""},
		"to be made":       {fmt.Sprintf("[dict]\npath = %q", plain+"/dict.toml"), ""},
		"hidden":           {fmt.Sprintf("[vault]\nagents = [\"x\", %q]", hidden+"/agent"), "does not see"},
		"only theirs":      {fmt.Sprintf("state_dir = %q", plain), "use StateDir"},
		"only theirs, new": {fmt.Sprintf("state_dir = %q", plain+"/state"), "use StateDir"},
		"nothing to read":  {"[", ""},
	} {
		t.Run(name, func(t *testing.T) {
			config := filepath.Join(t.TempDir(), "config.toml")
			WriteFile(t, config, tt.settings, 0o600)
			f := &failing{TB: t}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				r.wantSeen(f, &Bundle{Config: config})
			}()
			<-ended
			if tt.want == "" && f.failed != "" || !strings.Contains(f.failed, tt.want) {
				t.Errorf("it fails with %q, want %q", f.failed, tt.want)
			}
		})
	}
}

// Of the host's /dev, a runtime with a log of its own keeps what settings may name.
func TestLogKeepsSharedMemory(t *testing.T) {
	NeedRoot(t)
	dir, err := os.MkdirTemp("/dev/shm", "rig-") //nolint:usetesting // where it is matters
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	r := &Runtime{prefix: []string{"env"}}
	r.Log(t)
	config := filepath.Join(dir, "config.toml")
	WriteFile(t, config, fmt.Sprintf("[dict]\npath = %q", dir), 0o600)
	WantSeen(t, r.prefix, config)
	if res := Run(t, append(r.prefix, "test", "-S", "/dev/log")...); res.Code != 0 {
		t.Errorf("there is no log: %s", res.Stderr)
	}
}
