// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/hook/shim/argv"
)

// TestShowHooks has a standard error that crun can open by its name, and one
// that it cannot.
func TestShowHooks(t *testing.T) {
	old, err := unix.FcntlInt(2, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	var pipe [2]int
	sockets, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err = errors.Join(err, unix.Pipe2(pipe[:], unix.O_CLOEXEC)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, fd := range append([]int{old}, append(sockets[:], pipe[:]...)...) {
			_ = unix.Close(fd)
		}
	})
	for _, c := range []struct {
		fd   int
		line string
		want bool
	}{{pipe[1], "run c", true}, {pipe[1], "--log /l run c", false}, {sockets[0], "run c", false}} {
		s := &shim{Line: argv.Parse(strings.Fields(c.line))}
		err := unix.Dup3(c.fd, 2, 0)
		got := s.showHooks()
		if err = errors.Join(err, unix.Dup3(old, 2, 0)); err != nil {
			t.Fatal(err)
		}
		if got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
