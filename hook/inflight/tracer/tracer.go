// SPDX-License-Identifier: Apache-2.0

// Package tracer is the process that waits beside a created container and puts
// variables into its environment at the moment of its exec.
//
// # How
//
// A runtime hands the environment to its init before it runs hooks, so what a
// hook writes into config.json comes too late (runtime-spec, runtime.md,
// "Lifecycle"). But the init still has to execve the user's program, once. The
// tracer seizes every thread of the init with PTRACE_O_EXITKILL and
// PTRACE_O_TRACEEXEC, lets it run, and is told at PTRACE_EVENT_EXEC: the
// kernel has loaded the program and laid out its initial stack, and not one
// instruction of it has run. There the tracer writes a new block of pointers
// below the old one (see rebuild), moves the stack pointer, and detaches.
//
// # What it keeps
//
// It fails closed. If the tracer dies, for whatever reason, the kernel kills
// the container; if anything at the exec is not as expected, the tracer kills
// it, and says why in the system log, because nobody else is listening then.
// The values come over a pipe into memory that is locked, left out of core
// dumps and wiped; they are never in the Go heap of this process. The process
// has its own session, none of its parent's descriptors, and is not dumpable.
//
// # Why it is an early init
//
// It may wait for days beside each created container, so it must be small. It
// is the same binary as everything else, started again under the name [Argv0];
// [init] takes over before packages that sort or depend later (net/http, the
// Vault client, the command line) have been initialised. This package must
// therefore import little; a test holds it to that.
//
// # What it does not protect against
//
// Root on the host can read the memory of any process, this one and the
// container's alike.
package tracer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/hook/syslog"
)

// Argv0 is the name under which the binary is this process.
const Argv0 = "oci-secrets-tracer"

// The descriptors that the tracer is started with, besides /dev/null as its
// standard input, output and error.
const (
	payloadFD = 3 // read: a [Header], then that many bytes of variables
	statusFD  = 4 // write: one byte, 0 or a [Status], then the reason
	targetFD  = 5 // a pidfd of the process to trace
)

// HeaderSize is the length of the header: the pid and the length of the
// variables, each as 32 bits, little-endian.
const HeaderSize = 8

// Status is the first byte of the tracer's answer.
type Status byte

// The answers. After Attached the hook may exit; the others are followed by a
// reason in words.
const (
	Attached  Status = 0
	Forbidden Status = 1 // this process cannot be traced or its memory not be locked
	Gone      Status = 2 // the process ended, or is not the one that was meant
	TooLarge  Status = 3 // the variables do not fit on the process's stack
)

func init() {
	if len(os.Args) > 0 && os.Args[0] == Argv0 {
		os.Exit(run())
	}
}

// failure is what is reported to the hook while it still listens.
type failure struct {
	status Status
	err    error
}

func (f *failure) Error() string { return f.err.Error() }

func fail(s Status, format string, args ...any) error {
	return &failure{s, fmt.Errorf(format, args...)}
}

// run is the whole life of the tracer. It is on the thread that init runs on,
// and ptrace requests are only accepted from the thread that attached.
func run() int {
	debug.SetGCPercent(-1)                                // nothing here is worth collecting, and a collector needs threads
	_ = os.WriteFile("/proc/self/comm", []byte(Argv0), 0) // what ps shows; it would be "exe"
	t, err := attach()
	if err != nil {
		answer(err)
		return 1
	}
	// The hook's death before this point must not leave a half-told story: its
	// runtime refuses the container then, and so do we, by exiting.
	if _, err := unix.Write(statusFD, []byte{byte(Attached)}); err != nil {
		return 1
	}
	_ = unix.Close(statusFD)

	switch err := t.waitForExec(); {
	case errors.Is(err, errEnded):
		t.wipe()
		return 0
	case err != nil:
		syslog.Error(fmt.Sprintf("container %q (pid %d) is killed before its program runs: %v", t.container, t.pid, err))
		t.wipe()
		return 1 // and the kernel kills what is still attached
	}
	return 0
}

// attach reads what to deliver, makes this process a safe place for it, and
// seizes the target.
func attach() (*tracer, error) {
	if err := harden(); err != nil {
		return nil, err
	}
	var header [HeaderSize]byte
	if err := readFull(payloadFD, header[:]); err != nil {
		return nil, fail(Gone, "the hook ended early: %w", err)
	}
	t := &tracer{pid: int(binary.LittleEndian.Uint32(header[:]))}
	if len(os.Args) > 1 {
		t.container = os.Args[1]
	}
	size := int(binary.LittleEndian.Uint32(header[4:]))
	if err := t.lock(size); err != nil {
		return nil, err
	}
	if err := readFull(payloadFD, t.vars); err != nil {
		return nil, fail(Gone, "the hook ended early: %w", err)
	}
	_ = unix.Close(payloadFD)

	if limit, err := stackLimit(t.pid); err != nil {
		return nil, fail(Gone, "read the process's limits: %w", err)
	} else if uint64(size) > limit {
		return nil, fail(TooLarge, "%d bytes of variables do not fit on a stack that may hold %d bytes of them (half of RLIMIT_STACK, 6 MiB at most)", size, limit)
	}
	if err := t.seize(); err != nil {
		return nil, err
	}
	// The pid was proved to be the container's while the pidfd was open. If
	// that process is alive now, it is the one that was seized.
	if n, err := unix.Poll([]unix.PollFd{{Fd: targetFD, Events: unix.POLLIN}}, 0); n != 0 || err != nil {
		return nil, fail(Gone, "the container's process ended")
	}
	_ = unix.Close(targetFD)
	return t, nil
}

// harden makes the process unreadable for its equals, and free of whatever
// descriptors a runtime left open in its hooks.
func harden() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fail(Forbidden, "make the tracer not dumpable: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fail(Forbidden, "forbid core dumps: %w", err)
	}
	return closeInherited()
}

// lock makes t.vars: size bytes that are not swapped, dumped or inherited.
func (t *tracer) lock(size int) error {
	if size == 0 {
		return fail(Gone, "nothing to deliver")
	}
	mem, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return fail(Forbidden, "reserve %d bytes: %w", size, err)
	}
	if err := unix.Mlock(mem); err != nil {
		return fail(Forbidden, "lock %d bytes in memory (RLIMIT_MEMLOCK is what bounds it): %w", size, err)
	}
	for _, advice := range []int{unix.MADV_DONTDUMP, unix.MADV_DONTFORK} {
		if err := unix.Madvise(mem, advice); err != nil {
			return fail(Forbidden, "keep the variables out of dumps: %w", err)
		}
	}
	t.vars = mem
	return nil
}

// wipe clears the variables.
func (t *tracer) wipe() { clear(t.vars) }

// answer tells the hook why there is no delivery.
func answer(err error) {
	status, text := Forbidden, err.Error()
	var f *failure
	if errors.As(err, &f) {
		status = f.status
	}
	_, _ = unix.Write(statusFD, append([]byte{byte(status)}, text...))
}

func readFull(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Read(fd, b)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return errors.New("end of input")
		}
		b = b[n:]
	}
	return nil
}
