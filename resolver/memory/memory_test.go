// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMake makes a directory, uses it, and takes it away again.
func TestMake(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounts: run it as root")
	}
	dir := filepath.Join(t.TempDir(), "state")
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	if _, err := Open(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before: %v", err)
	}
	if err := Release(dir); err != nil {
		t.Errorf("release of nothing: %v", err)
	}
	for range 2 { // the second time it is there
		root, err := Make(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := root.Mkdir("exec", 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
		for _, text := range []string{"first", "second"} {
			if err := Write(root, "exec/a", []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		if b, err := root.ReadFile("exec/a"); err != nil || string(b) != "second" {
			t.Errorf("%q, %v", b, err)
		}
		if err := root.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil || st.Type != unix.TMPFS_MAGIC && st.Type != unix.RAMFS_MAGIC {
		t.Errorf("a file system of type %#x, %v", st.Type, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a.key"), []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Release(dir); err == nil {
		t.Error("released with something in it")
	}
	for _, name := range []string{"exec/a", "a.key"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if err := os.Remove(filepath.Join(dir, "exec/a")); err != nil {
		t.Fatal(err)
	}
	if err := Release(dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

// TestMakeWaitsForNobody has a user lock the directory above, which all may open,
// and the keeper of leases the directory, which is there and not mounted yet.
func TestMakeWaitsForNobody(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounts: run it as root")
	}
	above, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = above.Close() }() // and unlocked
	if err := unix.Flock(int(above.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(above.Name(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	keeper, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = keeper.Close() }() // and unlocked
	if err := unix.Flock(int(keeper.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	made := making(dir)
	select {
	case err := <-made:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("it waits for somebody else's lock")
		_ = unix.Flock(int(above.Fd()), unix.LOCK_UN)
		_ = unix.Flock(int(keeper.Fd()), unix.LOCK_UN)
		if err := <-made; err != nil {
			t.Error(err)
		}
	}
}

// making makes dir on the side, and tells what came of it.
func making(dir string) <-chan error {
	made := make(chan error, 1)
	go func() {
		root, err := Make(dir)
		if err == nil {
			err = root.Close()
		}
		made <- err
	}()
	return made
}

// TestMakeWhileAnotherIsStopped has a process that began to mount, and was stopped.
func TestMakeWhileAnotherIsStopped(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounts: run it as root")
	}
	dir := t.TempDir()
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	other, err := os.Create(filepath.Join(dir, "mount.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }() // and unlocked
	if err := unix.Flock(int(other.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	made := making(dir)
	select {
	case err := <-made:
		if !errors.Is(err, unix.EBUSY) {
			t.Errorf("got %v", err)
		}
	case <-time.After(4 * patience):
		t.Error("it waits for ever")
		_ = unix.Flock(int(other.Fd()), unix.LOCK_UN)
		if err := <-made; err != nil {
			t.Error(err)
		}
	}
}

// TestMakeAtOnce has many make it, and one mount it.
func TestMakeAtOnce(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounts: run it as root")
	}
	dir := filepath.Join(t.TempDir(), "state")
	t.Cleanup(func() {
		for unix.Unmount(dir, unix.MNT_DETACH) == nil {
		}
	})
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			root, err := Make(dir)
			if err == nil {
				err = root.Close()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	var st unix.Statfs_t
	var info unix.Sysinfo_t
	if err := errors.Join(unix.Statfs(dir, &st), unix.Sysinfo(&info)); err != nil {
		t.Fatal(err)
	}
	size, memory := st.Blocks*uint64(st.Bsize), info.Totalram*uint64(info.Unit)
	if st.Type == unix.TMPFS_MAGIC && (size == 0 || size > memory/9) {
		t.Errorf("it may have %d of %d bytes", size, memory)
	}
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left below the mount: %v, %v", left, err)
	}
	if err := unix.Unmount(dir, unix.MNT_DETACH); err == nil {
		t.Error("it was mounted more than once")
	}
}

// TestMakeWhereOthersWrite has another user's link in the place of the directory,
// and on the way to it, which root would mount over.
func TestMakeWhereOthersWrite(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("gives files away: run it as root")
	}
	for name, change := range map[string]func(dir, target string) (string, error){
		"the directory, with the sticky bit above": func(dir, target string) (string, error) {
			link := filepath.Join(dir, "state")
			return link, errors.Join(os.Chmod(dir, 0o777|fs.ModeSticky), os.Symlink(target, link), os.Lchown(link, 12345, 12345))
		},
		"the directory": func(dir, target string) (string, error) {
			link := filepath.Join(dir, "state")
			return link, errors.Join(os.Chown(dir, 12345, 12345), os.Symlink(target, link))
		},
		"on the way": func(dir, target string) (string, error) {
			link := filepath.Join(dir, "way")
			return filepath.Join(link, "state"), errors.Join(os.Chown(dir, 12345, 12345), os.Symlink(target, link))
		},
	} {
		t.Run(name, func(t *testing.T) {
			target := t.TempDir()
			t.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) })
			state, err := change(t.TempDir(), target)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = unix.Unmount(state, unix.MNT_DETACH) })
			if root, err := Make(state); err == nil {
				_ = root.Close()
				t.Error("made through a link of another user's")
			}
			if err := Mount(state); err == nil {
				t.Error("mounted through a link of another user's")
			}
			var there, above unix.Stat_t
			if err := errors.Join(unix.Stat(target, &there), unix.Stat(filepath.Dir(target), &above)); err != nil || there.Dev != above.Dev {
				t.Errorf("something is mounted where the link leads: %v", err)
			}
			if left, err := os.ReadDir(target); len(left) > 0 || err != nil {
				t.Errorf("where the link leads there is %v, %v", left, err)
			}
		})
	}
}
