// SPDX-License-Identifier: Apache-2.0

package private

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// absent is the error for a file that is not there. It is fs.ErrNotExist, and
// has no class: what an absence means is for the caller to say.
type absent struct{ name string }

func (e *absent) Error() string { return e.name + " does not exist" }

// Is makes it fs.ErrNotExist without that error's text in the tree.
func (*absent) Is(target error) bool { return target == fs.ErrNotExist }

// explain puts an error of the file system into words of our own. Podman
// searches what a hook prints for the kernel's phrases and, where it finds
// one, reports something else; so no such error may come through as it is.
func explain(name string, err error) error {
	var errno syscall.Errno
	switch {
	// A name below a file that is no directory leads to nothing either.
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return &absent{name}
	case errors.Is(err, fs.ErrPermission):
		return fault.New(fault.Refused, "its owner can read it, and so can root", "%s cannot be read: access denied", name)
	case errors.Is(err, syscall.ELOOP):
		return fault.New(fault.Refused, "", "%s cannot be read: too many symbolic links", name)
	case errors.As(err, &errno):
		return fault.New(fault.Refused, "", "%s cannot be read: %s", name, errno.Error())
	case escapes(err):
		return fault.New(fault.Refused, "put the file itself there, or a relative link that stays in the directory",
			"%s is a symbolic link that leads out of its directory", name)
	}
	return fault.New(fault.Refused, "", "%s cannot be read", name)
}

// escapes reports whether err is how os.Root says that a path leads out of it.
// Package os does not export that error, so its text has to do; the tests pin
// it, and a text that changed would only make ours less exact.
func escapes(err error) bool {
	var pe *fs.PathError
	return errors.As(err, &pe) && pe.Err.Error() == "path escapes from parent"
}

// kind names what is not a regular file.
func kind(m fs.FileMode) string {
	switch m.Type() {
	case fs.ModeDir:
		return "a directory"
	case fs.ModeNamedPipe:
		return "a named pipe"
	case fs.ModeSocket:
		return "a socket"
	default:
		return "a device"
	}
}
