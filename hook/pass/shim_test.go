// SPDX-License-Identifier: Apache-2.0

package pass

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/oci-secrets/oci-secrets/hook/shim/argv"
)

func TestIsShim(t *testing.T) {
	for name, want := range map[string]bool{
		"oci-secrets-runtime": true, "/usr/bin/oci-secrets-runtime": true, "oci-secrets-runtime-crun": true,
		"oci-secrets": false, "oci-secrets-runtimes": false, "/oci-secrets-runtime/x": false, "": false,
	} {
		if IsShim(name) != want {
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
	if got := Find([]string{"runc", "crun"}); got != at("real") {
		t.Errorf("found %q", got)
	}
	if got := Find([]string{"absent"}); got != "" {
		t.Errorf("found %q", got)
	}
	t.Setenv("PATH", "")
	if got := Find([]string{"sh"}); got != "/usr/bin/sh" && got != "/bin/sh" {
		t.Errorf("found %q", got)
	}
}

func TestSettingsRuntime(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("settings of root's: run it as root")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "config.toml")
	t.Setenv("OCI_SECRETS_CONFIG", path)
	check := func(what, want string, wantOK bool) {
		t.Helper()
		if got, ok := settingsRuntime(); got != want || ok != wantOK {
			t.Errorf("%s: %q, %v", what, got, ok)
		}
	}
	check("no settings", "", true)
	for text, want := range map[string]string{"": "", "[dict]\n": "", "[runtime]\npath = \"/x\"": "/x", "[runtime]\nexec = \"off\"": ""} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		check(text, want, true)
	}
	const names = "[runtime]\npath = \"/x\""
	for what, change := range map[string]func() error{
		"a relative path":             func() error { return os.WriteFile(path, []byte("[runtime]\npath = \"x\""), 0o600) },
		"settings others can write":   func() error { return os.Chmod(path, 0o620) },
		"settings of another user's":  func() error { return os.Chown(path, 7, 7) },
		"a directory that others can": func() error { return os.Chmod(dir, 0o777) }, //nolint:gosec // that is the point
	} {
		_ = os.Remove(path)                                                                                           // with its mode and owner
		if err := errors.Join(os.WriteFile(path, []byte(names), 0o600), os.Chmod(dir, 0o700), change()); err != nil { //nolint:gosec // a directory
			t.Fatal(err)
		}
		check(what, "", false)
	}
	t.Setenv("OCI_SECRETS_CONFIG", dir)
	check("a directory", "", false)
	t.Setenv("OCI_SECRETS_CONFIG", path+"/x")
	check("what cannot be looked at", "", false)
}

func TestRunsBare(t *testing.T) {
	root, bundle := t.TempDir(), t.TempDir()
	container := func(id string, files map[string]string) {
		if err := os.Mkdir(filepath.Join(root, id), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(root, id, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), []byte(`{"annotations": {"secrets.oci/from": "db"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	free := t.TempDir()
	if err := os.WriteFile(filepath.Join(free, "config.json"), []byte(`{"annotations": {"a": "secrets.oci/from"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	state := func(labels string) map[string]string {
		return map[string]string{"state.json": `{"config": {"labels": [` + labels + `]}, "x": 1}`}
	}
	container("asks", state(`"bundle=`+free+`","bundle=`+bundle+`"`))
	container("free", state(`"a=secrets.oci","bundle=`+free+`"`))
	container("quoting", state(`"bundle=`+bundle+`","a=\"bundle=`+free+`"`))
	container("beside", map[string]string{"state.json": `{"config": {"labels": ["bundle=` + bundle + `"], "hostname": "bundle=` + free + `"}, "labels": ["bundle=` + free + `"]}`})
	container("cut-off", map[string]string{"state.json": `{"config": {"labels": ["bundle=` + free + `"]`})
	container("escaped", state(`"bundle=\u002f`+free[1:]+`"`))
	container("relative", state(`"bundle=x"`))
	container("gone", state(`"bundle=`+free+`/x"`))
	container("odd", state(`"bundle=\u002f"`))
	container("none", state(``))
	container("crun-asks", map[string]string{"config.json": `{"annotations": {"secrets.oci/from": "db"}}`})
	container("crun-free", map[string]string{"config.json": `{}`})
	container("empty", nil)
	for id, want := range map[string]bool{
		"asks": false, "free": true, "gone": false, "quoting": false, "beside": false, "cut-off": false, "escaped": true, "relative": false, "odd": false, "none": false, "crun-asks": false, "crun-free": true, "empty": false, "absent": false,
	} {
		if runsBare(argv.Parse([]string{"--root", root, "exec", "-t", id, "sh"})) != want {
			t.Errorf("%s: %v", id, !want)
		}
	}
	for _, args := range [][]string{
		{"exec", "free", "sh"}, {"--root", root, "exec"}, {"--root", root, "exec", "--new", "free", "sh"}, {"--root", root, "exec", "--new", "asks", "free", "sh"},
	} {
		if runsBare(argv.Parse(args)) {
			t.Errorf("%q runs bare", args)
		}
	}
}
