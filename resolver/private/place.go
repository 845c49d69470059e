// SPDX-License-Identifier: Apache-2.0

package private

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// maxLinks is how many symbolic links are followed, which is what the kernel does.
const maxLinks = 40

// Place is where a path leads: a name in a directory that is held open, so that
// nobody can put another directory in its place. The name need not be there.
type Place struct {
	dir   *os.File    // opened with O_PATH
	named fs.FileInfo // of the directory in which the path's last element is
	name  string
	path  string // as it was given
}

// Locate finds where an absolute path leads. A symbolic link is followed only
// where root or this user made it, in a directory that is theirs: in a directory
// that others can write, a link leads root wherever they like. In one with the
// sticky bit a link is its owner's. The directories themselves may be others'.
// Errors are those of [Read].
func Locate(path string) (*Place, error) { return locate(path, true) }

// LocateNoFollow is [Locate] for a name that may be there as a link, which is not
// followed.
func LocateNoFollow(path string) (*Place, error) { return locate(path, false) }

func locate(path string, follow bool) (*Place, error) {
	p := &Place{path: path}
	if err := p.open("/"); err != nil {
		return nil, err
	}
	rest := filepath.Clean(path)
	for links := 0; ; {
		rest = strings.TrimLeft(rest, "/")
		p.name, rest, _ = strings.Cut(rest, "/")
		last := strings.Trim(rest, "/") == ""
		above, err := p.dir.Stat()
		if err != nil {
			return nil, p.fail(err)
		}
		if last && p.named == nil {
			p.named = above
		}
		info, err := os.Lstat(p.Path())
		switch {
		case err == nil && info.Mode()&fs.ModeSymlink != 0 && (follow || !last):
			if links++; links > maxLinks {
				return nil, p.fail(syscall.ELOOP)
			}
			if !isOwn(above, 0) && !(isOwn(above, fs.ModeSticky) && isOwn(info, fs.ModeSymlink)) {
				return nil, p.fail(fault.New(fault.Refused, "name the place itself, or keep others from its directories",
					"%s leads through the symbolic link %s, which others can put there", path, p.name))
			}
			target, err := os.Readlink(p.Path())
			if err != nil {
				return nil, p.fail(err)
			}
			if rest = target + "/" + rest; filepath.IsAbs(target) {
				err = p.open("/")
			}
			if err != nil {
				return nil, err
			}
		case last && (err == nil || errors.Is(err, fs.ErrNotExist)):
			return p, nil
		case err != nil:
			return nil, p.fail(err)
		default:
			if err := p.open(p.Path()); err != nil {
				return nil, err
			}
		}
	}
}

// CheckDirectory refuses a place whose directory others than root, this user and the
// users with these uids can write.
func (p *Place) CheckDirectory(also ...uint32) error {
	return directory.check(filepath.Dir(p.path), p.named, also...)
}

// isOwn reports whether a file is root's or ours, or of a user with one of these
// uids, and nobody else can write it; or, with a bit in except, has that bit.
func isOwn(info fs.FileInfo, except fs.FileMode, also ...uint32) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && Trusts(st.Uid, also...) && (info.Mode().Perm()&0o022 == 0 || info.Mode()&except != 0)
}

// open goes on in a directory.
func (p *Place) open(dir string) error {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return p.fail(err)
	}
	p.Close()
	p.dir = os.NewFile(uintptr(fd), dir)
	return nil
}

func (p *Place) fail(err error) error {
	p.Close()
	if _, ok := fault.ClassOf(err); ok {
		return err
	}
	return explain(p.path, err)
}

// Close closes the directory.
func (p *Place) Close() {
	if p.dir != nil {
		_ = p.dir.Close() // nothing is written to it
	}
}

// Path is the place for calls that take a path, until [Place.Close]. Where others
// can write the directory, they must not follow a link at the last element.
func (p *Place) Path() string { return p.Dir() + "/" + p.name }

// Dir is the directory for calls that take a path.
func (p *Place) Dir() string { return fmt.Sprintf("/proc/self/fd/%d", p.dir.Fd()) }

// Explain puts the path as it was given into an error that has [Place.Path].
func (p *Place) Explain(err error) error {
	if err == nil {
		return nil
	}
	return &explained{strings.ReplaceAll(err.Error(), p.Dir(), filepath.Dir(p.path)), err}
}

// explained is an error in other words.
type explained struct {
	text  string
	cause error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.cause }

// Open opens a directory where [Locate] finds it, with its path as its name.
func Open(dir string) (*os.Root, error) {
	p, err := Locate(dir)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	found, err := os.Lstat(p.Path())
	if err != nil {
		return nil, explain(dir, err)
	}
	if !found.IsDir() {
		return nil, fault.New(fault.Refused, "", "%s is not a directory", dir)
	}
	root, err := os.OpenRoot(strings.TrimSuffix(dir, "/") + "/")
	if err != nil {
		return nil, explain(dir, err)
	}
	if info, err := root.Stat("."); err != nil || !os.SameFile(info, found) {
		_ = root.Close() // nothing was written
		return nil, fault.New(fault.Refused, "", "%s was replaced meanwhile", dir)
	}
	return root, nil
}

// MakeAll makes a directory of this user's alone where [Locate] finds it, and
// those above it that are not there.
func MakeAll(dir string) error {
	p, err := Locate(dir)
	if errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir {
		if err = MakeAll(filepath.Dir(dir)); err == nil {
			p, err = Locate(dir)
		}
	}
	if err != nil {
		return err
	}
	defer p.Close()
	if err := os.Mkdir(p.Path(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fault.New(fault.Refused, "", "the directory %s cannot be made: %w", dir, p.Explain(err))
	}
	return nil
}
