// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/resolver/memory"
	"github.com/oci-secrets/oci-secrets/resolver/private"
	"github.com/oci-secrets/oci-secrets/spec/fault"
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

// programFor makes a directory that is open to others, with this program in it as
// the file test.
func programFor(t *testing.T) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "find") // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
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
	return dir
}

// TestFindAsUser runs Find in a process of an ordinary user, once for each
// environment.
func TestFindAsUser(t *testing.T) {
	const child = "TEST_FIND_CHILD"
	if os.Getenv(child) != "" {
		got, named, err := Find("")
		if _, printErr := io.WriteString(os.Stdout, "found "+got+"\nstate "+libDirectory()+"\nhook "+ForHook("")+"\n"); named || err != nil || printErr != nil {
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
	dir := programFor(t)
	for _, d := range []string{"xdg/oci-secrets", "home/.config/oci-secrets", "empty"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(dir+"/home/.config/oci-secrets/config.toml", nil, 0o644); err != nil {
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
			hook := "" // what is not there need not be named
			if strings.HasPrefix(tt.want, dir+"/home/") {
				hook = tt.want
			}
			if !strings.Contains(string(out), "\nhook "+hook+"\n") {
				t.Errorf("got %s; want the hook to be told %q", out, hook)
			}
			if tt.state != "" && !strings.Contains(string(out), "\nstate "+tt.state+"\n") {
				t.Errorf("got %s; want the state in %s", out, tt.state)
			}
		})
	}
}

// TestInUserNamespace runs in user namespaces of the kinds that there are: one of an
// engine, on a system that is another's, with and without a login session; and
// one that is a whole system, with a root directory and a /run of its own (LXC).
func TestInUserNamespace(t *testing.T) {
	const child, outer = "TEST_USERNS_CHILD", 123456 // which no file knows
	if what := os.Getenv(child); what != "" {
		if what == "system" {
			if err := errors.Join(unix.Mount("test", "/mnt", "tmpfs", 0, ""), os.MkdirAll("/mnt/run", 0o755), os.MkdirAll("/mnt/proc", 0o755), unix.Mount("/proc", "/mnt/proc", "", unix.MS_BIND|unix.MS_REC, ""),
				unix.Chroot("/mnt"), unix.Chdir("/")); err != nil {
				t.Fatal(err)
			}
		}
		found, _, err := Find("")
		_, _ = fmt.Fprintf(os.Stdout, "found %s %v\n", found, errors.Is(err, fault.Settings))
		if path, err := RuntimePath(""); path != "" || err != nil { // which kill and delete need
			t.Errorf("the runtime is %q, %v", path, err)
		}
		s := &Settings{StateDir: stateDir()}
		_, _ = fmt.Fprintf(os.Stdout, "state %s %v\n", s.StateDir, s.Keeps())
		root, err := memory.Make(s.StateDir)
		_, _ = fmt.Fprintf(os.Stdout, "kept %v %v\n", err == nil, len(fault.Hints(err)))
		if err == nil {
			_ = root.Close()
		}
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can map another user")
	}
	dir := programFor(t)
	session := filepath.Join(dir, "session")
	if err := os.Mkdir(session, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("test", session, "tmpfs", 0, "mode=0700,uid="+strconv.Itoa(outer)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(session, unix.MNT_DETACH) })
	for name, tt := range map[string]struct {
		env  []string
		want string
	}{
		"a user's, without a session and a home":           {[]string{"a user's"}, "found  true\nstate /run/user/123456/oci-secrets false\nkept false 1\n"},
		"a user's, without a session":                      {[]string{"a user's", "HOME=/nowhere"}, "found " + systemFile + " false\nstate /run/user/123456/oci-secrets false\nkept false 1\n"},
		"a user's, with another's session":                 {[]string{"a user's", "HOME=/nowhere", "XDG_RUNTIME_DIR=/run"}, "found " + systemFile + " false\nstate /run/user/123456/oci-secrets false\nkept false 1\n"},
		"a user's, with a session":                         {[]string{"a user's", "HOME=/nowhere", "XDG_RUNTIME_DIR=" + session}, "found " + systemFile + " false\nstate " + session + "/oci-secrets true\nkept true 0\n"},
		"a whole system":                                   {[]string{"system"}, "found " + systemFile + " false\nstate /run/oci-secrets true\nkept true 0\n"},
		"a whole system, with a session that is not there": {[]string{"system", "XDG_RUNTIME_DIR=/run/user/0"}, "found " + systemFile + " false\nstate /run/oci-secrets true\nkept true 0\n"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), dir+"/test", "-test.run", "^TestInUserNamespace$")
			cmd.Dir = dir
			cmd.Env = append([]string{}, tt.env...)
			cmd.Env[0] = child + "=" + cmd.Env[0]
			one := []syscall.SysProcIDMap{{ContainerID: 0, HostID: outer, Size: 1}}
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, UidMappings: one, GidMappings: one, Credential: &syscall.Credential{}}
			out, err := cmd.CombinedOutput()
			if got, _, _ := strings.Cut(string(out), "PASS"); err != nil || got != tt.want {
				t.Errorf("got %s, %v; want %s", out, err, tt.want)
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
