// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/resolver/private"
)

// maxJWT is the size of the largest token that is read.
const maxJWT = 64 << 10

// openVolume opens a volume that a kubelet has projected for a pod, and gives
// the pod's uid. The way to it has no symbolic link and nobody else can write
// there, and it is a file system of its own in memory, as the kubelet mounts
// one.
func openVolume(kubelet, source string) (volume *os.Root, pod string, err error) {
	not := func(why string) error {
		return noWorkload("set kubelet to the kubelet's directory on this host", "%s %s", clean(source), why)
	}
	// An engine may have resolved the links that lead to the kubelet's directory.
	at, err := filepath.EvalSymlinks(kubelet)
	if err != nil {
		return nil, "", noWorkload("set kubelet to the kubelet's directory on this host", "the kubelet's directory %s: %s", kubelet, reason(err))
	}
	rest, below := strings.CutPrefix(source, kubelet+"/")
	if !below {
		rest, below = strings.CutPrefix(source, at+"/")
	}
	parts := strings.Split(rest, "/")
	if !below || path.Clean(source) != source || len(parts) != 5 || parts[0] != "pods" || !only(parts[1], alphanumeric+"-") ||
		parts[2] != "volumes" || parts[3] != "kubernetes.io~projected" {
		return nil, "", not("is not " + kubelet + "/pods/<uid>/volumes/kubernetes.io~projected/<name>")
	}
	root, err := os.OpenRoot(at)
	if err != nil {
		return nil, "", not("cannot be opened: " + reason(err))
	}
	defer func() { _ = root.Close() }() // the last one but volume
	above, err := stat(root)
	if err != nil {
		return nil, "", not("cannot be looked at: " + reason(err))
	}
	if !rootsOrOurs(above) || above.Mode&0o022 != 0 {
		return nil, "", not("is below " + at + ", where others can write")
	}
	for i, part := range parts {
		link, err := root.Lstat(part)
		if err != nil {
			return nil, "", not("cannot be opened: " + reason(err))
		}
		if !link.IsDir() {
			return nil, "", not("leads through " + part + ", which is no directory")
		}
		next, err := root.OpenRoot(part)
		if err != nil {
			return nil, "", not("cannot be opened: " + reason(err))
		}
		here, err := stat(next)
		last := i == len(parts)-1
		switch {
		case err != nil:
			err = not("cannot be looked at: " + reason(err))
		case here.Ino != link.Sys().(*syscall.Stat_t).Ino || uint64(here.Dev) != link.Sys().(*syscall.Stat_t).Dev: //nolint:unconvert // its type differs
			err = not("was replaced meanwhile")
		case !rootsOrOurs(here) || !last && here.Mode&0o022 != 0:
			err = not("is in " + part + ", where others can write")
		case last && (here.Dev == above.Dev || !inMemory(next)):
			err = not("is not a file system in memory of its own, as the kubelet mounts")
		case last && here.Mode&0o022 != 0 && here.Mode&unix.S_ISVTX == 0: // the kubelet's has 01777
			err = not("is a directory where others can write")
		}
		if err != nil {
			_ = next.Close() // nothing was written
			return nil, "", err
		}
		if last {
			return next, parts[1], nil
		}
		_ = root.Close() // nothing was written
		root, above = next, here
	}
	return nil, "", not("has no name")
}

func stat(root *os.Root) (st unix.Stat_t, err error) {
	dir, err := root.Open(".")
	if err != nil {
		return st, err
	}
	defer func() { _ = dir.Close() }() // only looked at
	return st, unix.Fstat(int(dir.Fd()), &st)
}

// rootsOrOurs reports whether root owns it, or the user whose kubelet it would be: who
// we run as.
func rootsOrOurs(st unix.Stat_t) bool { return private.Trusts(st.Uid) }

func inMemory(root *os.Root) bool {
	dir, err := root.Open(".")
	if err != nil {
		return false
	}
	defer func() { _ = dir.Close() }() // only looked at
	var st unix.Statfs_t
	return unix.Fstatfs(int(dir.Fd()), &st) == nil && (st.Type == unix.TMPFS_MAGIC || st.Type == unix.RAMFS_MAGIC)
}

// openData opens the directory with a volume's files. The kubelet's link ..data
// leads to it, and is replaced when they change: both must be the kubelet's alone.
func openData(volume *os.Root, source string) (*os.Root, error) {
	const name = "..data"
	at := filepath.Join(source, name)
	link, err := volume.Lstat(name)
	if err != nil {
		return nil, noWorkload("", "%s cannot be read: %s", at, reason(err))
	}
	data, err := volume.OpenRoot(name)
	if err != nil {
		return nil, noWorkload("", "%s cannot be read: %s", at, reason(err))
	}
	st, err := stat(data)
	if err == nil && rootsOrOurs(st) && st.Mode&0o022 == 0 && private.Trusts(link.Sys().(*syscall.Stat_t).Uid) {
		return data, nil
	}
	_ = data.Close() // nothing was written
	return nil, noWorkload("", "%s is not the kubelet's alone", at)
}

// readProjected reads a file of a volume, where the kubelet has it. The visible
// link that leads there is not asked: kubelets from 1.36 on give it to the user
// whom all containers of a pod run as, as they do the file. No link leads out.
func readProjected(volume *os.Root, source, name string) (string, error) {
	full := filepath.Join(source, name)
	data, err := openData(volume, source)
	if err != nil {
		return "", err
	}
	defer func() { _ = data.Close() }() // only read from
	f, err := data.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return "", noWorkload("", "%s cannot be read: %s", full, reason(err))
	}
	defer func() { _ = f.Close() }() // only read from
	info, err := f.Stat()
	if err != nil {
		return "", noWorkload("", "%s cannot be read: %s", full, reason(err))
	}
	if !info.Mode().IsRegular() || info.Mode()&0o022 != 0 {
		return "", noWorkload("", "%s has mode %s, and must be a file that nobody else can write", full, info.Mode())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxJWT+1))
	if err != nil || len(text) > maxJWT {
		return "", noWorkload("", "%s cannot be read, or is larger than %d bytes", full, maxJWT)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}
