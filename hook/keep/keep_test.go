// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/resolver/memory/place"
)

// inMemory is a directory in memory.
func inMemory(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("test", dir, "tmpfs", 0, "mode=0700"); err != nil {
		t.Skipf("mount a tmpfs: %v: run it as root", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// lasting gives the pid of a process that lives until end is called, which
// leaves it a zombie, or the test ends.
func lasting(t *testing.T) (pid int, end func()) {
	t.Helper()
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(in.Close(), cmd.Wait()) })
	return cmd.Process.Pid, func() {
		_ = in.Close()
		for { // until it has ended; only a look, it stays
			var info unix.Siginfo
			if err := unix.Waitid(unix.P_PID, cmd.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT, nil); !errors.Is(err, unix.EINTR) {
				return
			}
		}
	}
}

func files(t *testing.T, dir string) int {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, place.Execs))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestKeep(t *testing.T) {
	dir := inMemory(t)
	pid, end := lasting(t)
	a, b := Container{"a", "/bundle"}, Container{"b", "/bundle"}
	if _, err := Get(dir, a); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before: %v", err)
	}
	want := []string{"A=1", "B=", "C=x\ny=\xff"}
	if err := errors.Join(Put(dir, a, pid, want), Put(dir, b, 0, nil)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := Get(dir, a)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
	}
	if got, err := Get(dir, b); err != nil || len(got) != 0 {
		t.Errorf("nothing was kept, and %q, %v is there", got, err)
	}
	for _, other := range []Container{{"a", "/other"}, {"c", "/bundle"}, {"a", ""}} {
		if got, err := Get(dir, other); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q got %q, %v", other, got, err)
		}
	}
	end()
	if got, err := Get(dir, a); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after its end: %q, %v", got, err)
	}
}

// TestSameFile has another container's file under a container's name.
func TestSameFile(t *testing.T) {
	dir := inMemory(t)
	a, b := Container{"a", "/bundle"}, Container{"b", "/bundle"}
	if err := Put(dir, a, 0, []string{"A=1"}); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, place.Exec(a.ID)), filepath.Join(dir, place.Exec(b.ID))); err != nil {
		t.Fatal(err)
	}
	if got, err := Get(dir, b); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestSweep has containers that ended without a poststop.
func TestSweep(t *testing.T) {
	dir := inMemory(t)
	for i := range 3 {
		pid, end := lasting(t)
		if err := Put(dir, Container{fmt.Sprint(i), "/bundle"}, pid, []string{"A=1"}); err != nil {
			t.Fatal(err)
		}
		end()
	}
	pid, _ := lasting(t)
	if err := Put(dir, Container{"last", "/bundle"}, pid, []string{"A=1"}); err != nil || files(t, dir) != 1 {
		t.Errorf("%d files are left, %v", files(t, dir), err)
	}
}

// TestSweepWithoutProcess has containers of which no process of this kernel
// tells whether they are there.
func TestSweepWithoutProcess(t *testing.T) {
	dir, bundle := inMemory(t), t.TempDir()
	for _, b := range []string{bundle, filepath.Join(bundle, "gone"), "relative"} {
		if err := Put(dir, Container{b, b}, 0, []string{"A=1"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := Put(dir, Container{"last", bundle}, 0, nil); err != nil || files(t, dir) != 3 {
		t.Errorf("%d files are left, %v", files(t, dir), err)
	}
}

// TestSweepTogether has starts that remove the same files at the same time.
func TestSweepTogether(t *testing.T) {
	dir := inMemory(t)
	alive, _ := lasting(t)
	for range 20 {
		pid, end := lasting(t)
		for i := range 30 {
			if err := Put(dir, Container{fmt.Sprint("dead", i), "/bundle"}, pid, nil); err != nil {
				t.Fatal(err)
			}
		}
		end()
		errs := make(chan error)
		for i := range 8 {
			go func() { errs <- Put(dir, Container{fmt.Sprint(i), "/bundle"}, alive, nil) }()
		}
		for range 8 {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestPlace has directories where nothing may be kept.
func TestPlace(t *testing.T) {
	open := inMemory(t)
	if err := os.Chmod(open, 0o750); err != nil {
		t.Fatal(err)
	}
	theirs := inMemory(t)
	if err := os.Chown(theirs, 7, 7); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"open to others": open, "another user's": theirs, "nowhere": filepath.Join(t.TempDir(), "a", "b")} {
		if err := Put(dir, Container{"a", "/b"}, 0, []string{"A=1"}); err == nil {
			t.Errorf("%s: kept", name)
		}
	}
	disk := t.TempDir()
	if err := os.MkdirAll(filepath.Join(disk, place.Execs), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Get(disk, Container{"a", "/b"}); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("on a disk: %v", err)
	}
}
