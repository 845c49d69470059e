// SPDX-License-Identifier: Apache-2.0

package install

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	securejoin "github.com/cyphar/filepath-securejoin"

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

// real is where path leads, with every link on the way followed as from within
// the tree.
func (m *Machine) real(path string) (string, error) {
	root := m.Root
	if root == "" {
		root = "/"
	}
	full, err := securejoin.SecureJoin(root, path)
	if err != nil {
		return "", refuse("", "%s: %w", path, err)
	}
	dir, err := securejoin.SecureJoin(root, filepath.Dir(path))
	if err != nil {
		return "", refuse("", "%s: %w", path, err)
	}
	here := filepath.Join(dir, filepath.Base(path))
	if _, err := os.Lstat(here); err != nil {
		return here, nil //nolint:nilerr // there is no link
	}
	if _, err := os.Lstat(full); errors.Is(err, fs.ErrNotExist) {
		return "", refuse("put a file there, or take the link away", "%s is a symbolic link to %s, which does not exist", path, full)
	}
	return full, nil
}

// read gives the text of a file, nil where there is none.
func (m *Machine) read(path string) ([]byte, error) {
	full, err := m.real(path)
	if err != nil {
		return nil, err
	}
	return readFile(full)
}

func readFile(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if b == nil && err == nil {
		b = []byte{} // an empty file is one
	}
	return b, err
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
