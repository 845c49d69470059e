// SPDX-License-Identifier: Apache-2.0

package install

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// record is the file that lists the directories which install made, one on a
// line. It is all that is remembered: everything else can be told from the
// files themselves. Without it empty directories stay, and no more.
func (m *Machine) record() string {
	state := "/var/lib"
	if m.Rootless() {
		state = m.State
	}
	return filepath.Join(state, "oci-secrets", "directories")
}

// recorded gives the directories, as they are found from outside of the tree.
func (m *Machine) recorded() []string {
	text, _ := m.read(m.record())
	var list []string
	for line := range strings.Lines(string(text)) {
		list = append(list, m.Root+strings.TrimSuffix(line, "\n"))
	}
	return list
}

// remember writes the record.
func (m *Machine) remember(record string, list []string) error {
	var text strings.Builder
	for _, dir := range list {
		text.WriteString(strings.TrimPrefix(dir, m.Root) + "\n")
	}
	c := Change{After: []byte(text.String()), real: record}
	if err := c.write(); err != nil {
		return refuse("", "%s: %w", record, err)
	}
	return nil
}

// makeDirectories makes the directories that the plan's files are in. They are
// recorded before they are made, so that what is cut off can be taken back.
func (p *Plan) makeDirectories() error {
	record, err := p.m.real(p.m.record())
	if err != nil {
		return err
	}
	var missing []string
	for _, c := range p.Changes {
		missing = append(missing, absent(filepath.Dir(c.real))...)
	}
	if len(missing) == 0 {
		return nil
	}
	missing = append(absent(filepath.Dir(record)), missing...)
	list := slices.Concat(p.m.recorded(), missing)
	slices.Sort(list) // a directory before those in it
	list = slices.Compact(list)
	for _, dir := range missing {
		if dir == record || strings.HasPrefix(record, dir+"/") {
			if err := makeDirectory(dir); err != nil {
				return err
			}
		}
	}
	if err := p.m.remember(record, list); err != nil {
		return err
	}
	for _, dir := range list {
		if slices.Contains(missing, dir) {
			if err := makeDirectory(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// makeDirectory makes a directory that all may read, whatever the umask is.
func makeDirectory(dir string) error {
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		return refuse("", "make a directory: %w", err)
	}
	return nil
}

// absent lists dir and the directories above it that are not there, the
// outermost first.
func absent(dir string) []string {
	var list []string
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			slices.Reverse(list)
			return list
		}
		list = append(list, dir)
	}
}

// removeDirectories removes the recorded directories in which nothing is any
// more, and the record when it has served.
func (p *Plan) removeDirectories() error {
	record, err := p.m.real(p.m.record())
	if err != nil {
		return err
	}
	list := p.m.recorded()
	if len(list) == 0 {
		return nil
	}
	kept := slices.Clone(list)
	remove := func() {
		for _, dir := range slices.Backward(list) {
			if err := os.Remove(dir); err == nil || errors.Is(err, fs.ErrNotExist) {
				kept = slices.DeleteFunc(kept, func(k string) bool { return k == dir })
			}
		}
	}
	remove()
	if slices.ContainsFunc(kept, func(dir string) bool { return !strings.HasPrefix(record, dir+"/") }) {
		return p.m.remember(record, kept)
	}
	if err := os.Remove(record); err != nil {
		return refuse("", "%w", err)
	}
	remove()
	return nil
}
