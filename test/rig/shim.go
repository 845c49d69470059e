// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"os"
	"path/filepath"
	"testing"
)

// Link gives the path of the runtime shim: a link to the program under test, in
// a directory of the test's.
func Link(tb testing.TB, name string) string {
	tb.Helper()
	link := filepath.Join(tb.TempDir(), name)
	if err := os.Symlink(Binary(tb), link); err != nil {
		tb.Fatal(err)
	}
	return link
}

// Shim gives the runtime with the shim in its place, and the bundle's settings
// for it, whose path is in the shim's environment.
func (r *Runtime) Shim(tb testing.TB, b *Bundle) *Runtime {
	tb.Helper()
	last := len(r.prefix) - 1
	b.AddSettings(tb, "[runtime]\npath = \""+r.prefix[last]+"\"\n")
	return &Runtime{r.Name, r.State, append(r.prefix[:last:last], "env", "OCI_SECRETS_CONFIG="+b.Config, Link(tb, "oci-secrets-runtime"))}
}

// At gives the runtime with the program at path in its place.
func (r *Runtime) At(path string) *Runtime { return &Runtime{r.Name, r.State, []string{path}} }

// Path is the runtime's program.
func (r *Runtime) Path() string { return r.prefix[len(r.prefix)-1] }

// StateDir adds a state directory to the bundle's settings.
func (b *Bundle) StateDir(tb testing.TB) string {
	tb.Helper()
	dir := StateDir(tb)
	b.AddSettings(tb, "state_dir = \""+dir+"\"\n")
	return dir
}

// AddSettings writes more into the settings file. Keys of no table must come
// first.
func (b *Bundle) AddSettings(tb testing.TB, text string) {
	tb.Helper()
	old, err := os.ReadFile(b.Config)
	if err != nil {
		tb.Fatal(err)
	}
	if text[0] == '[' {
		text = string(old) + text
	} else {
		text += string(old)
	}
	b.WriteSettings(tb, filepath.Base(b.Config), text)
}
