// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/lease"
	"github.com/oci-secrets/oci-secrets/resolver/memory"
	folders "github.com/oci-secrets/oci-secrets/resolver/memory/place"
)

// host is the folder of the state directory where what one Source learnt serves
// the others of the same user: tokens, what was refused a moment ago, what is
// mounted.
//
// What is wrong with it is one of two things. A directory that others can read,
// or that is on a disk, is no place for a token, and somebody thinks it is: that
// refuses the start. Whatever else goes wrong (it cannot be made, it is full, a
// file in it is broken or somebody else's) costs a login and a line in the log.
type host struct {
	root *os.Root // the state directory
}

// maxRecord is more than any of the files here needs.
const maxRecord = 64 << 10

// lockSuffix is that of the file whose lock is held for another.
const lockSuffix = ".lock"

// writing keeps two Sources of one process from using the same temporary name.
var writing sync.Mutex

// openHost opens the folder, and makes it where it is not there. why says what
// keeps it from being used; err is a fault that nobody must go past.
func openHost(dir string) (h *host, why string, err error) {
	root, err := memory.Make(dir)
	if err != nil {
		// What the system says is a nuisance; what package memory says of a
		// directory that it could look at is a warning.
		var system syscall.Errno
		if errors.As(err, &system) || errors.Is(err, fs.ErrNotExist) {
			return nil, clean(err.Error()), nil
		}
		return nil, "", err
	}
	if why = makeFolder(root); why != "" {
		_ = root.Close() // nothing was written
		return nil, why, nil
	}
	return &host{root}, "", nil
}

// makeFolder makes the folder, and says why there is none.
func makeFolder(root *os.Root) (why string) {
	if err := root.Mkdir(folders.Vault, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return clean(err.Error())
	}
	if info, err := root.Lstat(folders.Vault); err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 || !isOurs(info) {
		return fmt.Sprintf("%s/%s is not a directory that is ours alone", root.Name(), folders.Vault)
	}
	return ""
}

// isOurs reports whether a file belongs to the user that we are.
func isOurs(info fs.FileInfo) bool { return int(info.Sys().(*syscall.Stat_t).Uid) == os.Geteuid() }

// check refuses a file that another user could have written or could read.
func (h *host) check(f *os.File) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("it is not a regular file")
	case !isOurs(info):
		return fmt.Errorf("it belongs to uid %d", info.Sys().(*syscall.Stat_t).Uid)
	case info.Mode().Perm() != 0o600:
		return fmt.Errorf("it has mode %04o, and must have 0600", info.Mode().Perm())
	}
	return nil
}

// load reads the file called name into v, and reports whether it is there. One
// that does not count is noted and taken away.
func (h *host) load(ctx context.Context, name string, v interface{ valid() bool }) bool {
	data, err := h.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err == nil && (json.Unmarshal(data, v) != nil || !v.valid()) {
		// The error would quote what is there.
		err = errors.New("it is broken")
	}
	clear(data)
	if err != nil {
		resolver.RecordOf(ctx).Note("%s/%s is not used: %s", h.root.Name(), file(name), clean(err.Error()))
		_ = h.root.Remove(file(name)) // or it is replaced
		return false
	}
	return true
}

func (h *host) read(name string) ([]byte, error) {
	f, err := h.root.OpenFile(file(name), os.O_RDONLY|unix.O_NONBLOCK, 0) // a named pipe would block
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	if err := h.check(f); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err == nil && len(data) == maxRecord {
		err = errors.New("it is too large")
	}
	return data, err
}

// store writes v into the file called name.
func (h *host) store(name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	defer clear(data)
	writing.Lock()
	defer writing.Unlock()
	return memory.Write(h.root, file(name), data)
}

// room says whether there is room for one more file.
func (h *host) room(name string) error {
	name = memory.Temp(file(name)) // which is swept if this process is killed
	writing.Lock()
	defer writing.Unlock()
	err := h.root.WriteFile(name, make([]byte, 4<<10), 0o600)
	_ = h.root.Remove(name) // it may not be there
	return err
}

func (h *host) remove(name string) { _ = h.root.Remove(file(name)) } // it may not be there

// names lists the files, up to a bound that no host reaches.
func (h *host) names() []string {
	dir, err := h.root.Open(folders.Vault)
	if err != nil {
		return nil
	}
	defer func() { _ = dir.Close() }() // only read from
	names, _ := dir.Readdirnames(1 << 16)
	return names
}

// lock takes the lock of that name, and waits for it as long as ctx lasts. The
// kernel gives it up for a process that dies.
func (h *host) lock(ctx context.Context, name string) (unlock func(), err error) {
	for {
		f, err := h.openLock(name)
		if err != nil {
			return nil, err
		}
		got := make(chan struct{})
		var refused error
		go func() {
			refused = retried(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX) })
			close(got)
		}()
		select {
		case <-got:
		case <-ctx.Done():
			// The wait cannot be called off; what it gets is given back.
			go func() {
				<-got
				_ = f.Close()
			}()
			return nil, ctx.Err()
		}
		if refused == nil && linked(f) {
			return func() { _ = f.Close() }, nil // closing unlocks
		}
		_ = f.Close() // nothing was written
		if refused != nil {
			return nil, refused
		}
	}
}

// tryLock takes the lock if nobody has it; nil where it cannot be had.
func (h *host) tryLock(name string) (unlock func()) {
	f, err := h.openLock(name)
	if err != nil {
		return nil
	}
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil || !linked(f) {
		_ = f.Close() // nothing was written
		return nil
	}
	return func() { _ = f.Close() } // closing unlocks
}

func (h *host) openLock(name string) (*os.File, error) {
	f, err := h.root.OpenFile(file(name+lockSuffix), os.O_RDWR|os.O_CREATE|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	if err := h.check(f); err != nil {
		_ = f.Close() // nothing was written
		return nil, fmt.Errorf("%s: %w", file(name+lockSuffix), err)
	}
	return f, nil
}

// linked reports whether a file still has its name: a lock on one that was
// removed keeps nobody out.
func linked(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Sys().(*syscall.Stat_t).Nlink > 0
}

func retried(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// leased reports whether a container has something that ends with a token.
func (h *host) leased() bool {
	records, err := lease.List(h.root.Name())
	return err != nil || len(records) > 0
}

func file(name string) string { return folders.Vault + "/" + name }

// host opens what the Sources of this host share, once. It is nil where nothing
// is shared, and the log says why.
func (s *Source) host(ctx context.Context) (*host, error) {
	if s.config.StateDir == "" {
		return nil, nil
	}
	s.session.hostMu.Lock()
	defer s.session.hostMu.Unlock()
	if s.session.host != nil {
		return s.session.host, nil
	}
	h, why, err := openHost(s.config.StateDir)
	switch {
	case s.config.Auth.given() && s.config.Session == "":
		// No token is kept, so there is nothing to be warned of.
	case err != nil:
		return nil, err
	case why != "":
		resolver.RecordOf(ctx).Note("the login is not shared with other containers: %s", why)
	}
	s.session.host = h
	return h, nil
}
