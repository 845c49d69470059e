// SPDX-License-Identifier: Apache-2.0

package install

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/spec/limit"
)

// TestTooLong has deadlines that the settings may have, and engines that do not wait
// for them.
func TestTooLong(t *testing.T) {
	m := &Machine{Root: t.TempDir()}
	const anew = " at most, or install the hook anew"
	tell := func(name, engine string, deadline time.Duration, want string) {
		t.Helper()
		if got := m.TooLong(engine, deadline); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, engine := range []string{"docker", "podman", "bundle", "runc"} {
		tell(engine, engine, limit.Deadline, "")
	}
	tell("kubelet", "containerd", 115*time.Second, "")
	tell("kubelet", "crio", limit.Deadline, "the settings have a deadline of 2m20s, and crio gives a start up after 2m0s: set it to 1m55s at most, or raise runtimeRequestTimeout of the kubelet")

	hook := filepath.Join(m.Root, systemHooks, "oci-secrets.json")
	if err := os.MkdirAll(filepath.Dir(hook), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hook, []byte(`{"version":"1.0.0","hook":{"path":"/b/oci-secrets","timeout":60}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	tell("of another release", "podman", 55*time.Second, "")
	tell("of another release", "podman", time.Minute, "the settings have a deadline of 1m0s, and podman gives a start up after 1m0s: set it to 55s"+anew)
}
