// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/BurntSushi/toml"
	"golang.org/x/sys/unix"
)

// WantSeen fails a test whose engine has mounts of its own and does not see what
// the settings name: it tests something else than it says. The settings, and each
// absolute path in them that is there, must be the same file on the host and where
// the command line enter leads. Settings that cannot be read name nothing.
func WantSeen(tb testing.TB, enter []string, config string) {
	tb.Helper()
	var settings map[string]any
	if _, err := toml.DecodeFile(config, &settings); err != nil {
		return
	}
	stat := []string{"stat", "-L", "-c", "%n %d:%i", config}
	for _, path := range named(settings) {
		if _, err := os.Stat(path); err == nil {
			stat = append(stat, path)
		}
	}
	here, there := Run(tb, stat...), Run(tb, append(slices.Clone(enter), stat...)...)
	if here.Stdout != there.Stdout {
		tb.Fatalf("the engine does not see what %s names. The host has\n%sand the engine\n%s%s", config, here.Stdout, there.Stdout, there.Stderr)
	}
}

// named are the absolute paths in settings.
func named(v any) (paths []string) {
	switch v := v.(type) {
	case string:
		if filepath.IsAbs(v) {
			paths = append(paths, v)
		}
	case map[string]any:
		for _, of := range v {
			paths = append(paths, named(of)...)
		}
	case []any:
		for _, of := range v {
			paths = append(paths, named(of)...)
		}
	}
	return paths
}

var checked sync.Map // command line and settings that WantSeen was asked about

// wantSeen is [WantSeen] for a runtime and a bundle, once for each. A mount that a
// hook makes is gone with the runtime's command: no other hook has what it keeps
// there, so there must be one before.
func (r *Runtime) wantSeen(tb testing.TB, b *Bundle) {
	tb.Helper()
	text, err := os.ReadFile(b.Config)
	if err != nil || r.prefix[0] != "unshare" { // it has the host's mounts
		return
	}
	enter := r.prefix[:len(r.prefix)-1]
	if _, done := checked.LoadOrStore(fmt.Sprintf("%q %s %s", enter, b.Config, text), true); done {
		return
	}
	WantSeen(tb, enter, b.Config)
	var settings struct {
		StateDir string `toml:"state_dir"`
	}
	_, _ = toml.Decode(string(text), &settings) // some settings are wrong, which is what the test is of
	if mounts := ReadFile(tb, "/proc/self/mountinfo"); settings.StateDir != "" && !strings.Contains(mounts, " "+settings.StateDir+" ") {
		tb.Fatalf("each command mounts a state directory of its own at %s: use StateDir", settings.StateDir)
	}
}

// StateDir mounts a state directory, and takes it away at the test's end: of what
// a command with mounts of its own mounts, nothing is left for the next one.
func StateDir(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	if err := unix.Mount("test", dir, "tmpfs", 0, "mode=0700"); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}
