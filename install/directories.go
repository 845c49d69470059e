// SPDX-License-Identifier: Apache-2.0

package install

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// record is the file that lists the directories which install made, one on a
// line. It is all that is remembered: everything else can be told from the
// files themselves. Without it empty directories stay, and no more.
//
// Whoever made the tree may have written it. So it counts only for directories
// that lead to a file of ours.
func (m *Machine) record() string {
	state := "/var/lib"
	if m.Rootless() {
		state = m.State
	}
	return filepath.Join(state, "oci-secrets", "directories")
}

// recorded returns the directories, each before those in it.
func (m *Machine) recorded() []string {
	text, _ := m.read(m.record())
	var list []string
	for line := range strings.Lines(string(text)) {
		list = append(list, strings.TrimSuffix(line, "\n"))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// remember writes the record at path, which is that of at.
func (m *Machine) remember(record string, list []string) error {
	c := Change{After: []byte(strings.Join(list, "\n") + "\n")}
	if err := m.at(record, c.write); err != nil {
		return refuse("", "%s: %w", m.Root+record, err)
	}
	return nil
}

// absent lists the directories that are to be made for the plan's files, each
// before those in it; and with them those for the record.
func (p *Plan) absent() ([]string, error) {
	record, err := p.m.real(p.m.record())
	if err != nil {
		return nil, err
	}
	missing := map[string]bool{}
	for _, c := range p.Changes {
		p.m.absent(missing, c.real)
	}
	if len(missing) > 0 {
		p.m.absent(missing, record)
	}
	return slices.Sorted(maps.Keys(missing)), nil
}

// absent adds the directories above path that are not there.
func (m *Machine) absent(missing map[string]bool, path string) {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if _, err := m.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			return
		}
		missing[dir] = true
	}
}

// makeDirectories makes the directories that the plan's files are in. They are
// recorded before they are made, so that what is cut off can be taken back.
func (p *Plan) makeDirectories() error {
	missing, err := p.absent() // now
	if err != nil || len(missing) == 0 {
		return err
	}
	record, err := p.m.real(p.m.record())
	if err != nil {
		return err
	}
	for _, dir := range missing {
		if isAbove(dir, record) {
			if err := p.m.makeDirectory(dir); err != nil {
				return err
			}
		}
	}
	list := append(p.m.recorded(), missing...)
	slices.Sort(list)
	if err := p.m.remember(record, slices.Compact(list)); err != nil {
		return err
	}
	for _, dir := range missing {
		if err := p.m.makeDirectory(dir); err != nil {
			return err
		}
	}
	return nil
}

// makeDirectory makes a directory that all may read, whatever the umask is.
func (m *Machine) makeDirectory(dir string) error {
	err := m.at(dir, func(path string) error {
		if err := os.Mkdir(path, 0o755); err != nil {
			return err
		}
		d, err := os.OpenFile(path, unix.O_NOFOLLOW|unix.O_DIRECTORY, 0) // chmod(2) follows links
		if err != nil {
			return err
		}
		return errors.Join(d.Chmod(0o755), d.Close())
	})
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return refuse("", "make the directory %s: %w", m.Root+dir, err)
	}
	return nil
}

func isAbove(dir, path string) bool { return strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/") }

// above are the directories that lead to what install may have written, for
// any engine.
func (p *Plan) above() map[string]bool {
	paths := []string{p.m.record()}
	for _, c := range p.Changes {
		paths = append(paths, c.real)
	}
	for _, name := range Engines() {
		if e, err := p.m.engine(name, Options{}); err == nil && name != "bundle" {
			for _, f := range e.files {
				paths = append(paths, f.path)
			}
		}
	}
	dirs := map[string]bool{}
	for _, path := range paths {
		// A directory that is not there any more leads nowhere.
		if dir, err := p.m.real(filepath.Dir(path)); err == nil {
			for ; dir != "/"; dir = filepath.Dir(dir) {
				dirs[dir] = true
			}
		}
	}
	return dirs
}

// empty lists the recorded directories in which nothing is when the plan's
// changes are made, the innermost first, and those that stay recorded.
func (p *Plan) empty() (dirs, kept []string, err error) {
	record, err := p.m.real(p.m.record())
	if err != nil {
		return nil, nil, err
	}
	gone := map[string]bool{}
	for _, c := range p.Changes {
		gone[c.real] = c.After == nil
		gone[backupOf(c.real)] = c.backup == restore || c.backup == discard
	}
	above := p.above()
	kept = p.m.recorded()
	look := func() {
		for _, dir := range slices.Backward(slices.Clone(kept)) {
			info, err := p.m.Lstat(dir)
			here := err == nil && info.IsDir()
			if here && (!above[dir] || slices.ContainsFunc(p.m.list(dir), func(name string) bool { return !gone[filepath.Join(dir, name)] })) {
				continue
			}
			if gone[dir] = true; here {
				dirs = append(dirs, dir)
			}
			kept = slices.DeleteFunc(kept, func(k string) bool { return k == dir })
		}
	}
	look()
	if !slices.ContainsFunc(kept, func(dir string) bool { return !isAbove(dir, record) }) { // the record has served
		gone[record] = true
		look()
	}
	return dirs, kept, nil
}

// removeDirectories removes the recorded directories in which nothing is any
// more, and the record when it has served. What is no directory, or not empty,
// the kernel leaves.
func (p *Plan) removeDirectories() error {
	record, err := p.m.real(p.m.record())
	if err != nil || len(p.m.recorded()) == 0 {
		return err
	}
	dirs, _, err := p.empty()
	if err != nil {
		return err
	}
	remove := func(aboveRecord bool) {
		for _, dir := range dirs {
			if isAbove(dir, record) == aboveRecord {
				_ = p.m.at(dir, unix.Rmdir) // it stays recorded
			}
		}
	}
	remove(false)
	_, kept, err := p.empty()
	if err != nil {
		return err
	}
	if slices.ContainsFunc(kept, func(dir string) bool { return !isAbove(dir, record) }) {
		return p.m.remember(record, kept)
	}
	if err := p.m.at(record, os.Remove); err != nil {
		return refuse("", "%s: %w", p.m.Root+record, err)
	}
	remove(true)
	return nil
}
