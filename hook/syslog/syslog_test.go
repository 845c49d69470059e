// SPDX-License-Identifier: Apache-2.0

package syslog

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// daemon listens as a log daemon does.
func daemon(t *testing.T) (path string, conn *net.UnixConn) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "log")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return path, conn
}

func TestRecord(t *testing.T) {
	tests := map[string]struct{ msg, want string }{
		"plain":                            {"container refused: no db", "container refused: no db"},
		"control characters":               {"a\nb\x00c\x1b[2Jd\x7fe\tf", `a\u000ab\u0000c\u001b[2Jd\u007fe\u0009f`},
		"a line that looks like another's": {"a\n<24>sshd[1]: b", `a\u000a<24>sshd[1]: b`},
		"controls above ASCII, and none":   {"\u009b2Ja\x9bb\u202ec", `\u009b2Ja` + "\ufffd" + `b\u202ec`},
		"other letters":                    {"größer 中", "größer 中"},
		"percent":                          {"100%s %d", "100%s %d"},
		"empty":                            {"", ""},
		"long":                             {strings.Repeat("x", 60_000), strings.Repeat("x", 60_000)},
	}
	path, conn := daemon(t)
	buf := make([]byte, 1<<17)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := send(path, record(notice, tt.msg)); err != nil {
				t.Fatal(err)
			}
			if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			n, err := conn.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("<30>oci-secrets[%d]: %s", os.Getpid(), tt.want); string(buf[:n]) != want {
				t.Errorf("got %q, want %q", buf[:n], want)
			}
		})
	}
}

// TestSendNeverBlocks fills the queue of a daemon that does not read.
func TestSendNeverBlocks(t *testing.T) {
	path, _ := daemon(t)
	done := make(chan error, 1)
	go func() {
		for {
			if err := send(path, []byte("<27>x")); err != nil {
				done <- err
				return
			}
		}
	}()
	select {
	case err := <-done:
		if !errors.Is(err, syscall.EAGAIN) {
			t.Errorf("a full log gives %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("a full log blocks")
	}
}

func TestSendWithoutDaemon(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "nowhere"), filepath.Join(dir, "file"), strings.Repeat("x", 200)} {
		if err := send(path, []byte("<27>x")); err == nil {
			t.Errorf("sent to %s", path)
		}
	}
}
