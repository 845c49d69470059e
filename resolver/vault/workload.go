// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/private"
	"github.com/oci-secrets/oci-secrets/spec"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// maxJWT is the size of the largest token that is read.
const maxJWT = 64 << 10

// workload is who a container is to Kubernetes. It stands in the token of its
// service account, as the kubelet wrote it into a volume of the pod; what
// annotations say of it is not asked.
type workload struct {
	token              resolver.Value
	namespace, account string
}

// podUIDs are the annotations in which CRI engines themselves write the pod's
// uid. They can only contradict.
var podUIDs = []string{"io.kubernetes.cri.sandbox-uid", "io.kubernetes.pod.uid"}

var uid = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

func (a Auth) checkWorkload() error {
	for _, p := range []struct{ key, path string }{{"workload_token", a.WorkloadToken}, {"kubelet", a.Kubelet}} {
		if p.path != "" && !path.IsAbs(p.path) {
			return settings("vault: %s %q: it must be an absolute path", p.key, p.path)
		}
	}
	return nil
}

// workload finds the container's workload, once.
func (s *Source) workload() (*workload, error) {
	s.facts.found.Do(func() {
		w, err := s.findWorkload()
		s.facts.workload = func() (*workload, error) { return w, err }
	})
	return s.facts.workload()
}

func (s *Source) findWorkload() (*workload, error) {
	if s.container.Spec == nil {
		return nil, fault.New(fault.Delivery, "explain takes --bundle DIR for a container", "vault: there is no container here, and so no workload")
	}
	doc, err := s.container.Spec()
	if err != nil {
		return nil, err
	}
	mounts, err := doc.Mounts()
	if err != nil {
		return nil, err
	}
	token := path.Clean(cmp.Or(s.config.Auth.WorkloadToken, serviceAccountToken))
	source, name, err := volumeOf(mounts, token)
	if err != nil {
		return nil, err
	}
	volume, pod, err := openVolume(filepath.Clean(cmp.Or(s.config.Auth.Kubelet, "/var/lib/kubelet")), source)
	if err != nil {
		return nil, err
	}
	defer func() { _ = volume.Close() }() // only read from
	jwt, err := readProjected(volume, source, name)
	if err != nil {
		return nil, err
	}
	w, tokens, err := parseWorkload(jwt)
	if err != nil {
		return nil, noWorkload("", "%s: %s", filepath.Join(source, name), err)
	}
	if tokens != pod {
		return nil, noWorkload("", "%s is in the volume of pod %s, and is the token of another pod", filepath.Join(source, name), pod)
	}
	annotations, err := doc.Annotations()
	if err != nil {
		return nil, err
	}
	for _, key := range podUIDs {
		if says, ok := annotations[key]; ok && says != pod {
			return nil, noWorkload("", "the engine says with %s that the container is of another pod than %s, whose volume it mounts", key, pod)
		}
	}
	return w, nil
}

// noWorkload is the fault of a container that has no workload identity, or not
// one that can be believed. There is no other to log in with: that of the host
// may do more.
func noWorkload(hint, format string, args ...any) error {
	return fault.New(fault.Refused, hint, "vault: the container has no workload identity: "+format, args...)
}

// volumeOf finds the directory of the host's that a container sees above token,
// and the name of token in it.
func volumeOf(mounts []spec.Mount, token string) (source, name string, err error) {
	for _, m := range slices.Backward(mounts) { // a later one lies over those before it
		destination := path.Clean(m.Destination)
		name, below := strings.CutPrefix(token, strings.TrimSuffix(destination, "/")+"/")
		switch {
		case !path.IsAbs(destination) || !below && destination != token:
			continue
		case !below || m.Type != "bind":
			return "", "", noWorkload("", "what is mounted at %s is not a volume that the kubelet projected", clean(destination))
		}
		return m.Source, name, nil
	}
	return "", "", noWorkload("set automountServiceAccountToken for the pod, or workload_token to where it has its token", "nothing is mounted above %s", token)
}

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
	if !below || path.Clean(source) != source || len(parts) != 5 || parts[0] != "pods" || !uid.MatchString(parts[1]) ||
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
	if !ours(above) || above.Mode&0o022 != 0 {
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
		case !ours(here) || !last && here.Mode&0o022 != 0:
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

// ours reports whether root owns it, or the user whose kubelet it would be: who
// we run as.
func ours(st unix.Stat_t) bool { return private.Trusts(st.Uid) }

func inMemory(root *os.Root) bool {
	dir, err := root.Open(".")
	if err != nil {
		return false
	}
	defer func() { _ = dir.Close() }() // only looked at
	var st unix.Statfs_t
	return unix.Fstatfs(int(dir.Fd()), &st) == nil && (st.Type == unix.TMPFS_MAGIC || st.Type == unix.RAMFS_MAGIC)
}

// readProjected reads a file of a volume. Its name leads through the kubelet's
// links, which are relative; none leads out. The file itself may belong to the
// container's user.
func readProjected(volume *os.Root, source, name string) (string, error) {
	full := filepath.Join(source, name)
	entries, err := fs.ReadDir(volume.FS(), ".")
	if err != nil {
		return "", noWorkload("", "%s cannot be read: %s", source, reason(err))
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return "", noWorkload("", "%s cannot be read: %s", full, reason(err))
		}
		if st := info.Sys().(*syscall.Stat_t); !private.Trusts(st.Uid) || info.IsDir() && info.Mode()&0o022 != 0 {
			return "", noWorkload("", "%s is not the kubelet's alone", filepath.Join(source, clean(e.Name())))
		}
	}
	f, err := volume.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
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
	data, err := io.ReadAll(io.LimitReader(f, maxJWT+1))
	if err != nil || len(data) > maxJWT {
		return "", noWorkload("", "%s cannot be read, or is larger than %d bytes", full, maxJWT)
	}
	return strings.TrimRight(string(data), "\r\n"), nil
}

// parseWorkload reads what a service-account token says, and of which pod.
func parseWorkload(jwt string) (w *workload, pod string, err error) {
	c, err := claimsOf(jwt)
	if err != nil {
		return nil, "", err
	}
	var k struct {
		Namespace      string `json:"namespace"`
		Pod            struct{ UID string }
		ServiceAccount struct{ Name string }
	}
	if c.Kubernetes == nil || json.Unmarshal(c.Kubernetes, &k) != nil || k.Namespace == "" || k.Pod.UID == "" || k.ServiceAccount.Name == "" {
		return nil, "", errors.New("it is not the token of a service account that is bound to a pod")
	}
	return &workload{resolver.NewValue(jwt), k.Namespace, k.ServiceAccount.Name}, k.Pod.UID, nil
}
