// SPDX-License-Identifier: Apache-2.0

package private

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestOwner(t *testing.T) {
	yes, no := func() bool { return true }, func() bool { return false }
	for _, c := range []struct {
		name        string
		owner, euid uint32
		inUserNS    func() bool
		want        bool
	}{
		{"root for root", 0, 0, no, true},
		{"root for a user", 0, 1000, no, true},
		{"the user's own", 1000, 1000, no, true},
		{"a stranger for root", 1000, 0, no, false},
		{"a stranger for a user", 1001, 1000, no, false},
		{"nobody on the host", 65534, 0, no, false},
		{"the host's root from within", 65534, 0, yes, true},
		{"a stranger from within", 1000, 0, yes, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ownerOK(c.owner, c.euid, c.inUserNS); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
	t.Run("on disk", func(t *testing.T) {
		if os.Geteuid() != 0 || inUserNS() {
			t.Skip("only the host's root can give files away")
		}
		name := write(t, filepath.Join(t.TempDir(), "f"), "", 0o600)
		for _, uid := range []int{1000, overflowUID} {
			if err := os.Chown(name, uid, 0); err != nil {
				t.Fatal(err)
			}
			_, err := Read(name)
			if err == nil || !strings.Contains(err.Error(), "it must belong to root or to uid 0") {
				t.Errorf("file of uid %d: %v", uid, err)
			}
		}
	})
}

// fileVar names the file that a test binary, run as another user, is to read.
const fileVar = "OCI_SECRETS_TEST_PRIVATE_FILE"

// asUser runs one test of this binary again as another user, with a root-owned
// file of this mode and group.
func asUser(t *testing.T, mode fs.FileMode, group int, as *syscall.SysProcAttr) {
	t.Helper()
	if os.Geteuid() != 0 || inUserNS() {
		t.Skip("only the host's root can become any user")
	}
	// Not t.TempDir, whose parent is closed to other users.
	dir, err := os.MkdirTemp("", "private")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	chmod(t, dir, 0o755)
	name := write(t, filepath.Join(dir, "f"), "content", mode)
	if err := os.Chown(name, 0, group); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "closed"), 0o700); err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	binary := write(t, filepath.Join(dir, "test"), string(self), 0o755)
	cmd := exec.Command(binary, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = []string{fileVar + "=" + name}
	cmd.Dir = "/"
	cmd.SysProcAttr = as
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PASS: "+t.Name()) {
		t.Errorf("as a user: %v\n%s", err, out)
	}
}

func TestAsUser(t *testing.T) {
	name := os.Getenv(fileVar)
	if name == "" {
		asUser(t, 0o600, 0, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}})
		return
	}
	dir, hint := filepath.Dir(name), "its owner can read it, and so can root"
	_, err := Read(name)
	check(t, err, name+" cannot be read: access denied", hint)
	check(t, opens(dir), "", "")
	check(t, opens(dir+"/closed"), dir+"/closed cannot be read: access denied", hint)
}

func TestInUserNamespace(t *testing.T) {
	name := os.Getenv(fileVar)
	if name == "" {
		asUser(t, 0o640, 12345, &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 12345, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 12345, Size: 1}},
			Credential:  &syscall.Credential{},
		})
		return
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); st.Uid != overflowUID || os.Geteuid() != 0 {
		t.Fatalf("owner %d seen by uid %d: not the case to test", st.Uid, os.Geteuid())
	}
	data, err := Read(name)
	check(t, err, "", "")
	if string(data) != "content" {
		t.Errorf("read %q", data)
	}
}
