// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// options of every seized thread. EXITKILL is what makes a dead tracer a dead
// container; TRACECLONE catches threads that begin later; TRACESYSGOOD tells
// system call stops from signals.
const options = unix.PTRACE_O_EXITKILL | unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACESYSGOOD

// sysStop is the signal of a system call stop under TRACESYSGOOD.
const sysStop = unix.SIGTRAP | 0x80

// errEnded says that the process ended before its exec: a container that was
// deleted without being started, or whose program does not exist. The runtime
// reports that; there is nothing to add.
var errEnded = errors.New("the process ended")

type tracer struct {
	pid       int
	container string // for the log
	vars      []byte // "NAME=value" strings, each ended by NUL, in locked memory
}

// seize attaches to every thread of the process. The exec may come from any of
// them: only a traced thread reports it, so an untraced one would run bare.
func (t *tracer) seize() error {
	seized := map[int]bool{}
	for more := true; more; {
		more = false
		tids, err := threads(t.pid)
		if err != nil {
			return fail(Gone, "the container's process ended")
		}
		for _, tid := range tids {
			if seized[tid] {
				continue
			}
			err := ptrace(unix.PTRACE_SEIZE, tid, 0, options)
			switch {
			case err == nil || tracedByUs(tid): // or begun by a thread that was seized
				seized[tid] = true
				more = true
			case errors.Is(err, unix.ESRCH) && tid != t.pid:
			case errors.Is(err, unix.ESRCH):
				return fail(Gone, "the container's process ended")
			default:
				return fail(Forbidden, "trace the container's process: %w", err)
			}
		}
	}
	return nil
}

// waitForExec lets the process run until its exec and delivers there.
func (t *tracer) waitForExec() error {
	for {
		tid, status, err := wait(-1)
		if err != nil {
			return fmt.Errorf("wait for the exec: %w", err)
		}
		switch {
		case !status.Stopped():
			if tid == t.pid {
				return errEnded
			}
		case event(status) == unix.PTRACE_EVENT_EXEC:
			return t.deliver()
		default:
			t.resume(tid, status)
		}
	}
}

// resume lets a thread go on from a stop that does not concern us, as if it
// had not been traced (ptrace(2), "Signal injection and suppression",
// "Group-stop"). A thread that is killed meanwhile gives ESRCH, and then wait
// tells how it ended.
func (t *tracer) resume(tid int, status unix.WaitStatus) {
	sig := status.StopSignal()
	switch {
	case event(status) == 0:
		_ = ptrace(unix.PTRACE_CONT, tid, 0, uintptr(sig))
	case event(status) == unix.PTRACE_EVENT_STOP && sig != unix.SIGTRAP:
		_ = ptrace(unix.PTRACE_LISTEN, tid, 0, 0)
	case event(status) == unix.PTRACE_EVENT_STOP && !threadOf(t.pid, tid):
		// A process, not a thread, that was cloned without SIGCHLD.
		_ = ptrace(unix.PTRACE_DETACH, tid, 0, 0)
	default:
		_ = ptrace(unix.PTRACE_CONT, tid, 0, 0)
	}
}

// event is the PTRACE_EVENT of a stop; 0 for a signal.
func event(s unix.WaitStatus) int { return int(s>>16) & 0xff }

// wait waits for a change of state of the thread, or of any (-1).
func wait(tid int) (int, unix.WaitStatus, error) {
	for {
		var status unix.WaitStatus
		got, err := unix.Wait4(tid, &status, unix.WALL, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return got, status, err
	}
}

func ptrace(request, tid int, addr, data uintptr) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), addr, data, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// ptraceData is ptrace with data that points to memory of this process.
func ptraceData(request, tid int, addr uintptr, data unsafe.Pointer) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), addr, uintptr(data), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// tracedByUs reports whether this thread is the tracer of tid already.
func tracedByUs(tid int) bool {
	v, err := statusField(strconv.Itoa(tid), "TracerPid:")
	return err == nil && v == strconv.Itoa(os.Getpid())
}

func threadOf(pid, tid int) bool {
	_, err := os.Stat("/proc/" + strconv.Itoa(pid) + "/task/" + strconv.Itoa(tid))
	return err == nil
}
