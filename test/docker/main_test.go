// SPDX-License-Identifier: Apache-2.0

// Package docker tests the runtime shim under real dockers, as their users see
// it through the docker command line: the Docker 29 line, and 20.10, which has
// no annotations.
//
// Each test has a docker of its own: a dockerd, and the containerd that it
// starts, in mount and pid namespaces of their own in which /run and /dev/shm are
// empty. Nothing is shared with a docker of the host, everything that the
// engine could write to can be searched, and with the namespaces' first process
// all of it ends, however the test run ends. Containers use the host's network,
// so that no daemon touches its interfaces and rules.
package docker

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// base holds all that the tests write. Its name is also that of the control
// group of all their containers.
var base string

var archived sync.Once

// What differs between two runs: the id of a container, the pids that docker top
// shows, and the time that was waited.
var (
	pids      = regexp.MustCompile(`(?m)^ *[0-9]+ +`)
	ids       = regexp.MustCompile(`[0-9a-f]{64}`)
	durations = regexp.MustCompile(`after [0-9.]+m?s`)
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if base, err = os.MkdirTemp("", "oci-secrets-docker-"); err == nil {
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

// removeCgroups removes the control groups that docker leaves behind, and gives
// those that it cannot, because a process is in them.
func removeCgroups() (left []string) {
	name := filepath.Base(base)
	for _, pattern := range []string{"/sys/fs/cgroup/*/" + name + "/*/", "/sys/fs/cgroup/" + name + "/*/", "/sys/fs/cgroup/*/" + name, "/sys/fs/cgroup/" + name} {
		dirs, _ := filepath.Glob(pattern)
		for _, dir := range dirs {
			if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) { // some are the same group
				left = append(left, err.Error())
			}
		}
	}
	return left
}
