// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/rogpeppe/go-internal/diff"
)

// Options are what the operator asks for.
type Options struct {
	Hook    Hook
	Default bool   // let the engine use the shim for every container
	Bundle  string // the directory of a bundle
	NRI     bool   // containerd: also start the NRI plugin
	File    string // containerd: its configuration; "" for the usual place
}

// engine is what one engine is told: files, in the order in which they are
// written.
type engine struct {
	files  []file
	notes  []string // what the operator must know
	reload *reload  // nil: it reads its configuration each time

	// ask asks the engine what install must know of it; nil for nothing. What is
	// installed can be taken back when the engine is gone.
	ask func() error
}

// file is a file of an engine, and how we get into it and out.
type file struct {
	path string
	link bool // a symbolic link; its text is its target

	// with gives the text that has what is ours, from the text that is there
	// (nil for no file). Applied to its own result it changes nothing.
	with func(text []byte) ([]byte, error)

	// without takes what is ours out again. original is what was there before
	// us where that is known, and nil where there was no file. A file that is
	// then empty and was not there is to be nil.
	without func(text, original []byte) ([]byte, error)
}

// Change is what becomes of one file.
type Change struct {
	Path          string
	Before, After []byte // nil for no file

	m      *Machine
	real   string // where the file is, in the tree
	link   bool
	backup backup
}

// backup says what happens to the file's backup, which is the file itself as it
// was: a second link to it.
type backup int

const (
	leave   backup = iota
	create         // the file is the operator's, and becomes the backup
	restore        // the backup becomes the file again
	discard        // the backup is of no use any more
)

// Plan is all that one command is going to do. Making it changes nothing.
type Plan struct {
	Engine  string
	Changes []Change // those that change something, in the order of Apply
	Notes   []string

	m       *Machine
	remove  bool
	reload  *reload
	missing []string // the directories that must be made, the outermost first
	emptied []string // those that install made and that are then empty, the innermost first
}

// Engines are the names of the engines that can be told.
func Engines() []string { return []string{"podman", "docker", "containerd", "crio", "bundle"} }

// engine gives what the engine called name is told.
func (m *Machine) engine(name string, o Options) (*engine, error) {
	switch name {
	case "podman":
		return m.podman(o)
	case "docker":
		return m.docker(o)
	case "containerd":
		return m.containerd(o)
	case "crio":
		return m.crio(o)
	case "bundle":
		return m.bundle(o)
	}
	return nil, refuse("", "unknown engine %q", name)
}

// Install plans to tell an engine. What the engine is going to run is checked
// first: podman starts a container without a word where its hook is missing.
func (m *Machine) Install(name string, o Options) (*Plan, error) {
	if err := m.checkBinary(o.Hook.Path); err != nil {
		return nil, err
	}
	if name != "bundle" {
		if err := m.checkShim(o.Hook); err != nil {
			return nil, err
		}
	}
	e, err := m.engine(name, o)
	if err != nil {
		return nil, err
	}
	if e.ask != nil {
		if err := e.ask(); err != nil {
			return nil, err
		}
	}
	p := &Plan{Engine: name, m: m, reload: e.reload}
	for _, f := range e.files {
		c, err := m.change(f)
		if err != nil {
			return nil, err
		}
		if c.After, err = f.with(c.Before); err != nil {
			return nil, fmt.Errorf("%s: %w", m.Root+f.path, err)
		}
		if c.Before != nil && !f.link {
			// What has nothing of ours in it is what there was before us.
			if bare, err := f.without(c.Before, nil); err == nil && bytes.Equal(bare, c.Before) {
				c.backup = create
			}
		}
		p.add(c)
	}
	p.Notes = e.notes
	p.missing, err = p.absent()
	return p, err
}

// Uninstall plans to take back what Install did, in the other order.
func (m *Machine) Uninstall(name string, o Options) (*Plan, error) {
	e, err := m.engine(name, o)
	if err != nil {
		return nil, err
	}
	p := &Plan{Engine: name, m: m, remove: true, reload: e.reload}
	for _, f := range slices.Backward(e.files) {
		c, err := m.change(f)
		if err != nil {
			return nil, err
		}
		if c.Before == nil {
			continue
		}
		original, err := m.read(backupOf(c.real))
		if err != nil {
			return nil, refuse("", "%s: %w", backupOf(c.Path), err)
		}
		if c.After, err = f.without(c.Before, original); err != nil {
			return nil, fmt.Errorf("%s: %w", m.Root+f.path, err)
		}
		switch {
		case original == nil:
		case bytes.Equal(c.After, original):
			c.backup = restore
		default:
			c.backup = discard
		}
		p.add(c)
	}
	p.emptied, _, err = p.empty()
	return p, err
}

// change is that of a file, with the text that is there.
func (m *Machine) change(f file) (Change, error) {
	c := Change{Path: m.Root + f.path, m: m, link: f.link}
	var err error
	if f.link {
		var dir string
		if dir, err = m.real(filepath.Dir(f.path)); err != nil {
			return c, err
		}
		c.real = filepath.Join(dir, filepath.Base(f.path))
	} else if c.real, err = m.real(f.path); err != nil {
		return c, err
	}
	err = m.at(c.real, func(path string) error {
		c.Before, err = c.read(path)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // the directory
		return c, refuse("", "%s: %w", c.Path, err)
	}
	return c, nil
}

// read returns the text as it is now at path, which is that of at.
func (c *Change) read(path string) ([]byte, error) {
	if !c.link {
		return readFile(path)
	}
	target, err := os.Readlink(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, syscall.EINVAL):
		return nil, errors.New("it is there, and is no link")
	}
	return []byte(target), err
}

func (p *Plan) add(c Change) {
	same := bytes.Equal(c.Before, c.After) && (c.Before == nil) == (c.After == nil)
	if !same || c.backup == restore || c.backup == discard {
		p.Changes = append(p.Changes, c)
	}
}

// String says what is done.
func (c *Change) String() string {
	switch {
	case c.backup == create:
		return "changed " + c.Path + " (as it was: " + backupOf(c.Path) + ")"
	case c.backup == restore:
		return "put back " + c.Path
	case c.Before == nil:
		return "made " + c.Path
	case c.After == nil:
		return "removed " + c.Path
	}
	return "changed " + c.Path
}

// Print writes the changes as a unified diff, and the directories that come and go.
func (p *Plan) Print(w io.Writer) error {
	for _, dir := range p.missing {
		if _, err := fmt.Fprintln(w, "make the directory "+p.m.Root+dir); err != nil {
			return err
		}
	}
	for _, c := range p.Changes {
		before, after := c.Path, c.Path
		if c.Before == nil {
			before = "/dev/null"
		}
		if c.After == nil {
			after = "/dev/null"
		}
		if c.link {
			c.Before, c.After = line(c.Before), line(c.After)
		}
		if _, err := w.Write(diff.Diff(before, c.Before, after, c.After)); err != nil {
			return err
		}
	}
	for _, dir := range p.emptied {
		if _, err := fmt.Fprintln(w, "remove the directory "+p.m.Root+dir); err != nil {
			return err
		}
	}
	return nil
}

// line is the text of a link as a line of a diff.
func line(target []byte) []byte {
	if target == nil {
		return nil
	}
	return []byte("symbolic link to " + string(target) + "\n")
}
