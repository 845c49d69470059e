// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"errors"
	"strconv"
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

	held map[int]syscall.WaitStatus // threads that stand still, and their stop
}

// maxRounds is far above what the threads of a runtime's init need.
const maxRounds = 1000

// seize attaches to every thread of the process. The exec may come from any of
// them: only a traced thread reports it, so an untraced one would run bare.
//
// Threads come and go while they are listed, and a listing may miss some. So
// each one is made to stand still: a process all of whose threads stand can
// begin no more of them, and it has them all when their number is the one that
// the kernel counts. They go on together then, in resumeAll.
func (t *tracer) seize() error {
	t.held = map[int]syscall.WaitStatus{}
	for range maxRounds {
		tids, err := numbers(procPath(t.pid, "task"))
		if err != nil {
			return &failure{Gone, errEnded}
		}
		fresh := false
		for _, tid := range tids {
			if _, ok := t.held[tid]; ok {
				continue
			}
			fresh = true
			if err := t.hold(tid); err != nil {
				return err
			}
		}
		count, err := procField(t.pid, "status", "Threads:")
		if err != nil {
			return &failure{Gone, errEnded}
		}
		if !fresh && count == strconv.Itoa(len(t.held)) {
			return nil
		}
	}
	return &failure{Forbidden, errors.New("trace the container's process: its threads come and go too fast")}
}

// hold seizes a thread and waits until it stands still. One that ended
// meanwhile is left to the next listing.
func (t *tracer) hold(tid int) error {
	err := ptrace(ptraceSeize, tid, options)
	switch {
	case err == nil:
		if err := ptrace(ptraceInterrupt, tid, 0); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fail(Forbidden, "stop the container's process", err)
		}
	case tracedByUs(tid): // begun by a thread that was seized, and standing from the first
	case isDead(tid) && tid == t.pid:
		return &failure{Gone, errEnded}
	case isDead(tid):
		return nil
	default:
		return fail(Forbidden, "trace the container's process", err)
	}
	_, status, err := wait(tid)
	switch {
	case err != nil || !status.Stopped():
		if tid == t.pid {
			return &failure{Gone, errEnded}
		}
	case event(status) == syscall.PTRACE_EVENT_EXEC:
		return &failure{Gone, errors.New("it does not wait for this hook, it runs another program already")}
	default:
		t.held[tid] = status
	}
	return nil
}

// resumeAll lets the threads go on.
func (t *tracer) resumeAll() {
	for tid, status := range t.held {
		t.resume(tid, status)
	}
	t.held = nil
}

// release lets a process go that should not have been seized.
func (t *tracer) release() {
	for tid, status := range t.held {
		sig := 0
		if event(status) == 0 {
			sig = int(status.StopSignal())
		}
		_ = ptrace(syscall.PTRACE_DETACH, tid, uintptr(sig))
	}
	t.held = nil
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
		case event(status) == syscall.PTRACE_EVENT_EXEC && tid == t.pid:
			err := t.deliver()
			if errors.Is(err, syscall.ESRCH) {
				return errEnded // killed by somebody else, at that moment
			}
			return err
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
