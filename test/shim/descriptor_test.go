// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// TestDescriptors gives descriptors to a container and to a process in it: by
// the flag, and as systemd does, which says for which process they are. Nothing
// else may come along.
func TestDescriptors(t *testing.T) {
	t.Parallel()
	const list = `/busybox cat <&3; /busybox cat <&4; echo $LISTEN_FDS; for f in 5 6 7 8 9; do [ ! -e /proc/self/fd/$f ] || echo and $f; done`
	each(t, list, func(t *testing.T, h *host, asking bool) {
		run := func(listen string, args ...string) string {
			var files []*os.File
			for _, text := range []string{"three", "four"} {
				path := filepath.Join(t.TempDir(), text)
				rig.WriteFile(t, path, text+" ", 0o644)
				f, err := os.Open(path)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				files = append(files, f)
			}
			argv := append([]string{"sh", "-c", listen + ` exec "$@"`, "sh"}, h.command(asking, args...)...)
			cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
			cmd.Env, cmd.ExtraFiles = h.env, files
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%q: %v", args, err)
			}
			return string(out)
		}
		const systemd = "LISTEN_FDS=1 LISTEN_PID=$$"
		b := h.bundle
		if got := run("", "run", "--preserve-fds", "2", "--bundle", b.Dir, b.ID); got != "three four \n" {
			t.Errorf("run: %q", got)
		}
		if got := run(systemd, "run", "--preserve-fds", "1", "--bundle", b.Dir, b.ID); got != "three four 1\n" {
			t.Errorf("run below systemd: %q", got)
		}
		b.Spec.Process.Args = []string{"/busybox", "sleep", "1000"}
		b.Write(t)
		if res := h.do(t, asking, "run", "--detach", "--bundle", b.Dir, b.ID); res.Code != 0 {
			t.Fatalf("%+v", res)
		}
		if got := run("", "exec", "--preserve-fds", "2", b.ID, "/busybox", "sh", "-c", list); got != "three four \n" {
			t.Errorf("exec: %q", got)
		}
	})
}

// TestSockets has the container's terminal and pidfd arrive at their sockets,
// and those of a process in it.
func TestSockets(t *testing.T) {
	t.Parallel()
	each(t, "echo ready; exec /busybox sleep 1000", func(t *testing.T, h *host, asking bool) {
		h.bundle.Spec.Process.Terminal = true
		h.bundle.Spec.Mounts = append(h.bundle.Spec.Mounts, specs.Mount{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"newinstance", "ptmxmode=0666"}})
		h.bundle.Write(t)
		console, pidfd := listen(t), listen(t)
		pidFile := filepath.Join(h.dir, "pid")
		for _, args := range [][]string{
			{"run", "--detach", "--bundle", h.bundle.Dir, h.bundle.ID},
			{"exec", "--detach", "--tty", h.bundle.ID, "/busybox", "sh", "-c", "echo ready; exec /busybox sleep 1000"},
		} {
			args = append([]string{args[0], "--pid-file", pidFile, "--console-socket", console.path, "--pidfd-socket", pidfd.path}, args[1:]...)
			if res := h.do(t, asking, args...); res.Code != 0 {
				t.Fatalf("%q: %+v", args, res)
			}
			text := make([]byte, 5)
			if _, err := console.receive(t).Read(text); err != nil || string(text) != "ready" {
				t.Errorf("%s: read from the terminal: %q, %v", args[0], text, err)
			}
			pid, err := os.ReadFile(pidFile)
			if err != nil {
				t.Fatal(err)
			}
			fd := pidfd.receive(t)
			info, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(int(fd.Fd())))
			if err != nil || !strings.Contains(string(info), fmt.Sprintf("\nPid:\t%s\n", pid)) {
				t.Errorf("%s: the pidfd is not that of process %s: %v, %s", args[0], pid, err, info)
			}
		}
	})
}

// socket is one that descriptors are sent to.
type socket struct {
	path string
	l    *net.UnixListener
}

func listen(t *testing.T) *socket {
	t.Helper()
	dir, err := os.MkdirTemp("", "s") //nolint:usetesting // short: a socket's path has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Close()
		os.RemoveAll(dir)
	})
	return &socket{path, l}
}

// receive gives the descriptor of the next connection.
func (s *socket) receive(t *testing.T) *os.File {
	t.Helper()
	c, err := s.l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b, oob := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := c.ReadMsgUnix(b, oob)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		t.Fatalf("%d messages: %v", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		t.Fatalf("%d descriptors: %v", len(fds), err)
	}
	f := os.NewFile(uintptr(fds[0]), "received")
	t.Cleanup(func() { f.Close() })
	return f
}
