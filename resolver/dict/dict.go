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
// A secret is refused for what is wrong with it. Where a file cannot be read as a
// whole, so is every name that is found nowhere else, because the file may hold
// it. All else that is wrong is only told: one team's file must not take away the
// secrets of all others.
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
	"maps"
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
	unread  []error  // of files that may hold more than was found in them
	flawed  []string // names of secrets with an err
}

type secret struct {
	file    string // where it stands
	entries []resolver.Entry
	err     error // what is wrong with it, and with no other
}

// few is as many files as one line bears, and as many notes as one start.
const few = 8

// New makes the source of a file or directory. It reads nothing before the
// first Get, and nothing again after it.
func New(path string) *Source {
	s := &Source{path: path}
	s.load = sync.OnceValues(func() (*dict, error) {
		d, err := s.read()
		if err != nil {
			return nil, err
		}
		for _, name := range slices.Sorted(maps.Keys(d.secrets)) {
			if d.secrets[name].err != nil {
				d.flawed = append(d.flawed, name)
			}
		}
		return d, nil
	})
	return s
}

// Name is "dict".
func (*Source) Name() string { return scheme }

// Get looks the secret called name up. What is wrong with the path as a whole, or
// with a file that may hold the secret, is an error; what is wrong with other
// secrets is noted in the record of ctx.
func (s *Source) Get(ctx context.Context, name string, version int) (*resolver.Secret, error) {
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
	switch {
	case ok && found.err != nil:
		return nil, found.err
	case !ok && len(d.unread) > 0:
		err := atMost(d.unread)
		if d.files != nil {
			err = fault.New(fault.Refused, "the file may hold the secret, so no other source is asked for it: mend the file, or name the source, such as vault:NAME", "%w", err)
		}
		return nil, err
	}
	d.tell(resolver.RecordOf(ctx))
	if !ok {
		return nil, fault.New(fault.Missing, "", "no secret %q in %s", name, s.where(d))
	}
	return &resolver.Secret{Source: scheme, Entries: slices.Clone(found.entries)}, nil
}

// tell notes what is wrong in the files, for a start that goes on.
func (d *dict) tell(r *resolver.Record) {
	told := 0
	for _, err := range d.unread[:min(len(d.unread), few)] {
		r.Note("dict: %v", err)
		told++
	}
	for _, name := range d.flawed[:min(len(d.flawed), few-told)] {
		r.Note("dict: %v", d.secrets[name].err)
		told++
	}
	if all := len(d.unread) + len(d.flawed); all > told {
		r.Note("dict: and %d more things are wrong", all-told)
	}
}

// atMost is the first few of errs as one error of one line.
func atMost(errs []error) error {
	all := errs[0]
	for _, err := range errs[1:min(len(errs), few)] {
		all = fmt.Errorf("%w; %w", all, err)
	}
	if len(errs) > few {
		all = fmt.Errorf("%w; and %d more files cannot be read", all, len(errs)-few)
	}
	return all
}

// where says what was searched.
func (s *Source) where(d *dict) string {
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
	d.add(s.path, data, parse)
	return d, nil
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
		d.files = append(d.files, f.Name())
		data, err := private.ReadIn(root, f.Name())
		if err != nil {
			d.unread = append(d.unread, gone(err))
			continue
		}
		d.add(filepath.Join(s.path, f.Name()), data, parse)
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
