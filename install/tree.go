// SPDX-License-Identifier: Apache-2.0

package install

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	securejoin "github.com/cyphar/filepath-securejoin"
	"github.com/cyphar/filepath-securejoin/pathrs-lite"
	"golang.org/x/sys/unix"
)

// maxFile is the size in bytes of the largest file that is read.
const maxFile = 16 << 20

// at calls do with a path that leads to the last element of path in the directory
// it is in. The kernel has found that directory with the tree as its root, and
// holds it open: whoever makes the tree, and whatever becomes of it meanwhile, no
// link and no ".." leads out (openat2(2), RESOLVE_IN_ROOT). What do does must not
// follow a link at the last element. Nothing below --root is reached in another way.
func (m *Machine) at(path string, do func(path string) error) error {
	if m.top == nil {
		top, err := os.OpenFile(cmp.Or(m.Root, "/"), unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			return fmt.Errorf("the tree: %w", err)
		}
		m.top = top
	}
	dir, err := pathrs.OpenatInRoot(m.top, filepath.Dir(path))
	if err != nil {
		return cause(err)
	}
	defer func() { _ = dir.Close() }() // nothing is written to it
	return cause(do(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path))))
}

// cause is what is wrong without the path, which is not as the user knows it.
func cause(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}

// Lstat and Readlink are those of package os, for a path in the tree.
func (m *Machine) Lstat(path string) (info fs.FileInfo, err error) {
	err = m.at(path, func(path string) error {
		info, err = os.Lstat(path)
		return err
	})
	return info, err
}

// Readlink returns the target of a symbolic link.
func (m *Machine) Readlink(path string) (target string, err error) {
	err = m.at(path, func(path string) error {
		target, err = os.Readlink(path)
		return err
	})
	return target, err
}

// real is where path leads in the tree, with every link on the way followed as
// from within it.
func (m *Machine) real(path string) (string, error) {
	full, err := securejoin.SecureJoinVFS("/", path, m)
	if err != nil {
		return "", refuse("", "%s: %w", path, err)
	}
	dir, err := securejoin.SecureJoinVFS("/", filepath.Dir(path), m)
	if err != nil {
		return "", refuse("", "%s: %w", path, err)
	}
	here := filepath.Join(dir, filepath.Base(path))
	if _, err := m.Lstat(here); err != nil {
		return here, nil //nolint:nilerr // there is no link
	}
	if _, err := m.Lstat(full); errors.Is(err, fs.ErrNotExist) {
		return "", refuse("put a file there, or take the link away", "%s is a symbolic link to %s, which does not exist", path, m.Root+full)
	}
	return full, nil
}

// read returns the text of a file, nil where there is none.
func (m *Machine) read(path string) (text []byte, err error) {
	resolved, err := m.real(path)
	if err != nil {
		return nil, err
	}
	err = m.at(resolved, func(path string) error {
		text, err = readFile(path)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// readFile returns the text of a file, nil where there is none. It follows no
// link, and waits for no writer of a pipe.
func readFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(errors.New("it is not a regular file"), err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	return text, err // an empty file is one, and not nil
}

// list returns the names in a directory, in order; none where there is no such
// directory.
func (m *Machine) list(dir string) (names []string) {
	_ = m.at(dir+"/.", func(path string) error {
		d, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = d.Close() }() // only read from
		names, err = d.Readdirnames(-1)
		return err
	})
	return names
}
