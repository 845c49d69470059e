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
// # Why it is an early init, and imports so little
//
// It may wait for days beside each created container, so it must be small. It
// is the same binary as everything else, started again, and Go initialises all
// packages that are linked in, in the order of their import paths as far as
// their dependencies allow (Go specification, "Program initialization"). Each
// one touches its part of the binary, and that is most of what a small Go
// process has in memory. So this package imports only what is initialised
// first: syscall, strconv, errors, and no fmt, os or strings, which depend on
// much; and its init takes over. A test holds it to that.
//
// # What it does not protect against
//
// Root on the host can read the memory of any process, this one and the
// container's alike.
package tracer

import (
	"errors"
	"strconv"
	"syscall"

	"github.com/oci-secrets/oci-secrets/hook/syslog"
)

// Argv0 is the name that the tracer is started under; the container follows.
const Argv0 = "oci-secrets-tracer"

// Env is the environment that makes the binary this process. Its memory is
// never worth collecting; a crash must not print goroutines and arguments.
var Env = []string{marker + "=1", "GOTRACEBACK=none", "GOMAXPROCS=1", "GOGC=off"}

// marker is the variable that tells, together with the name: package syscall
// has the environment, while the command line must be read from /proc, which
// every other start of the binary can do without.
const marker = "OCI_SECRETS_TRACER"

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
	Forbidden Status = 1 // the process cannot be traced
	Gone      Status = 2 // the process ended, or is not the one that was meant
	TooLarge  Status = 3 // the variables do not fit on the process's stack
	Unlocked  Status = 4 // the variables cannot be locked in memory
)

func init() {
	if _, ok := syscall.Getenv(marker); !ok {
		return
	}
	line, _ := readFile("/proc/self/cmdline")
	if name, args := cut(line, 0); string(name) == Argv0 {
		container, _ := cut(args, 0)
		syscall.Exit(run(string(container)))
	}
}

// failure is what is reported to the hook while it still listens.
type failure struct {
	status Status
	err    error
}

func (f *failure) Error() string { return f.err.Error() }

func fail(s Status, what string, cause error) error { return &failure{s, wrap(what, cause)} }

// wrapped is what fmt.Errorf would make of "%s: %w".
type wrapped struct {
	what  string
	cause error
}

func wrap(what string, cause error) error { return &wrapped{what, cause} }

func (w *wrapped) Error() string { return w.what + ": " + w.cause.Error() }
func (w *wrapped) Unwrap() error { return w.cause }

// run is the whole life of the tracer. It is on the thread that init runs on,
// and ptrace requests are only accepted from the thread that attached.
func run(container string) int {
	t, err := attach(container)
	if err != nil {
		answer(err)
		return 1
	}
	// The hook's death before this point must not leave a half-told story: its
	// runtime refuses the container then, and so do we, by exiting.
	if _, err := syscall.Write(statusFD, []byte{byte(Attached)}); err != nil {
		return 1
	}
	_ = syscall.Close(statusFD)

	err = t.waitForExec()
	clear(t.vars)
	if err != nil && !errors.Is(err, errEnded) {
		syslog.Error("container " + strconv.Quote(t.container) + " (pid " + strconv.Itoa(t.pid) + ") is killed before its program runs: " + err.Error())
		return 1 // and the kernel kills what is still attached
	}
	return 0
}

// attach reads what to deliver, makes this process a safe place for it, and
// seizes the target.
func attach(container string) (*tracer, error) {
	if err := harden(); err != nil {
		return nil, err
	}
	var header [HeaderSize]byte
	if err := readFull(payloadFD, header[:]); err != nil {
		return nil, fail(Gone, "the hook ended early", err)
	}
	t := &tracer{pid: int(word32(header[:])), container: container}
	size := int(word32(header[4:]))
	if err := t.lock(size); err != nil {
		return nil, err
	}
	if err := readFull(payloadFD, t.vars); err != nil {
		return nil, fail(Gone, "the hook ended early", err)
	}
	_ = syscall.Close(payloadFD)

	limit, err := stackLimit(t.pid)
	if err != nil {
		return nil, fail(Gone, "read the process's limits", err)
	}
	if uint64(size) > limit {
		return nil, &failure{TooLarge, tooLarge(uint64(size), limit)}
	}
	// The pid was proved to be the container's while the pidfd was open. If
	// that process is alive afterwards, it is the one that was seized.
	if gone, err := ended(targetFD); gone || err != nil {
		return nil, &failure{Gone, errEnded}
	}
	err = t.seize()
	if gone, pollErr := ended(targetFD); gone || pollErr != nil {
		t.release()
		return nil, &failure{Gone, errEnded}
	}
	if err != nil {
		return nil, err
	}
	t.resumeAll()
	_ = syscall.Close(targetFD)
	return t, nil
}

// tooLarge is the error for variables that do not fit.
func tooLarge(size, limit uint64) error {
	return errors.New(strconv.FormatUint(size, 10) + " bytes of arguments and environment do not fit: the stack may hold " +
		strconv.FormatUint(limit, 10) + " bytes of them (half of RLIMIT_STACK, 6 MiB at most)")
}

// harden makes the process unreadable for its equals, and free of whatever
// descriptors a runtime left open in its hooks. First it sets its name, which
// would be "exe": that is closed to it afterwards where it is not root.
func harden() error {
	if fd, err := syscall.Open("/proc/self/comm", syscall.O_WRONLY|syscall.O_CLOEXEC, 0); err == nil {
		_, _ = syscall.Write(fd, []byte(Argv0)) // cut to 15 bytes by the kernel
		_ = syscall.Close(fd)
	}
	if err := notDumpable(); err != nil {
		return fail(Forbidden, "forbid dumps of the tracer", err)
	}
	if err := closeInherited(); err != nil {
		return fail(Forbidden, "list the inherited descriptors", err)
	}
	return nil
}

// lock makes t.vars: size bytes that are not swapped, dumped or inherited.
func (t *tracer) lock(size int) error {
	if size == 0 {
		return &failure{Gone, errors.New("nothing to deliver")}
	}
	mem, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANONYMOUS)
	if err != nil {
		return fail(Forbidden, "reserve memory for the variables", err)
	}
	if err := syscall.Mlock(mem); err != nil {
		return fail(Unlocked, "lock "+strconv.Itoa(size)+" bytes in memory", err)
	}
	for _, advice := range []int{dontDump, dontFork} {
		if err := syscall.Madvise(mem, advice); err != nil {
			return fail(Forbidden, "keep the variables out of dumps", err)
		}
	}
	t.vars = mem
	return nil
}

// answer tells the hook why there is no delivery.
func answer(err error) {
	status := Forbidden
	var f *failure
	if errors.As(err, &f) {
		status = f.status
	}
	_, _ = syscall.Write(statusFD, append([]byte{byte(status)}, err.Error()...))
}

// word32 reads 32 bits, little-endian.
func word32(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}
