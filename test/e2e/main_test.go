// SPDX-License-Identifier: Apache-2.0

// Package e2e tests the whole of in-flight delivery against real runtimes:
// what arrives in a container, what does not leave the hook and the tracer,
// and that nothing ever runs without its secrets.
package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// base is where everything of this run is: bundles, state, programs.
var base string

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == subreaperArg {
		os.Exit(adopt(os.Args[2:]))
	}
	if len(os.Args) > 3 && os.Args[1] == threadArg {
		os.Exit(execInThread(os.Args[2], os.Args[3:]))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("/var/tmp", "oci-secrets-e2e-") // not /tmp: see rig.NewRuntime
	if err == nil {
		err = os.Chmod(dir, 0o755) // a user namespace's root must pass
	}
	if err == nil {
		err = os.Setenv("TMPDIR", dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	base = dir
	code := m.Run()
	left := leftovers()
	for deadline := time.Now().Add(10 * time.Second); len(left) > 0 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		left = leftovers() // a process that was killed needs a moment
	}
	for _, l := range left {
		fmt.Fprintln(os.Stderr, "left behind:", l)
		code = 1
	}
	rig.Cleanup()
	if err := os.RemoveAll(base); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// leftovers are the processes that run a program of ours or live in a
// container of ours, and our mounts.
func leftovers() []string {
	var left []string
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range bytes.Lines(mounts) {
		if bytes.Contains(line, []byte(base)) {
			left = append(left, "mount "+string(bytes.TrimSpace(line)))
		}
	}
	for _, pid := range processes() {
		dir := filepath.Join("/proc", strconv.Itoa(pid))
		exe, _ := os.Readlink(dir + "/exe")
		theirs, _ := os.ReadFile(dir + "/mountinfo")
		if bytes.HasPrefix([]byte(exe), []byte(base)) || pid != os.Getpid() && bytes.Contains(theirs, []byte(base)) {
			comm, _ := os.ReadFile(dir + "/comm")
			left = append(left, fmt.Sprintf("process %d %s (%s)", pid, bytes.TrimSpace(comm), exe))
		}
	}
	return left
}

func processes() []int {
	var pids []int
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && rig.Alive(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}
