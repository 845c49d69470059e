// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/test/child"
)

// RunEngine runs the tests of an engine in a directory of their own, whose path
// it puts into base, and fails them where they leave anything behind. The
// directory's name is also that of the control group of all their containers. It
// is short: a socket's path has 107 bytes.
func RunEngine(m *testing.M, prefix string, base *string) int {
	dir, err := os.MkdirTemp("", prefix)
	if err == nil {
		err = os.Chmod(dir, 0o755) // a user of a container must pass
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	*base = dir
	code := m.Run()
	Cleanup()
	left := removeCgroups(filepath.Base(dir))
	if err := os.RemoveAll(dir); err != nil {
		left = append(left, err.Error())
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || bytes.Contains(mounts, []byte(dir)) {
		left = append(left, "a mount below "+dir)
	}
	if len(left) > 0 {
		fmt.Fprintln(os.Stderr, "left behind:", strings.Join(left, "\n"))
		code = 1
	}
	return code
}

// removeCgroups removes the control groups that an engine leaves behind, and
// gives those that it cannot, because a process is in them.
func removeCgroups(name string) (left []string) {
	for _, pattern := range []string{"/sys/fs/cgroup/*/" + name, "/sys/fs/cgroup/" + name} {
		found, _ := filepath.Glob(pattern)
		for _, top := range found {
			var dirs []string
			_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					dirs = append(dirs, path)
				}
				return nil
			})
			for _, dir := range slices.Backward(dirs) { // those below first
				if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) { // some are the same group
					left = append(left, err.Error())
				}
			}
		}
	}
	return left
}

// Engine is what a script below test/setup has built; the tests of engines are
// skipped where they are not asked for.
func Engine(tb testing.TB, script string) string {
	tb.Helper()
	NeedRoot(tb)
	if os.Getenv("OCI_SECRETS_TEST_ENGINES") == "" {
		tb.Skip("this test runs an engine that takes minutes to build: make test-engines")
	}
	script = filepath.Join(Root(tb), "test/setup", script)
	out, err := exec.Command(script, "--path").Output()
	path := strings.TrimSpace(string(out))
	if err != nil {
		tb.Fatalf("%s --path: %v", script, err)
	}
	if _, err := os.Stat(path); err != nil {
		tb.Fatalf("%v: build it with %s", err, script)
	}
	return path
}

// StartInNamespaces starts a command as the first process of mount and pid
// namespaces, with which all that it starts ends; it ends itself with this
// process. What it has to say is in the log.
func StartInNamespaces(tb testing.TB, cmd *exec.Cmd) *child.Process {
	tb.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID}
	first, err := child.Start(cmd)
	if err != nil {
		tb.Fatal(err)
	}
	return first
}

// EndFirst ends what StartInNamespaces started, in its own way if it can, and
// returns whether it could.
func EndFirst(first *child.Process) bool {
	_ = first.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-first.Exited:
		return true
	case <-time.After(patience):
		first.End()
		return false
	}
}

// Descendants are the processes that a process has started, and that those have.
func Descendants(pid int) (found []int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range files {
		children, _ := os.ReadFile(file)
		for _, c := range strings.Fields(string(children)) {
			child, err := strconv.Atoi(c)
			if err == nil && Alive(child) {
				found = append(found, child)
			}
			found = append(found, Descendants(child)...)
		}
	}
	return found
}
