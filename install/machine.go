// SPDX-License-Identifier: Apache-2.0

package install

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// failed is the exit code of what has no class of its own.
const failed fault.Class = 1

func refuse(hint, format string, args ...any) error {
	return fault.New(failed, hint, format, args...)
}

// Machine is where an engine is told: this machine, one user's part of it, or
// the tree of an image.
type Machine struct {
	Root string // the tree; "" for this machine

	// Config and State are the user's directories for a rootless engine
	// (~/.config, ~/.local/state); "" for the system's engine.
	Config, State string

	// Run asks an engine and gives its standard output; nil where none may be
	// asked. A program that is not there gives exec.ErrNotFound.
	Run func(argv ...string) (string, error)

	top *os.File // the tree, which stays open once it is used
}

// Rootless says that the engine is a user's own.
func (m *Machine) Rootless() bool { return m.Config != "" }

// etc is the path of an engine's configuration.
func (m *Machine) etc(path string) string {
	if m.Rootless() {
		return filepath.Join(m.Config, path)
	}
	return filepath.Join("/etc", path)
}

var versionText = regexp.MustCompile(`(\d+)\.(\d+)`)

// version asks programs in turn for their version, which is 0.0 where it cannot
// be known; here is false where none of them answers.
func (m *Machine) version(commands ...[]string) (major, minor int, here bool) {
	if m.Run == nil {
		return 0, 0, true
	}
	for _, argv := range commands {
		out, err := m.Run(argv...)
		if err != nil {
			continue
		}
		if v := versionText.FindStringSubmatch(out); v != nil {
			major, _ = strconv.Atoi(v[1])
			minor, _ = strconv.Atoi(v[2])
		}
		return major, minor, true
	}
	return 0, 0, false
}
