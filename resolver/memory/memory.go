// SPDX-License-Identifier: Apache-2.0

// Package memory is the directory where values may be kept: it is on no disk,
// and nobody else's to read.
//
// For root that is a file system of its own, mounted when it is first needed,
// of the kind that the kernel does not swap out: tmpfs with noswap (Linux 6.4),
// or ramfs before that. /run may be a tmpfs, and that can reach the swap. A
// user who is not the host's root cannot have such a mount (tmpfs(5)), and gets
// a directory on a tmpfs that is there already, which $XDG_RUNTIME_DIR is. Where
// there is none, nothing is kept.
//
// What it does not protect against: root, and whoever is given the host's /run.
package memory

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/resolver/private"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// Open opens the directory, which must be there; a directory that is not gives
// fs.ErrNotExist. The caller closes it.
func Open(dir string) (*os.Root, error) {
	root, err := private.Open(dir)
	if err != nil {
		return nil, fault.New(fault.Delivery, "", "open the state directory: %w", err)
	}
	if err := check(root); err != nil {
		_ = root.Close() // nothing was written
		return nil, err
	}
	return root, nil
}

// Make is [Open] that makes the directory, and for root the mount, where it is
// not there. The directory above must be.
func Make(dir string) (*os.Root, error) {
	p, err := private.Locate(dir)
	if err == nil {
		defer p.Close()
		if err = os.Mkdir(p.Path(), 0o700); errors.Is(err, fs.ErrExist) {
			err = nil
		}
		err = p.Explain(err)
	}
	if err != nil {
		hint := ""
		if errors.Is(err, fs.ErrNotExist) {
			hint = "set state_dir to a directory of this user's on a tmpfs; where no session is kept, the default has no place"
		}
		return nil, fault.New(fault.Delivery, hint, "make the state directory %s: %w", dir, err)
	}
	if private.HostUID() == 0 {
		if err := mount(p); err != nil {
			return nil, fault.New(fault.Delivery, "", "mount a file system in memory at %s: %w", dir, p.Explain(err))
		}
	}
	return Open(dir)
}

// patience is how long another process may take to mount: it may be stopped, and
// starts must not wait for it for ever.
const patience = 5 * time.Second

// mount sees to it that p is a mount point of a file system in memory. Of
// several processes that find none, one mounts it and the others wait.
func mount(p *private.Place) error {
	if is, err := isMount(p); is || err != nil {
		return err
	}
	dir, err := open(p)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // only opened
	// The directory above may be anybody's to open, and so to lock, and the keeper
	// of the leases holds a lock on dir.
	below, err := os.OpenRoot(handle(dir))
	if err != nil {
		return err
	}
	defer func() { _ = below.Close() }() // the lock is all that was written
	lock, err := below.OpenFile("mount.lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // only locked
	// A wait in the kernel could not be called off.
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		if err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
			break
		}
		if is, err := isMount(p); is || err != nil {
			return err
		}
		if time.Since(begun) > patience {
			return fmt.Errorf("another process has begun to, and does not come to an end: %w", unix.EBUSY)
		}
	}
	if err != nil {
		return err
	}
	// Whoever locks another one sees the mount.
	defer func() { _ = below.Remove("mount.lock") }() // another may have
	if is, err := isMount(p); is || err != nil {
		return err
	}
	return mountAt(dir)
}

