// SPDX-License-Identifier: Apache-2.0

// Package private reads the files that secrets and settings live in, and
// refuses those that somebody else could have written or could read.
//
// A secret in a file is as private as the file's mode, and a container starts
// with whatever the file holds. So a file counts only if it is a regular file
// that belongs to root or to the user who asks, that nobody else can write,
// and, for secrets, that others cannot read. The check is made on the opened
// file, never on its name, so nothing can be swapped between check and read. The
// directory that it was opened in must be nobody else's to write either.
//
// On the way to a file a symbolic link counts only where nobody else could have
// put it; see [Locate]. In a directory of root's with the sticky bit nobody
// replaces what is another's, so a single file there counts that is root's or the
// user's own, and has no second name.
//
// What it does not protect against: root; the members of the file's group,
// who may read a file of mode 0640; access lists and capabilities, which no
// mode shows beyond its mask; a directory above the one that was checked that
// others can write, and so take away; and within a user namespace, users of the
// host that it has no number for: they look like the host's root, whose files
// must count there.
package private

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// maxSize is the size in bytes of the largest file that is read.
const maxSize = 16 << 20

// openFlags keep the open itself harmless: a named pipe without a writer would
// block it for ever, a terminal could become the process's own.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK | syscall.O_NOCTTY

// Read gives the content of a file that must be private: only its owner may
// write it, others may not read it, and its directory must be nobody else's to
// write, as with [OpenRoot]. A file that is not there gives an error that is
// fs.ErrNotExist; every other one is fault.Refused. It and its directory may
// also belong to the users with these uids, whom the operator has named.
func Read(name string, also ...uint32) ([]byte, error) {
	data, _, err := readAt(name, secret, fs.ModeSticky, also...)
	return data, err
}

// ReadTrusted is [Read] for files that hold no secret but must be nobody
// else's to write, such as certificates: all may read them.
func ReadTrusted(name string) ([]byte, error) {
	data, _, err := readAt(name, trusted, fs.ModeSticky)
	return data, err
}

// ReadEither is [ReadTrusted] for a file whose content tells whether it holds a
// secret, and in whose directory nobody else may add one: the sticky bit does not
// help. If it does, exposed is what [Read] refuses it for, or nil.
func ReadEither(name string) (data []byte, exposed, err error) {
	data, info, err := readAt(name, trusted, 0)
	if err != nil {
		return nil, nil, err
	}
	return data, secret.check(name, info), nil
}

// readAt reads the file called name, whose directory it checks as well; one that
// others can write counts where it is root's or ours, with the bit in except.
func readAt(name string, want rule, except fs.FileMode, also ...uint32) ([]byte, fs.FileInfo, error) {
	name, err := filepath.Abs(name)
	if err != nil {
		return nil, nil, explain(name, err)
	}
	p, err := Locate(name)
	if err != nil {
		return nil, nil, err
	}
	defer p.Close()
	f, err := os.OpenFile(p.Path(), openFlags|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, nil, explain(name, err)
	}
	defer func() { _ = f.Close() }() // only read from
	if !isOwn(p.named, except, also...) {
		if err := p.CheckDirectory(also...); err != nil {
			return nil, nil, err
		}
	}
	data, info, err := read(f, name, want, also...)
	if err == nil && !isOwn(p.named, 0) && info.Sys().(*syscall.Stat_t).Nlink > 1 {
		// Whoever can write a directory can give a file of root's that is
		// elsewhere a name there.
		return nil, nil, fault.New(fault.Refused, "copy it there", "%s is a hard link, in a directory where others can write", name)
	}
	return data, info, err
}

// ReadIn is [Read] for a file below root; name is a slash-separated path. It
// also checks each directory on the way from root to the file, like
// [OpenRoot]. A name or symbolic link that leads out of root is refused.
func ReadIn(root *os.Root, name string) ([]byte, error) {
	dir := filepath.Clean(root.Name())
	full := filepath.Join(dir, name)
	if !fs.ValidPath(name) || name == "." {
		return nil, fault.New(fault.Refused, "", "%s is not a path below %s", full, dir)
	}
	for i := range len(name) {
		if name[i] != '/' {
			continue
		}
		info, err := root.Stat(name[:i])
		if err != nil {
			return nil, explain(filepath.Join(dir, name[:i]), err)
		}
		if !info.IsDir() {
			return nil, &absent{full}
		}
		if err := directory.check(filepath.Join(dir, name[:i]), info); err != nil {
			return nil, err
		}
	}
	f, err := root.OpenFile(name, openFlags, 0)
	if err != nil {
		return nil, explain(full, err)
	}
	defer func() { _ = f.Close() }() // only read from
	data, _, err := read(f, full, secret)
	return data, err
}

// OpenRoot opens a directory that must be nobody else's to write: whoever can
// write a directory can put another file in the place of a private one. The
// sticky bit does not help, because it lets others add what is not there yet.
// All may read it. Errors are those of [Read].
func OpenRoot(dir string) (*os.Root, error) {
	root, err := Open(dir)
	if err != nil {
		return nil, err
	}
	info, err := root.Stat(".")
	if err != nil {
		err = explain(dir, err)
	} else {
		err = directory.check(dir, info)
	}
	if err != nil {
		_ = root.Close() // nothing was written
		return nil, err
	}
	return root, nil
}

// read checks an opened file and reads it.
func read(f *os.File, name string, want rule, also ...uint32) ([]byte, fs.FileInfo, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, nil, explain(name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fault.New(fault.Refused, "", "%s is %s, and must be a regular file", name, kind(info.Mode()))
	}
	if err := want.check(name, info, also...); err != nil {
		return nil, nil, err
	}
	// The size that stat tells is a promise that a growing file breaks.
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, nil, explain(name, err)
	}
	if len(data) > maxSize {
		return nil, nil, fault.New(fault.Refused, "", "%s is larger than %d bytes", name, maxSize)
	}
	return data, info, nil
}
