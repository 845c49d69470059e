// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// RunAsUser is the user of all containers of the pods here, as of most that are
// meant to be safe: the kubelet gives them the token, and from 1.36 on the visible
// link to it as well.
const RunAsUser = 1000

// Kubelet is a directory with volumes as a kubelet makes them. The test must run
// as root.
type Kubelet struct{ Dir string }

// NewKubelet makes the directory.
func NewKubelet(t testing.TB) *Kubelet {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a kubelet mounts: run it as root")
	}
	k := &Kubelet{filepath.Join(t.TempDir(), "kubelet")}
	if err := os.Mkdir(k.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return k
}

// Project makes a pod's volume with the token of its service account, and gives
// the volume's directory: the source of a mount.
func (k *Kubelet) Project(t testing.TB, podUID, jwt string) string {
	t.Helper()
	volume := filepath.Join(k.Dir, "pods", podUID, "volumes", "kubernetes.io~projected", "kube-api-access-x7k2p")
	if err := os.MkdirAll(volume, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", volume, "tmpfs", 0, "size=64k"); err != nil { // and so its mode is 01777
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(volume, unix.MNT_DETACH) }) // a test may have done so
	const data = "..2026_01_02_03_04_05.0123456789"
	if err := os.Mkdir(filepath.Join(volume, data), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(data, filepath.Join(volume, "..data")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"token": jwt, "namespace": "default", "ca.crt": ""} {
		if err := os.WriteFile(filepath.Join(volume, data, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("..data/"+name, filepath.Join(volume, name)); err != nil {
			t.Fatal(err)
		}
	}
	// As AtomicWriter of k8s.io/kubernetes/pkg/volume/util has it.
	token := filepath.Join(volume, data, "token")
	if err := os.Chmod(token, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{token, filepath.Join(volume, "token")} {
		if err := os.Lchown(path, RunAsUser, -1); err != nil {
			t.Fatal(err)
		}
	}
	return volume
}
