// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Create creates the container of a bundle and gives the pid of its init.
func (r *Runtime) Create(tb testing.TB, b *Bundle) int {
	tb.Helper()
	r.wantSeen(tb, b)
	MustRun(tb, r.Argv("create", "--bundle", b.Dir, b.ID)...)
	return r.PID(tb, b.ID)
}

// Start starts a container that was created.
func (r *Runtime) Start(tb testing.TB, b *Bundle) {
	tb.Helper()
	MustRun(tb, r.Argv("start", b.ID)...)
}

// Delete deletes a container, running or not.
func (r *Runtime) Delete(tb testing.TB, b *Bundle) {
	tb.Helper()
	MustRun(tb, r.Argv("delete", "--force", b.ID)...)
}

// Out mounts a directory of the host's at /out, where anybody in the container
// may write, and gives its path. It is not below the bundle, where values must
// not be found.
func (b *Bundle) Out(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil { // the container's user is any
		tb.Fatal(err)
	}
	b.Spec.Mounts = append(b.Spec.Mounts, specs.Mount{
		Destination: "/out", Type: "bind", Source: dir, Options: []string{"bind", "rw"},
	})
	return dir
}

// ReadReport reads what the payload wrote to a file; ok is false where it is
// not there.
func ReadReport(tb testing.TB, path string) (r Report, ok bool) {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		return Report{}, false
	}
	return ParseReport(tb, string(b)), true
}

// AwaitReport waits for the payload's file.
func AwaitReport(tb testing.TB, path string) Report {
	tb.Helper()
	var r Report
	Eventually(tb, "the container writes "+path, func() (ok bool) {
		r, ok = ReadReport(tb, path)
		return ok
	})
	return r
}

// TracerOf is the pid of the process that traces pid; 0 for none.
func TracerOf(tb testing.TB, pid int) int {
	tb.Helper()
	n, err := strconv.Atoi(StatusField(pid, "TracerPid"))
	if err != nil {
		tb.Fatalf("process %d has no tracer to tell: %v", pid, err)
	}
	return n
}

// StatusField is a field of /proc/PID/status; empty where there is none.
func StatusField(pid int, field string) string {
	b, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// Alive reports whether there is a process of that pid which has not ended. One
// that nobody has waited for yet has ended; one whose first thread alone has, as for
// a moment where it was killed, has not.
func Alive(pid int) bool {
	state := StatusField(pid, "State")
	if state != "" && state[0] == 'Z' {
		threads, _ := strconv.Atoi(StatusField(pid, "Threads")) // of one that went meanwhile there is nothing
		return threads > 1
	}
	return state != "" && state[0] != 'X'
}

// AwaitEnd waits for the end of a process.
func AwaitEnd(tb testing.TB, what string, pid int) {
	tb.Helper()
	Eventually(tb, what+" ends", func() bool { return !Alive(pid) })
}
