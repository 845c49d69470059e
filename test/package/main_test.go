// SPDX-License-Identifier: Apache-2.0

// Package package_test tests what is installed: the tree of `make install`, and the
// packages, which a real dpkg and a real rpm install and remove.
//
// Those work in a root of their own: an overlay of the machine's, in a mount
// namespace that goes with the test. What is left in its upper layer at the end is
// what a package has left behind.
package package_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// built has a copy of the files that install/tree.sh needs, where every user can
// read them, and the packages.
var built string

func TestMain(m *testing.M) {
	code := m.Run()
	rig.Cleanup()
	_ = os.RemoveAll(built)
	os.Exit(code)
}

// source makes what is to be installed, once, and gives the directory in which
// it is.
func source(t *testing.T) string {
	t.Helper()
	if built != "" {
		return built
	}
	root := rig.Root(t)
	makes(t, root, "install", "DESTDIR="+t.TempDir()) // for bin
	dir, err := os.MkdirTemp("", "oci-secrets-package-")
	if err != nil {
		t.Fatal(err)
	}
	built = dir
	rig.MustRun(t, "chmod", "0755", dir)
	rig.MustRun(t, "sh", "-c", `cd "$1" && cp -r bin install docs *.md LICENSE "$2" && chmod -R a+rX "$2"`, "sh", root, dir)
	return dir
}

func makes(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "make", append([]string{"-s"}, args...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make %q: %v\n%s", args, err, out)
	}
}

// needTools skips where nobody asked for the tests with packages, and fails
// where a program for them is missing.
func needTools(t *testing.T, programs ...string) {
	t.Helper()
	rig.NeedRoot(t)
	if os.Getenv("OCI_SECRETS_TEST_ENGINES") == "" {
		t.Skip("this test makes and installs packages: make test-engines")
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Fatalf("%v: install it with test/setup/packages.sh package", err)
		}
	}
}

// packages makes the packages, once, and gives the one of a format.
func packages(t *testing.T, format string) string {
	t.Helper()
	dir := source(t)
	out := filepath.Join(dir, "packages")
	if _, err := os.Stat(out); err != nil {
		root := rig.Root(t)
		makes(t, root, "package")
		rig.MustRun(t, "cp", "-r", filepath.Join(root, "bin/package"), out)
	}
	found, err := filepath.Glob(filepath.Join(out, "*."+format))
	if err != nil || len(found) != 1 {
		t.Fatalf("%q, %v", found, err)
	}
	return found[0]
}

// tree lists what is below dir: modes, paths, and where links lead.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var list strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%v %s", info.Mode(), strings.TrimPrefix(path, dir))
		if info.Mode()&fs.ModeSymlink != 0 {
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line = fmt.Sprintf("link %s -> %s", strings.TrimPrefix(path, dir), to)
		}
		list.WriteString(line + "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list.String()
}

// files are the lines of a tree that are no directories.
func files(tree string) string {
	var list strings.Builder
	for line := range strings.Lines(tree) {
		if !strings.HasPrefix(line, "d") {
			list.WriteString(line)
		}
	}
	return list.String()
}
