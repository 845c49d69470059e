// SPDX-License-Identifier: Apache-2.0

package package_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

var update = flag.Bool("update", false, "write testdata")

// script runs install/tree.sh with DESTDIR, as the user nobody where the test is
// root.
func script(t *testing.T, destdir, prefix, command string) {
	t.Helper()
	if out, err := tryScript(t, destdir, prefix, command); err != nil {
		t.Fatalf("tree.sh %s: %v\n%s", command, err, out)
	}
}

func tryScript(t *testing.T, destdir, prefix, command string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(source(t), "install/tree.sh"), command)
	cmd.Env = append(os.Environ(), "DESTDIR="+destdir, "PREFIX="+prefix)
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// destination is a directory that the user nobody owns.
func destination(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(source(t), "dest", strings.ReplaceAll(t.Name(), "/", "-"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	give(t, dir)
	return dir
}

// give makes all below dir the user's who installs.
func give(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() == 0 {
		rig.MustRun(t, "chown", "-R", "65534:65534", dir)
	}
}

func golden(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("testdata/tree.txt")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestInstall(t *testing.T) {
	dest := destination(t)
	script(t, dest, "/usr", "install")
	got := tree(t, dest)
	if *update {
		if err := os.WriteFile("testdata/tree.txt", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(golden(t), got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	script(t, dest, "/usr", "install")
	if diff := cmp.Diff(golden(t), tree(t, dest)); diff != "" {
		t.Errorf("twice (-want +got)\n%s", diff)
	}
	version := rig.MustRun(t, dest+"/usr/bin/oci-secrets", "--version").Stdout
	if number := readFile(t, filepath.Join(rig.Root(t), "hook/VERSION")); version != "oci-secrets version "+number {
		t.Errorf("the binary is %q, and VERSION %q", version, number)
	}
	script(t, dest, "/usr", "uninstall")
	if left := files(tree(t, dest)); left != "" || strings.Contains(tree(t, dest), "doc/oci-secrets") {
		t.Errorf("left behind:\n%s", tree(t, dest))
	}
}

// TestUninstall leaves what is not ours, byte for byte and mode for mode, below a
// prefix that others use.
func TestUninstall(t *testing.T) {
	dest := destination(t)
	for _, file := range []string{
		"etc/oci-secrets/config.toml", "etc/oci-secrets/secrets/db.toml", "opt/x/bin/oci-secrets-runtime-crun", "opt/x/bin/other",
		"opt/x/share/doc/oci-secrets/notes", "opt/x/share/doc/oci-secrets/examples/mine",
		"opt/x/share/man/man1/other.1", "opt/x/share/man/man5/other.5", "opt/x/share/man/man7/other.7", "opt/x/share/man/man8/other.8",
		"opt/x/share/bash-completion/completions/other", "opt/x/share/zsh/site-functions/_other", "opt/x/share/fish/vendor_completions.d/other",
		"opt/x/lib/systemd/system/other.service",
	} {
		path := filepath.Join(dest, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o711); err != nil {
			t.Fatal(err)
		}
		rig.WriteFile(t, path, "mine", 0o640)
	}
	give(t, dest)
	before := tree(t, dest)
	script(t, dest, "/opt/x", "install")
	for _, unit := range append([]string{keeper}, units...) {
		text := readFile(t, filepath.Join(dest, "opt/x/lib/systemd/system", unit))
		if !strings.Contains(text, "\nExecStart=/opt/x/bin/oci-secrets ") || strings.Contains(text, "/usr/") {
			t.Errorf("%s does not run the binary of its prefix:\n%s", unit, text)
		}
	}
	script(t, dest, "/opt/x", "uninstall")
	if diff := cmp.Diff(before, tree(t, dest)); diff != "" {
		t.Errorf("(-before +after)\n%s", diff)
	}
	script(t, dest, "/opt/x", "uninstall") // what is gone is no error
}

// TestLinks has links in the tree that mean the host, and directories of somebody who
// could put one there.
func TestLinks(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(t *testing.T, dest, outside string) error
		want   string
	}{
		"absolute": {func(_ *testing.T, dest, outside string) error { return os.Symlink(outside, dest+"/usr/share") }, " leads out of "},
		"relative": {func(_ *testing.T, dest, outside string) error {
			return os.Symlink(strings.Repeat("../", 20)+outside[1:], dest+"/usr/bin")
		}, "usr/bin/oci-secrets leads out of "},
		"another's": {func(t *testing.T, dest, _ string) error {
			if os.Geteuid() != 0 {
				t.Skip("only root can give files away")
			}
			return errors.Join(os.Mkdir(dest+"/usr/lib", 0o755), os.Chown(dest+"/usr/lib", 12345, 0))
		}, "usr/lib belongs to uid 12345, who could put links there"},
		"open to all": {func(_ *testing.T, dest, _ string) error {
			return errors.Join(os.Mkdir(dest+"/usr/lib", 0o755), os.Chmod(dest+"/usr/lib", 0o777))
		}, "all can put links into "},
		"within": {func(t *testing.T, dest, _ string) error {
			if os.Geteuid() != 0 {
				t.Skip("only root can give files away")
			}
			return errors.Join(os.Mkdir(dest+"/usr/data", 0o755), os.Chown(dest+"/usr/data", 65534, 65534), os.Symlink("data", dest+"/usr/share"))
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dest, outside := destination(t), t.TempDir()
			rig.WriteFile(t, outside+"/oci-secrets", "the host's", 0o644)
			if err := os.Mkdir(dest+"/usr", 0o755); err != nil {
				t.Fatal(err)
			}
			give(t, dest)
			for dir := outside; dir != "/"; dir = filepath.Dir(dir) { // where nobody could write
				if err := os.Chmod(dir, 0o777|os.ModeSticky); dir == outside && err != nil {
					t.Fatal(err)
				}
				if filepath.Dir(dir) == os.TempDir() {
					break
				}
			}
			if err := tt.change(t, dest, outside); err != nil {
				t.Fatal(err)
			}
			before := tree(t, outside)
			for _, command := range []string{"install", "uninstall"} {
				if out, err := tryScript(t, dest, "/usr", command); (err != nil) != (tt.want != "") || !strings.Contains(out, tt.want) {
					t.Errorf("%s: %v, %s", command, err, out)
				}
			}
			if diff := cmp.Diff(before, tree(t, outside)); diff != "" {
				t.Errorf("outside (-before +after)\n%s", diff)
			}
		})
	}
}

// TestTold has an engine in the tree that is told to run what is to be removed.
func TestTold(t *testing.T) {
	dest := destination(t)
	script(t, dest, "/usr", "install")
	if err := os.MkdirAll(dest+"/etc/docker", 0o755); err != nil {
		t.Fatal(err)
	}
	rig.WriteFile(t, dest+"/etc/docker/daemon.json", `{"runtimes": {"oci-secrets": {"path": "/usr/bin/oci-secrets-runtime"}}}`, 0o644)
	if out, err := tryScript(t, dest, "/usr", "uninstall"); err == nil || !strings.Contains(out, "  "+dest+"/etc/docker/daemon.json\n") {
		t.Errorf("%v, %s", err, out)
	}
	if _, err := os.Stat(dest + "/usr/bin/oci-secrets"); err != nil {
		t.Error(err)
	}
}

// TestReplace watches the directory of the binary while it is installed over
// another one: at no time is there none, and none is written to.
func TestReplace(t *testing.T) {
	dest := destination(t)
	script(t, dest, "/usr", "install")
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	const mask = unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_MODIFY | unix.IN_CREATE
	if _, err := unix.InotifyAddWatch(fd, dest+"/usr/bin", mask); err != nil {
		t.Fatal(err)
	}
	script(t, dest, "/usr", "install")
	seen := map[string]uint32{}
	for buf := make([]byte, 1<<16); ; {
		n, err := unix.Read(fd, buf)
		if err != nil || n <= 0 {
			break
		}
		for b := buf[:n]; len(b) > 0; {
			event, rest := b[:unix.SizeofInotifyEvent], b[unix.SizeofInotifyEvent:]
			length := binary.NativeEndian.Uint32(event[12:])
			name := string(bytes.TrimRight(rest[:length], "\x00"))
			seen[name] |= binary.NativeEndian.Uint32(event[4:]) // the mask
			b = rest[length:]
		}
	}
	for _, name := range []string{"oci-secrets", "oci-secrets-runtime"} {
		if seen[name] != unix.IN_MOVED_TO {
			t.Errorf("%s: events %#x, want only that it was moved to: %v", name, seen[name], seen)
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
