// SPDX-License-Identifier: Apache-2.0

package install

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Shim is the name by which the binary is the runtime shim.
const Shim = "oci-secrets-runtime"

// shim is the path of the shim, which stands beside the binary.
func (h Hook) shim() string { return filepath.Join(filepath.Dir(h.Path), Shim) }

// checkBinary refuses a binary that is not there, or that somebody else could
// replace: engines run it as root, or as the user. Nothing is written before.
func (m *Machine) checkBinary(path string) error {
	if !filepath.IsAbs(path) {
		return refuse("", "%s is not an absolute path", path)
	}
	full, err := m.real(path)
	if err != nil {
		return err
	}
	info, err := m.Lstat(full)
	switch {
	case err != nil:
		return refuse("put the binary there first; containers would start without their secrets", "%s: the binary is not there", m.Root+path)
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return refuse("chmod 0755 "+m.Root+full, "%s is not a program", m.Root+full)
	}
	if err := m.onlyOwn(path); err != nil {
		return err
	}
	if m.Run != nil && m.Root == "" {
		if out, err := m.Run(path, "--version"); err != nil || !strings.HasPrefix(out, "oci-secrets version ") {
			return refuse("", "%s is another program", path)
		}
	}
	return nil
}

// checkShim refuses a shim that is missing or is another program.
func (m *Machine) checkShim(h Hook) error {
	binary, err := m.real(h.Path)
	if err != nil {
		return err
	}
	hint := "ln -s " + filepath.Base(h.Path) + " " + m.Root + h.shim()
	shim, err := m.real(h.shim())
	if err != nil {
		return err
	}
	a, err := m.Lstat(shim)
	if err != nil {
		return refuse(hint, "%s, the runtime shim, is not there", m.Root+h.shim())
	}
	if b, err := m.Lstat(binary); err != nil || !os.SameFile(a, b) {
		return refuse(hint, "%s is another program than %s", m.Root+h.shim(), m.Root+h.Path)
	}
	return m.onlyOwn(h.shim())
}

// onlyOwn checks all that leads to a program: the directories above it, and
// above whatever a link on the way leads to.
func (m *Machine) onlyOwn(path string) error {
	for range 40 { // links, which is what the kernel follows
		dir, err := m.real(filepath.Dir(path))
		if err != nil {
			return err
		}
		here := filepath.Join(dir, filepath.Base(path))
		for at := here; ; at = filepath.Dir(at) {
			info, err := m.Lstat(at)
			if err != nil {
				return refuse("", "%s: %w", m.Root+at, err)
			}
			if err := onlyOwn(m.Root+at, info); err != nil {
				return err
			}
			if at == "/" {
				break
			}
		}
		target, err := m.Readlink(here)
		if err != nil {
			return nil //nolint:nilerr // it is no link
		}
		if path = target; !filepath.IsAbs(target) {
			path = filepath.Join(dir, target)
		}
	}
	return refuse("", "%s: too many symbolic links", path)
}

// onlyOwn refuses a file or directory that others than root and whoever installs
// can write or replace. In a directory with the sticky bit
// nobody replaces what is another's.
func onlyOwn(path string, info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return refuse("", "%s: its owner is not known", path)
	}
	if st.Uid != 0 && st.Uid != uint32(os.Geteuid()) {
		return refuse("chown root "+path, "%s belongs to uid %d, who could replace the binary", path, st.Uid)
	}
	link := info.Mode()&fs.ModeSymlink != 0 // whose mode means nothing
	sticky := info.IsDir() && info.Mode()&fs.ModeSticky != 0
	if mode := info.Mode().Perm(); mode&0o022 != 0 && !sticky && !link {
		return refuse("chmod go-w "+path, "%s has mode %04o, so others could replace the binary", path, mode)
	}
	return nil
}