// open opens the directory at p. It follows no link: where others can write the
// directory above, root would mount wherever they like.
func open(p *private.Place) (*os.File, error) {
	return os.OpenFile(p.Path(), unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
}

// handle is an opened directory for calls that take a path.
func handle(dir *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", dir.Fd()) }

// Release takes the directory away, and what was mounted for it, unless something
// is kept there. A start that needs it makes it again.
func Release(dir string) error {
	root, err := Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	entries, err := fs.ReadDir(root.FS(), ".")
	for _, e := range entries {
		if e.IsDir() {
			err = errors.Join(err, root.Remove(e.Name())) // which removes none with something in it
		}
	}
	for _, e := range entries {
		if err == nil && !e.IsDir() { // a key, of use as long as the rest
			err = root.Remove(e.Name())
		}
	}
	if err = errors.Join(err, root.Close()); err != nil {
		return err
	}
	p, err := private.Locate(dir)
	if err != nil {
		return err
	}
	defer p.Close()
	if private.HostUID() == 0 {
		if err := unix.Unmount(p.Path(), unix.UMOUNT_NOFOLLOW); err != nil && !errors.Is(err, unix.EINVAL) { // it is none
			return err
		}
	}
	return p.Explain(unix.Rmdir(p.Path()))
}

// options are those of the mount. Half of the memory, which is what a tmpfs may have
// otherwise, is too much for what nobody looks at; a start that finds the directory
// full goes on without what it would keep there.
const options = "mode=0700,size=10%"

// Mount mounts a new file system in memory at dir, in the mount namespace of
// the thread. It is not swapped out. A ramfs has no size.
func Mount(dir string) error {
	p, err := private.Locate(dir)
	if err != nil {
		return err
	}
	defer p.Close()
	d, err := open(p)
	if err != nil {
		return p.Explain(err)
	}
	defer func() { _ = d.Close() }() // only opened
	return mountAt(d)
}

func mountAt(dir *os.File) error {
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	err := unix.Mount("oci-secrets", handle(dir), "tmpfs", flags, options+",noswap")
	if errors.Is(err, unix.EINVAL) {
		err = unix.Mount("oci-secrets", handle(dir), "ramfs", flags, "mode=0700")
	}
	return err
}

// isMount reports whether p is on another file system than the directory above
// it.
func isMount(p *private.Place) (bool, error) {
	var d, a unix.Stat_t
	if err := unix.Lstat(p.Path(), &d); err != nil {
		return false, err
	}
	if err := unix.Stat(p.Dir(), &a); err != nil {
		return false, err
	}
	return d.Dev != a.Dev, nil
}

// check refuses a directory that is on a disk or open to others.
func check(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // only looked at
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &st); err != nil {
		return err
	}
	if st.Type != unix.TMPFS_MAGIC && st.Type != unix.RAMFS_MAGIC {
		return fault.New(fault.Delivery, "set state_dir to a directory on a tmpfs", "the state directory %s is not in memory", root.Name())
	}
	info, err := dir.Stat()
	if err != nil {
		return err
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; info.Mode().Perm()&0o077 != 0 || int(owner) != os.Geteuid() {
		return fault.New(fault.Delivery, "chmod 0700 "+root.Name(), "the state directory %s has mode %04o and belongs to uid %d; it must be ours alone", root.Name(), info.Mode().Perm(), owner)
	}
	return nil
}

// Write puts data into the file called name, so that a reader finds what was
// there before or all of it.
func Write(root *os.Root, name string, data []byte) error {
	temp := Temp(name)
	err := root.WriteFile(temp, data, 0o600)
	if err == nil {
		err = root.Rename(temp, name)
	}
	if err != nil {
		_ = root.Remove(temp) // it may not be there
	}
	return err
}

// Temp is the name under which this process writes a file that is to be called
// name.
func Temp(name string) string { return name + "." + strconv.Itoa(os.Getpid()) }

// Abandoned reports whether a file's name is a [Temp] of a process that was killed.
func Abandoned(name string) bool {
	pid, err := strconv.Atoi(name[strings.LastIndexByte(name, '.')+1:])
	return err == nil && pid > 0 && errors.Is(unix.Kill(pid, 0), unix.ESRCH)
}

// Now is the time since the host was booted, suspensions included: what is kept here does not survive a
// boot, and nobody sets this clock.
func Now() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic(err) // Linux has it since 2.6.39
	}
	return time.Duration(t.Nano())
}
