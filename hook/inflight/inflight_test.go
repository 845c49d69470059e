// SPDX-License-Identifier: Apache-2.0

package inflight

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// TestReusedPID has a process that took the number of the one that was proved
// to be the container's. It is let alone. The tracer is this test's binary.
func TestReusedPID(t *testing.T) {
	gone := spawn(t, "cat")
	fd, err := unix.PidfdOpen(gone.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = errors.Join(gone.Process.Kill(), gone.Wait())
	stranger, echo := echoing(t, "cat")
	target := &Target{pid: stranger.Process.Pid, pidfd: os.NewFile(uintptr(fd), "pidfd")}
	defer target.Close()
	tr, err := target.Trace("test\x1b\n\u009b")
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	if got := tr.cmd.Args[1]; got != `test\u001b\u000a\u009b` {
		t.Errorf("ps shows %q", got)
	}
	if err := tr.Deliver(t.Context(), []string{"A=1"}); !errors.Is(err, fault.Document) {
		t.Errorf("error %v, want a fault.Document", err)
	}
	if by := tracerOf(stranger.Process.Pid); by != "0" {
		t.Errorf("it is traced by %s", by)
	}
	if err := echo(); err != nil {
		t.Errorf("it does not live: %v", err)
	}
}

// TestTracedTwice has a process that another tracer holds already, as when an
// engine lists the hook under two stages.
func TestTracedTwice(t *testing.T) {
	process := spawn(t, "cat")
	deliver := func() error {
		fd, err := unix.PidfdOpen(process.Process.Pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		target := &Target{pid: process.Process.Pid, pidfd: os.NewFile(uintptr(fd), "pidfd")}
		defer target.Close()
		tr, err := target.Trace("test")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(tr.Close)
		return tr.Deliver(t.Context(), []string{"A=1"})
	}
	if err := deliver(); err != nil {
		t.Fatal(err)
	}
	err := deliver()
	if hints := fault.Hints(err); !errors.Is(err, fault.Delivery) || len(hints) != 1 || hints[0] != "list the hook once, under createRuntime or prestart" {
		t.Errorf("error %v with hints %q", err, hints)
	}
}
