// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Log is a system log that only the commands of one runtime see.
type Log struct {
	tb      testing.TB
	address *net.UnixAddr
	reached chan struct{} // that a mark was read

	mu             sync.Mutex
	failures, told []string // that nobody has seen yet
}

// ownDev mounts a /dev in which /dev/log is $1/log, at whose side it is made: the
// host may have no /dev/log to mount something on. What tests may name to a hook,
// /dev/shm, stays.
const ownDev = `set -e
log=$1
shift
mkdir -p "$log/dev"
mount -t tmpfs -o mode=755 tmpfs "$log/dev"
cd "$log/dev"
mknod -m 666 null c 1 3
mknod -m 666 zero c 1 5
mknod -m 666 full c 1 7
mknod -m 666 random c 1 8
mknod -m 666 urandom c 1 9
mknod -m 666 tty c 5 0
ln -s /proc/self/fd fd
ln -s /proc/self/fd/2 stderr
ln -s "$log/log" log
mkdir shm
mount --rbind /dev/shm shm
cd "$OLDPWD"
mount --move "$log/dev" /dev
exec "$@"`

// Log gives the runtime's commands, and the hooks and tracers they start, a
// /dev of their own with a log socket in it. It is read all the time, as a log
// daemon does: the kernel holds no more than net.unix.max_dgram_qlen lines, which
// are 10 on a fresh machine, and a hook does not wait for room.
func (r *Runtime) Log(tb testing.TB) *Log {
	tb.Helper()
	dir, err := os.MkdirTemp("", "log") //nolint:usetesting // short: a socket's path has 107 bytes
	if err != nil {
		tb.Fatal(err)
	}
	l := &Log{tb: tb, address: &net.UnixAddr{Name: filepath.Join(dir, "log"), Net: "unixgram"}, reached: make(chan struct{})}
	conn, err := net.ListenUnixgram("unixgram", l.address)
	if err != nil {
		tb.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.read(conn)
	}()
	tb.Cleanup(func() {
		_ = conn.Close()
		<-ended
		_ = os.RemoveAll(dir)
	})
	r.prefix = append([]string{"unshare", "-m", "sh", "-c", ownDev, "sh", dir}, r.prefix...)
	return l
}

// mark is what [Log.upTo] writes.
const mark = "mark"

func (l *Log) read(conn *net.UnixConn) {
	b := make([]byte, 64<<10)
	for {
		n, err := conn.Read(b)
		if err != nil { // the test has ended
			return
		}
		line := string(b[:n])
		if line == mark {
			l.reached <- struct{}{}
			continue
		}
		l.mu.Lock()
		if strings.HasPrefix(line, "<30>") { // daemon, info
			l.told = append(l.told, line)
		} else {
			l.failures = append(l.failures, line)
		}
		l.mu.Unlock()
	}
}

// upTo waits until all that was logged before is read, and takes the lines at list.
func (l *Log) upTo(list *[]string) []string {
	l.tb.Helper()
	conn, err := net.DialUnix("unixgram", nil, l.address)
	if err == nil {
		_, err = conn.Write([]byte(mark)) // it waits for room
		_ = conn.Close()
	}
	if err != nil {
		l.tb.Fatal(err)
	}
	<-l.reached
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := *list
	*list = nil
	return lines
}

// Lines are the failures that were logged since the last call. A line is there as
// soon as the process that logs it has gone on.
func (l *Log) Lines() []string {
	l.tb.Helper()
	return l.upTo(&l.failures)
}

// Deliveries are what was told, without being a failure, since the last call.
func (l *Log) Deliveries() []string {
	l.tb.Helper()
	return l.upTo(&l.told)
}
