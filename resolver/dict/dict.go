// SPDX-License-Identifier: Apache-2.0

// Package dict serves named secrets from a local file, or from all the TOML,
// YAML and JSON files of a directory.
//
// Every file has the same shape, two levels deep: name -> {KEY: "value"}. A
// string at the top, NAME = "value", is a secret of that one variable. A null
// drops what it is the value of. Anything else is refused rather than turned
// into text: whether 5432, 0x1538 and 5.432e3 are the same text, or no is
// "no" or "false", is for the file to say, with quotes. For the same reason a
// name or key that is there twice is an error, in one file or across files.
//
// Package private says which files count at all. No error shows what a file
// holds: the parsers' own messages quote their source, so only the position
// is taken from them.
//
// What it does not protect against: values stay in the process's memory as
// ordinary strings, and so does the text of the files.
package dict

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/private"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

const scheme = "dict"

// Source serves the secrets of one path.
type Source struct {
	path string
	load func() (*dict, error)
}

// dict is everything that a path holds.
type dict struct {
	files   []string // base names, where the path is a directory
	secrets map[string]secret
}

type secret struct {
	file    string // where it stands
	entries []resolver.Entry
}

// New makes the source of a file or directory. It reads nothing before the
// first Get, and nothing again after it.
func New(path string) *Source {
	s := &Source{path: path}
	s.load = sync.OnceValues(s.read)
	return s
}

// Name is "dict".
func (*Source) Name() string { return scheme }

// Get looks the secret called name up. One broken file is an error for every
// name, because it might be the one that holds it.
func (s *Source) Get(_ context.Context, name string, version int) (*resolver.Secret, error) {
	if version != 0 {
		return nil, fault.New(fault.Missing, "", "dict has no versions, so none is %d", version)
	}
	d, err := s.load()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.Missing, "", "%s does not exist", s.path)
	}
	if err != nil {
		return nil, err
	}
	found, ok := d.secrets[name]
	if !ok {
		return nil, fault.New(fault.Missing, "", "no secret %q in %s", name, s.where(d))
	}
	return &resolver.Secret{Source: scheme, Entries: slices.Clone(found.entries)}, nil
}

// where says what was searched.
func (s *Source) where(d *dict) string {
	const few = 8 // as many as one line bears
	switch {
	case d.files == nil:
		return s.path
	case len(d.files) == 0:
		return s.path + ", which has no .toml, .yaml, .yml or .json file"
	case len(d.files) > few:
		return fmt.Sprintf("any of the %d files of %s", len(d.files), s.path)
	}
	return s.path + " (" + strings.Join(d.files, ", ") + ")"
}

// read reads the path. An error that is fs.ErrNotExist says that it is not
// there.
func (s *Source) read() (*dict, error) {
	d := &dict{secrets: map[string]secret{}}
	if info, err := os.Stat(s.path); err == nil && info.IsDir() {
		return d, s.readDir(d)
	}
	// What else is wrong with the path, package private says in its own words.
	data, err := private.Read(s.path)
	if err != nil {
		return nil, err
	}
	parse := parserOf(s.path)
	if parse == nil {
		return nil, fault.New(fault.Settings, "name it .toml, .yaml, .yml or .json", "the format of %s is not known by its name", s.path)
	}
	return d, d.add(s.path, data, parse)
}

func (s *Source) readDir(d *dict) error {
	root, err := private.OpenRoot(s.path)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()     // only read from
	list, err := fs.ReadDir(root.FS(), ".") // sorted, so that errors are the same every time
	if err != nil {
		return fault.New(fault.Refused, "", "%s cannot be listed", s.path)
	}
	d.files = []string{}
	for _, f := range list {
		parse := parserOf(f.Name())
		if parse == nil || strings.HasPrefix(f.Name(), ".") {
			continue
		}
		data, err := private.ReadIn(root, f.Name())
		if err != nil {
			return gone(err)
		}
		if err := d.add(filepath.Join(s.path, f.Name()), data, parse); err != nil {
			return err
		}
		d.files = append(d.files, f.Name())
	}
	return nil
}

// gone keeps a file that is listed and yet not there, such as a link to
// nowhere, from looking like a path that is absent.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Refused, "", "%s, though its directory lists it", err.Error())
	}
	return err
}
