// SPDX-License-Identifier: Apache-2.0

// Package dotenv serves secrets from .env files below one directory.
//
// The dialect is python-dotenv's, because that is what such files are written
// for, with four differences that a container's start calls for. A statement
// that cannot be read is an error, not a warning, unless the operator chose
// lenient. So is one whose key is neither a variable name nor one with dots and
// dashes: it is often the second line of a value. Interpolation sees the variables of the same file and nothing
// of the host's environment. A key without a value is an empty variable.
//
// The secret web is the file web.env, else web/.env; the empty name is .env.
// A name without a slash that has no file of its own but is a key of .env is a
// secret of that one variable, which a statement elsewhere in .env that cannot be
// read does not refuse. No name and no symbolic link leads out of the
// directory, and package private says which files count at all.
//
// What it does not protect against: a file that is rewritten in place while it
// is read; the operator's own choice of directory.
package dotenv

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/private"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

const scheme = "dotenv"

// Source serves the secrets of one directory.
type Source struct {
	directory string
	lenient   bool

	mu    sync.Mutex
	texts map[string]func() (string, error) // by file: what was read, or is being read
}

// New makes the source of a directory; it reads nothing yet. With lenient it
// skips what it cannot read in a file, as python-dotenv does.
func New(directory string, lenient bool) *Source {
	return &Source{directory: directory, lenient: lenient, texts: map[string]func() (string, error){}}
}

// Name is "dotenv".
func (*Source) Name() string { return scheme }

// Get reads the file of the secret called name, once.
func (s *Source) Get(ctx context.Context, name string, version int) (*resolver.Secret, error) {
	if version != 0 {
		return nil, fault.New(fault.Missing, "", "dotenv has no versions, so none is %d", version)
	}
	if name != "" && (!fs.ValidPath(name) || name == ".") {
		return nil, fault.New(fault.Refused, "", "dotenv: the name %q does not stay in %s", name, s.directory)
	}
	root, err := private.OpenRoot(s.directory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.Missing, "", "the directory %s does not exist", s.directory)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // only read from

	files := []string{name + ".env", name + "/.env"}
	if name == "" {
		files = []string{".env"}
	}
	var looked []string
	for _, file := range files {
		entries, err := s.read(ctx, root, file)
		if err == nil {
			return &resolver.Secret{Source: scheme, Entries: entries}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		looked = append(looked, s.path(file))
	}
	if name != "" && !strings.Contains(name, "/") {
		entries, err := s.key(ctx, root, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if len(entries) > 0 {
			return &resolver.Secret{Source: scheme, Entries: entries}, nil
		}
		looked = append(looked, "key "+name+" in "+s.path(".env"))
	}
	return nil, fault.New(fault.Missing, "", "no %s", strings.Join(looked, ", no "))
}

// read gives the variables of one file. One that is not there is
// fs.ErrNotExist.
func (s *Source) read(ctx context.Context, root *os.Root, file string) ([]resolver.Entry, error) {
	text, err := s.text(ctx, root, file)
	if err != nil {
		return nil, err
	}
	entries, err := Parse(text, s.lenient)
	return entries, s.in(file, err)
}

// key gives the one variable of the directory's .env; none where it has no such
// key. What is wrong elsewhere in the file is noted: other secrets are in it, too.
func (s *Source) key(ctx context.Context, root *os.Root, key string) ([]resolver.Entry, error) {
	const file = ".env"
	text, err := s.text(ctx, root, file)
	if err != nil {
		return nil, err
	}
	r := read(text)
	if r.err != nil {
		return nil, s.in(file, r.err)
	}
	i := slices.IndexFunc(r.entries, func(e resolver.Entry) bool { return e.Key == key })
	if len(r.flaws) > 0 && !s.lenient {
		switch {
		case i < 0: // each may be the key's
			return nil, s.in(file, r.flaws[0])
		case r.doubt[key] != nil:
			return nil, s.in(file, r.doubt[key])
		}
		resolver.RecordOf(ctx).Note("dotenv: %v", s.in(file, r.flaws[0]))
	}
	if i < 0 {
		return nil, nil
	}
	return r.entries[i : i+1 : i+1], nil
}

// text is that of a file, which is read once, whatever number of names lead to it.
func (s *Source) text(ctx context.Context, root *os.Root, file string) (string, error) {
	s.mu.Lock()
	text, ok := s.texts[file]
	if !ok {
		text = sync.OnceValues(func() (string, error) {
			data, err := private.ReadIn(root, file)
			if err == nil && !utf8.Valid(data) {
				err = fault.New(fault.Refused, "save it as UTF-8", "%s is not UTF-8 text", s.path(file))
			}
			if err == nil {
				err = resolver.Spend(ctx, len(data))
			}
			return string(data), err
		})
		s.texts[file] = text
	}
	s.mu.Unlock()
	return text()
}

// in is an error of reading a file's text, with the file.
func (s *Source) in(file string, err error) error {
	var syntax *SyntaxError
	if errors.As(err, &syntax) {
		return fault.New(fault.Refused, "", "%s:%d: %s", s.path(file), syntax.Line, syntax.Reason)
	}
	return err
}

func (s *Source) path(file string) string { return filepath.Join(s.directory, file) }
