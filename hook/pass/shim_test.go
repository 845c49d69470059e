// SPDX-License-Identifier: Apache-2.0

package pass

import (
	"os"
	"path/filepath"
	"testing"
)

func TestIsShim(t *testing.T) {
	for name, want := range map[string]bool{
		"oci-secrets-runtime": true, "/usr/bin/oci-secrets-runtime": true, "oci-secrets-runtime-crun": true,
		"oci-secrets": false, "oci-secrets-runtimes": false, "/oci-secrets-runtime/x": false, "": false,
	} {
		if isShim(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

// TestFind has what is called like a runtime and is none before the real one.
func TestFind(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name, "runc") }
	for _, name := range []string{"self", "file", "dir", "real", "late"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		os.Symlink(self, at("self")), os.WriteFile(at("file"), nil, 0o644), os.Mkdir(at("dir"), 0o755),
		os.WriteFile(at("real"), nil, 0o755), os.WriteFile(at("late"), nil, 0o755), //nolint:gosec // it is a program
		os.WriteFile(filepath.Join(dir, "self", "crun"), nil, 0o755), //nolint:gosec // it is a program
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	t.Setenv("PATH", "late:"+filepath.Dir(at("self"))+"::"+filepath.Dir(at("file"))+":"+filepath.Dir(at("dir"))+":"+dir+"/absent:"+filepath.Dir(at("real")))
	if got := find([]string{"runc", "crun"}); got != at("real") {
		t.Errorf("found %q", got)
	}
	if got := find([]string{"absent"}); got != "" {
		t.Errorf("found %q", got)
	}
	t.Setenv("PATH", "")
	if got := find([]string{"sh"}); got != "/usr/bin/sh" && got != "/bin/sh" {
		t.Errorf("found %q", got)
	}
}

func TestMayNameRuntime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	t.Setenv("OCI_SECRETS_CONFIG", path)
	if mayNameRuntime() {
		t.Error("settings that are not there name one")
	}
	for text, want := range map[string]bool{"": false, "[dict]\n": false, "[runtime]\npath = \"/x\"": true, "runtime.path = \"/x\"": true} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if mayNameRuntime() != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
	// One that cannot be looked at.
	t.Setenv("OCI_SECRETS_CONFIG", path+"/x")
	if !mayNameRuntime() {
		t.Error("what cannot be read names none")
	}
}
