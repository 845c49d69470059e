// SPDX-License-Identifier: Apache-2.0

package config

import (
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/oci-secrets/oci-secrets/resolver/private"
)

func TestFindNamed(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv(Env, "/from/environment")
	for _, tt := range []struct{ path, want string }{
		{"/named", "/named"},
		{"named.toml", filepath.Join(dir, "named.toml")},
		{"./a/../b", filepath.Join(dir, "b")},
		{"", "/from/environment"},
	} {
		if got, named, err := Find(tt.path); got != tt.want || !named || err != nil {
			t.Errorf("%q: got %q, %v, %v", tt.path, got, named, err)
		}
	}
	t.Setenv(Env, "relative")
	if got, named, err := Find(""); got != filepath.Join(dir, "relative") || !named || err != nil {
		t.Errorf("got %q, %v, %v", got, named, err)
	}
}

// TestFindAsRoot does not look into root's home: what root's shell has in its
// environment is not what the engine's hook has.
func TestFindAsRoot(t *testing.T) {
	if private.HostUID() != 0 {
		t.Skip("not root on the host")
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "oci-secrets"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv(Env, "")
	t.Setenv("XDG_CONFIG_HOME", dir)
	t.Setenv("HOME", dir)
	if got, named, err := Find(""); got != systemFile || named || err != nil {
		t.Errorf("got %q, %v, %v", got, named, err)
	}
}

// TestFindAsUser runs Find in a process of an ordinary user, once for each
// environment.
func TestFindAsUser(t *testing.T) {
	const child = "TEST_FIND_CHILD"
	if os.Getenv(child) != "" {
		got, named, err := Find("")
		if _, printErr := io.WriteString(os.Stdout, "found "+got+"\nstate "+libDirectory()+"\n"); named || err != nil || printErr != nil {
			t.Errorf("got %q, %v, %v", got, named, err)
		}
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "find") // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for _, d := range []string{"xdg/oci-secrets", "home/.config/oci-secrets", "empty"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/test", self, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		env  []string
		want string

		state string // libDirectory; "" for not looked at
	}{
		"XDG_CONFIG_HOME":             {[]string{"XDG_CONFIG_HOME=" + dir + "/xdg", "HOME=" + dir + "/home"}, dir + "/xdg/oci-secrets/config.toml", ""},
		"XDG_STATE_HOME":              {[]string{"XDG_STATE_HOME=" + dir + "/xdg", "HOME=" + dir + "/empty"}, systemFile, dir + "/xdg/oci-secrets"},
		"HOME":                        {[]string{"HOME=" + dir + "/home"}, dir + "/home/.config/oci-secrets/config.toml", dir + "/home/.local/state/oci-secrets"},
		"a relative XDG_CONFIG_HOME":  {[]string{"XDG_CONFIG_HOME=xdg", "HOME=" + dir + "/home"}, dir + "/home/.config/oci-secrets/config.toml", ""},
		"nothing there":               {[]string{"XDG_CONFIG_HOME=" + dir + "/empty", "HOME=" + dir + "/home"}, systemFile, ""},
		"no directory":                {[]string{"HOME=" + dir + "/empty"}, systemFile, ""},
		"an empty environment":        {nil, systemFile, ""}, // nobody's home has nothing
		"a relative HOME":             {[]string{"HOME=home"}, systemFile, ""},
		"an empty OCI_SECRETS_CONFIG": {[]string{Env + "=", "HOME=" + dir + "/home"}, dir + "/home/.config/oci-secrets/config.toml", ""},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), dir+"/test", "-test.run", "^TestFindAsUser$")
			cmd.Dir = dir
			cmd.Env = append([]string{child + "=1"}, tt.env...)
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: number(t, nobody.Uid), Gid: number(t, nobody.Gid)}}
			out, err := cmd.CombinedOutput()
			if got, _, _ := strings.Cut(string(out), "\n"); err != nil || got != "found "+tt.want {
				t.Errorf("got %s, %v; want %s", out, err, tt.want)
			}
			if tt.state != "" && !strings.Contains(string(out), "\nstate "+tt.state+"\n") {
				t.Errorf("got %s; want the state in %s", out, tt.state)
			}
		})
	}
}

func number(t *testing.T, s string) uint32 {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}
