// SPDX-License-Identifier: Apache-2.0

package install

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/oci-secrets/oci-secrets/hook/shim/argv"
	"github.com/oci-secrets/oci-secrets/resolver/config/runtimeline"
)

// found are the runtimes that the shim finds by itself.
var found = []string{"runc", "crun"}

// takeOver refuses to become the default runtime in the place of one that the shim
// would not run: what that one does for containers (devices, a sandbox) would be
// gone without a word. name is the engine's default, "" for none, and programs are
// those it may be. The note is for the operator.
func (m *Machine) takeOver(name string, programs ...string) (note string, err error) {
	settings, path := m.chained()
	if len(programs) == 0 {
		programs = []string{name}
	}
	program := programs[0]
	runs := func(p string) bool { return p == path || !filepath.IsAbs(p) && p == filepath.Base(path) }
	switch {
	case name == "" || name == runtimeName || path != "" && slices.ContainsFunc(programs, runs):
		return "", nil
	case slices.Contains(found, name) && slices.Contains(found, filepath.Base(program)):
		if filepath.IsAbs(program) {
			note = runsWith(program)
		}
		return note, nil
	}
	return "", refuse(fmt.Sprintf("to have the shim run it, put [runtime] path = %q into %s, and install again", program, m.Root+settings),
		"the default runtime is %s (%s), and containers would no longer have it", name, program)
}

// chained returns the settings that the shim reads, and the real runtime that they
// name; "" for none.
func (m *Machine) chained() (settings, path string) {
	settings = "/etc/oci-secrets/config.toml"
	if m.Rootless() {
		if dir := filepath.Join(m.Config, "oci-secrets"); m.isThere(dir) {
			settings = filepath.Join(dir, "config.toml")
		}
	}
	text, _ := m.read(settings)
	return settings, runtimeline.Path(text)
}

// realRuntime is the name of the runtime that the shim runs; "" where none is
// there.
func (m *Machine) realRuntime() string {
	if _, path := m.chained(); path != "" {
		return filepath.Base(path)
	}
	for _, name := range found {
		for _, dir := range filepath.SplitList(argv.DefaultPath) {
			if m.isThere(filepath.Join(dir, name)) {
				return name
			}
		}
	}
	return ""
}

// runsWith says what the shim must be told.
func runsWith(program string) string {
	return fmt.Sprintf("containers run with %s here; name it in the settings: [runtime] path = %q", program, program)
}

// notOurs refuses where a runtime of our name is somebody else's; program is what
// it runs, "" where that is not known.
func notOurs(program string) error {
	if filepath.Base(program) == Shim {
		return nil
	}
	return refuse("give that one another name, or take it out there", "there is a runtime %s that is somebody else's: %s",
		runtimeName, cmp.Or(program, "it names no program"))
}

func (m *Machine) isThere(path string) bool {
	_, err := m.Lstat(path)
	return err == nil
}
