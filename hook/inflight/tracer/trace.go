// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"errors"
	"syscall"
)

// options of every seized thread. EXITKILL is what makes a dead tracer a dead
// container; TRACECLONE catches threads that begin later; TRACESYSGOOD tells
// system call stops from signals.
const options = ptraceExitKill | syscall.PTRACE_O_TRACEEXEC | syscall.PTRACE_O_TRACECLONE | syscall.PTRACE_O_TRACESYSGOOD

// sysStop is the signal of a system call stop under TRACESYSGOOD.
const sysStop = syscall.SIGTRAP | 0x80

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
		tids, err := numbers(procPath(t.pid, "task"))
		if err != nil {
			return &failure{Gone, errEnded}
		}
		for _, tid := range tids {
			if seized[tid] {
				continue
			}
			err := ptrace(ptraceSeize, tid, options)
			switch {
			case err == nil || tracedByUs(tid): // or begun by a thread that was seized
				seized[tid] = true
				more = true
			case errors.Is(err, syscall.ESRCH) && tid != t.pid: // the thread ended
			case errors.Is(err, syscall.ESRCH):
				return &failure{Gone, errEnded}
			default:
				return fail(Forbidden, "trace the container's process", err)
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
			return wrap("wait for the exec", err)
		}
		switch {
		case !status.Stopped():
			if tid == t.pid {
				return errEnded
			}
		case event(status) == syscall.PTRACE_EVENT_EXEC:
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
func (t *tracer) resume(tid int, status syscall.WaitStatus) {
	sig := status.StopSignal()
	switch {
	case event(status) == 0:
		_ = ptrace(syscall.PTRACE_CONT, tid, uintptr(sig))
	case event(status) == eventStop && sig != syscall.SIGTRAP:
		_ = ptrace(ptraceListen, tid, 0)
	case event(status) == eventStop && !threadOf(t.pid, tid):
		// A process, not a thread, that was cloned without SIGCHLD.
		_ = ptrace(syscall.PTRACE_DETACH, tid, 0)
	default:
		_ = ptrace(syscall.PTRACE_CONT, tid, 0)
	}
}
