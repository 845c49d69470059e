// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Log is a system log that only the commands of one runtime see.
type Log struct {
	fd int
	tb testing.TB

	failures, told []string // that nobody has seen yet
}

// Log gives the runtime's commands, and the hooks and tracers they start, a
// /dev of their own with a log socket in it.
func (r *Runtime) Log(tb testing.TB) *Log {
	tb.Helper()
	dir, err := os.MkdirTemp("", "log") //nolint:usetesting // short: a socket's path has 107 bytes
	if err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(dir, "log")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = unix.Close(fd)
		_ = os.RemoveAll(dir)
	})
	const script = `set -e
log=$1
shift
mount -t tmpfs -o mode=755 tmpfs /dev
mknod -m 666 /dev/null c 1 3
mknod -m 666 /dev/zero c 1 5
mknod -m 666 /dev/full c 1 7
mknod -m 666 /dev/random c 1 8
mknod -m 666 /dev/urandom c 1 9
mknod -m 666 /dev/tty c 5 0
ln -s /proc/self/fd /dev/fd
ln -s /proc/self/fd/2 /dev/stderr
ln -s "$log" /dev/log
exec "$@"`
	r.prefix = append([]string{"unshare", "-m", "sh", "-c", script, "sh", path}, r.prefix...)
	return &Log{fd: fd, tb: tb}
}

// Lines are the failures that were logged since the last call. A line is there as
// soon as the process that logs it has gone on.
func (l *Log) Lines() []string {
	l.tb.Helper()
	l.read()
	lines := l.failures
	l.failures = nil
	return lines
}

// Deliveries are what was told, without being a failure, since the last call.
func (l *Log) Deliveries() []string {
	l.tb.Helper()
	l.read()
	lines := l.told
	l.told = nil
	return lines
}

func (l *Log) read() {
	b := make([]byte, 64<<10)
	for {
		n, _, err := unix.Recvfrom(l.fd, b, 0)
		if err != nil { // EAGAIN: there are no more
			return
		}
		if line := string(b[:n]); strings.HasPrefix(line, "<30>") { // daemon, info
			l.told = append(l.told, line)
		} else {
			l.failures = append(l.failures, line)
		}
	}
}
