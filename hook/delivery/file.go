// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/oci-secrets/oci-secrets/resolver/private"
)

// openFlags keep an open from blocking, as that of a pipe would, and from
// making a terminal our own.
const openFlags = syscall.O_NONBLOCK | syscall.O_NOCTTY

// appendLine adds text to the file at path, in one write: those of several starts
// do not mix. A link is not followed: in a directory of another user's, the log's
// reader for one, it may lead to any file, or to where one must not be.
func appendLine(path, text string) (err error) {
	p, err := private.LocateNoFollow(path)
	if err != nil {
		return err
	}
	defer p.Close()
	defer func() { err = p.Explain(err) }()
	f, err := os.OpenFile(p.Path(), os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NOFOLLOW|openFlags, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := regular(f); err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return err
}

// regular refuses what is no file, or has another name: a hard link leads to any
// file, too.
func regular(f *os.File) error {
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s is not a regular file", f.Name())
	case info.Sys().(*syscall.Stat_t).Nlink > 1:
		err = fmt.Errorf("%s is a hard link", f.Name())
	}
	return err
}
