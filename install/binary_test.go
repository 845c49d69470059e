// SPDX-License-Identifier: Apache-2.0

package install_test

import (
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/oci-secrets/oci-secrets/install"
)

// TestBinary has programs that somebody else could replace, and others. The
// binary is /usr/local/bin/oci-secrets, and the engine is told of path.
func TestBinary(t *testing.T) {
	mode := func(path string, mode fs.FileMode) func(*testing.T, string) {
		return func(t *testing.T, root string) {
			t.Helper()
			if err := os.Chmod(root+path, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	owner := func(path string) func(*testing.T, string) {
		return func(t *testing.T, root string) {
			t.Helper()
			if os.Geteuid() != 0 {
				t.Skip("only root can give files away")
			}
			if err := os.Lchown(root+path, 12345, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, tt := range map[string]struct {
		change func(t *testing.T, root string)
		path   string
		err    string
	}{
		"as it should be":              {path: "/usr/local/bin/oci-secrets"},
		"through a link":               {path: "/opt/bin/oci-secrets"},
		"relative":                     {path: "oci-secrets", err: "oci-secrets is not an absolute path"},
		"a directory":                  {path: "/usr/local/bin", err: "/usr/local/bin is not a program"},
		"not executable":               {path: "/usr/local/bin/oci-secrets", change: mode("/usr/local/bin/oci-secrets", 0o644), err: "/usr/local/bin/oci-secrets is not a program"},
		"others can write it":          {path: "/usr/local/bin/oci-secrets", change: mode("/usr/local/bin/oci-secrets", 0o757), err: "/usr/local/bin/oci-secrets has mode 0757, so others could replace the binary"},
		"others can write above":       {path: "/usr/local/bin/oci-secrets", change: mode("/usr", 0o775), err: "/usr has mode 0775, so others could replace the binary"},
		"a directory as /tmp is":       {path: "/usr/local/bin/oci-secrets", change: mode("/usr", 0o777|fs.ModeSticky)},
		"another's":                    {path: "/usr/local/bin/oci-secrets", change: owner("/usr/local/bin/oci-secrets"), err: "/usr/local/bin/oci-secrets belongs to uid 12345, who could replace the binary"},
		"another's directory":          {path: "/usr/local/bin/oci-secrets", change: owner("/usr/local"), err: "/usr/local belongs to uid 12345, who could replace the binary"},
		"another's link":               {path: "/opt/bin/oci-secrets", change: owner("/opt/bin/oci-secrets"), err: "/opt/bin/oci-secrets belongs to uid 12345, who could replace the binary"},
		"another's shim":               {path: "/usr/local/bin/oci-secrets", change: owner("/usr/local/bin/oci-secrets-runtime"), err: "/usr/local/bin/oci-secrets-runtime belongs to uid 12345, who could replace the binary"},
		"a link that others can write": {path: "/opt/bin/oci-secrets", change: mode("/opt/bin", 0o777), err: "/opt/bin has mode 0777, so others could replace the binary"},
		"a link to where they can":     {path: "/opt/bin/oci-secrets", change: mode("/usr/local/bin", 0o777), err: "/usr/local/bin has mode 0777, so others could replace the binary"},
		"a link on the way":            {path: "/opt/bin/oci-secrets", change: mode("/opt/way", 0o777), err: "/opt/way has mode 0777, so others could replace the binary"},
	} {
		t.Run(name, func(t *testing.T) {
			m := machine(t, nil, nil, false)
			mkdir(t, m.Root+"/opt/way")
			link(t, "../way/oci-secrets", m.Root+"/opt/bin/oci-secrets")
			link(t, "/usr/local/bin/oci-secrets", m.Root+"/opt/way/oci-secrets")
			link(t, "/usr/local/bin/oci-secrets", m.Root+"/opt/bin/oci-secrets-runtime")
			if tt.change != nil {
				tt.change(t, m.Root)
			}
			_, err := m.Install("docker", install.Options{Hook: install.Hook{Path: tt.path}})
			got := ""
			if err != nil {
				got = strings.ReplaceAll(err.Error(), m.Root, "")
			}
			if got != tt.err {
				t.Errorf("error %q, want %q", got, tt.err)
			}
		})
	}
}
