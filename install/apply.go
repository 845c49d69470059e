// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// backupOf is where the file is kept as it was before us.
func backupOf(path string) string { return path + ".before-oci-secrets" }

// Apply makes the changes in their order; each file is replaced at once. If one
// cannot be made, those before it are taken back.
func (p *Plan) Apply() error {
	if len(p.Changes) == 0 {
		return nil
	}
	if !p.remove {
		if err := p.makeDirectories(); err != nil {
			return err
		}
	}
	for i, c := range p.Changes {
		err := c.apply()
		if err == nil {
			continue
		}
		err = refuse("", "%s: %w", c.Path, err)
		for _, done := range slices.Backward(p.Changes[:i]) {
			if back := done.revert(); back != nil {
				err = errors.Join(err, refuse("", "%s: could not be put back: %w", done.Path, back))
			}
		}
		return errors.Join(err, p.removeDirectories())
	}
	if p.remove {
		return p.removeDirectories()
	}
	return nil
}

// apply makes one change.
func (c *Change) apply() error { return c.m.at(c.real, c.applyAt) }

// applyAt makes one change, of a file that is still as the plan saw it. path is
// that of at.
func (c *Change) applyAt(path string) error {
	now, err := c.read(path)
	if err != nil {
		return err
	}
	if !bytes.Equal(now, c.Before) {
		return errors.New("somebody else changes it at the same time")
	}
	switch {
	case c.backup == restore:
		// Where the machine stopped before the file was replaced, both are the
		// same file, and rename(2) then leaves both names.
		if err := os.Rename(backupOf(path), path); err != nil {
			return err
		}
		if err := os.Remove(backupOf(path)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	case c.After == nil:
		err = os.Remove(path)
	case c.link:
		err = c.writeLink(path)
	default:
		err = c.write(path)
	}
	if err == nil && c.backup == discard {
		err = os.Remove(backupOf(path))
	}
	return err
}

// revert takes a change back that was made.
func (c *Change) revert() error {
	back := Change{Path: c.Path, Before: c.After, After: c.Before, m: c.m, real: c.real, link: c.link}
	if c.backup == create {
		back.backup = restore
	}
	return back.apply()
}

// write puts a new file in the place of the old one: the same mode and owner,
// whole or not at all, also where the machine stops in between. Where the file
// is to be kept, it stays as it is under the backup's name.
func (c *Change) write(path string) (err error) {
	mode, uid, gid := fs.FileMode(0o644), -1, -1
	if info, err := os.Lstat(path); err == nil {
		mode = info.Mode().Perm()
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			uid, gid = int(st.Uid), int(st.Gid)
		}
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".oci-secrets-*") // which no engine's *.conf or *.toml finds
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(c.After)
	if err == nil && uid >= 0 {
		err = f.Chown(uid, gid)
	}
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if c.backup == create {
		if err := os.Remove(backupOf(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.Link(path, backupOf(path)); err != nil {
			return fmt.Errorf("keep it as it was: %w", err)
		}
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDirectory(dir)
}

func (c *Change) writeLink(path string) error {
	temp := filepath.Join(filepath.Dir(path), ".oci-secrets-link")
	_ = os.Remove(temp) // of a run that was cut off
	if err := os.Symlink(string(c.After), temp); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
