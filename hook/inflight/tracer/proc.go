// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"errors"
	"math"
	"strconv"
	"syscall"
)

// maxInitialStack is the kernel's own bound for arguments and environment
// (fs/exec.c: three quarters of _STK_LIM).
const maxInitialStack = 6 << 20

// stackLimit is how many bytes of stack the arguments and the environment of
// pid may take: half of RLIMIT_STACK, so that the program has the other half.
// prlimit(2) would want CAP_SYS_RESOURCE for another user's process; the file
// is open to all.
func stackLimit(pid int) (uint64, error) {
	soft, err := procField(pid, "limits", "Max stack size")
	if err != nil {
		return 0, err
	}
	limit := uint64(math.MaxUint64)
	if soft != "unlimited" {
		if limit, err = strconv.ParseUint(soft, 10, 64); err != nil {
			return 0, err
		}
	}
	return min(limit/2, maxInitialStack), nil
}

// mapping is a range of a process's memory.
type mapping struct{ start, end uint64 }

// mapping finds the one that addr is in.
func (t *tracer) mapping(addr uint64) (mapping, error) {
	b, err := readFile(procPath(t.pid, "maps"))
	if err != nil {
		return mapping{}, err
	}
	for line, rest := []byte(nil), b; len(rest) > 0; {
		line, rest = cut(rest, '\n')
		span, _ := cut(line, ' ')
		low, high := cut(span, '-')
		start, err1 := strconv.ParseUint(string(low), 16, 64)
		end, err2 := strconv.ParseUint(string(high), 16, 64)
		if err1 != nil || err2 != nil {
			return mapping{}, errors.New("a line of /proc/PID/maps is not understood")
		}
		if start <= addr && addr < end {
			return mapping{start, end}, nil
		}
	}
	return mapping{}, errors.New("the address is not mapped")
}

// tracedByUs reports whether this thread is the tracer of tid already.
func tracedByUs(tid int) bool {
	v, err := procField(tid, "status", "TracerPid:")
	return err == nil && v == strconv.Itoa(syscall.Getpid())
}

// isDead reports whether a thread has ended, its number still being listed or
// not.
func isDead(tid int) bool {
	state, err := procField(tid, "status", "State:")
	return err != nil || state == "Z" || state == "X"
}

// threadOf reports whether tid is a thread of pid.
func threadOf(pid, tid int) bool {
	var st syscall.Stat_t
	return syscall.Stat(procPath(pid, "task/"+strconv.Itoa(tid)), &st) == nil
}

// closeInherited closes the descriptors that came through the exec of this
// process without being meant for it: a runtime's pipes, a console. The Go
// runtime's own are close-on-exec, which is how they are told apart.
func closeInherited() error {
	fds, err := numbers("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, fd := range fds {
		if fd > targetFD && !closesOnExec(fd) {
			_ = syscall.Close(fd)
		}
	}
	return nil
}

// procField is the first word behind a name at the beginning of a line of
// /proc/PID/FILE.
func procField(pid int, file, name string) (string, error) {
	b, err := readFile(procPath(pid, file))
	if err != nil {
		return "", err
	}
	for line, rest := []byte(nil), b; len(rest) > 0; {
		line, rest = cut(rest, '\n')
		if len(line) < len(name) || string(line[:len(name)]) != name {
			continue
		}
		line = line[len(name):]
		for len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
			line = line[1:]
		}
		word, _ := cut(line, ' ')
		return string(word), nil
	}
	return "", errors.New("no " + name + " in " + procPath(pid, file))
}

func procPath(pid int, file string) string { return "/proc/" + strconv.Itoa(pid) + "/" + file }

// cut gives what is before the first sep, and what is behind it.
func cut(b []byte, sep byte) (before, after []byte) {
	for i, c := range b {
		if c == sep {
			return b[:i], b[i+1:]
		}
	}
	return b, nil
}
