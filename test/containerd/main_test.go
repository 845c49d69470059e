// SPDX-License-Identifier: Apache-2.0

// Package containerd tests both ways into containerd, as a kubelet uses it (CRI)
// and by hand (ctr): the NRI plugin, and the runtime shim as the program of a
// runtime.
//
// Each test has a containerd of its own, in mount and pid namespaces of its own
// in which /run and /dev/shm are empty: containerd and its shims share places
// there with every other containerd of a host. Everything that the engine could
// write to can be searched, and with the namespaces' first process all of it
// ends, however the test run ends. Pods use the host's network, so that no CNI
// plugin is needed.
package containerd

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// base holds all that the tests write. Its name is also that of the control
// group of all their pods. It is short: a socket's path has 107 bytes.
var base string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if base, err = os.MkdirTemp("", "oci-secrets-ctd-"); err == nil {
		err = os.Chmod(base, 0o755) // a user of a container must pass
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	rig.Cleanup()
	left := removeCgroups()
	if err := os.RemoveAll(base); err != nil {
		left = append(left, err.Error())
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || bytes.Contains(mounts, []byte(base)) {
		left = append(left, "a mount below "+base)
	}
	if len(left) > 0 {
		fmt.Fprintln(os.Stderr, "left behind:", strings.Join(left, "\n"))
		code = 1
	}
	return code
}

// removeCgroups removes the control groups that containerd leaves behind, and
// gives those that it cannot, because a process is in them.
func removeCgroups() (left []string) {
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		dirs, _ := filepath.Glob(pattern + filepath.Base(base))
		for _, dir := range dirs {
			if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) { // some are the same group
				left = append(left, err.Error())
			}
		}
	}
	return left
}

// setUp is what a script below test/setup has built.
func setUp(t *testing.T, script string) string {
	t.Helper()
	rig.NeedRoot(t)
	if os.Getenv("OCI_SECRETS_TEST_ENGINES") == "" {
		t.Skip("this test runs a containerd, which takes minutes to build: make test-engines")
	}
	script = filepath.Join(rig.Root(t), "test/setup", script)
	out, err := exec.Command(script, "--path").Output()
	path := strings.TrimSpace(string(out))
	if err != nil {
		t.Fatalf("%s --path: %v", script, err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: build it with %s", err, script)
	}
	return path
}
