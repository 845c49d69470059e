// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxInitialStack is the kernel's own bound for arguments and environment
// (fs/exec.c: three quarters of _STK_LIM).
const maxInitialStack = 6 << 20

// stackLimit is how many bytes of stack the arguments and the environment of
// pid may take: half of RLIMIT_STACK, so that the program has the other half.
// prlimit(2) would want CAP_SYS_RESOURCE for another user's process; the file
// is open to all.
func stackLimit(pid int) (uint64, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/limits")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		rest, ok := strings.CutPrefix(line, "Max stack size")
		if !ok {
			continue
		}
		soft, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		limit := uint64(math.MaxUint64)
		if soft != "unlimited" {
			if limit, err = strconv.ParseUint(soft, 10, 64); err != nil {
				return 0, fmt.Errorf("read RLIMIT_STACK: %w", err)
			}
		}
		return min(limit/2, maxInitialStack), nil
	}
	return 0, errors.New("no RLIMIT_STACK in /proc")
}

// mapping is a range of a process's memory.
type mapping struct{ start, end uint64 }

// mapping finds the one that addr is in.
func (t *tracer) mapping(addr uint64) (mapping, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(t.pid) + "/maps")
	if err != nil {
		return mapping{}, err
	}
	for line := range strings.Lines(string(b)) {
		span, _, _ := strings.Cut(line, " ")
		low, high, _ := strings.Cut(span, "-")
		start, err1 := strconv.ParseUint(low, 16, 64)
		end, err2 := strconv.ParseUint(high, 16, 64)
		if err1 != nil || err2 != nil {
			return mapping{}, errors.New("a line of /proc/PID/maps is not understood")
		}
		if start <= addr && addr < end {
			return mapping{start, end}, nil
		}
	}
	return mapping{}, fmt.Errorf("%#x is not mapped", addr)
}

// threads lists the threads of pid.
func threads(pid int) ([]int, error) {
	entries, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		return nil, err
	}
	tids := make([]int, 0, len(entries))
	for _, e := range entries {
		tid, err := strconv.Atoi(e.Name())
		if err != nil {
			return nil, err
		}
		tids = append(tids, tid)
	}
	return tids, nil
}

// statusField is a field of /proc/PID/status.
func statusField(pid, field string) (string, error) {
	b, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, field); ok {
			return strings.TrimSpace(v), nil
		}
	}
	return "", fmt.Errorf("no %s in /proc/%s/status", field, pid)
}

// closeInherited closes the descriptors that came through the exec of this
// process without being meant for it: a runtime's pipes, a console. The Go
// runtime's own are close-on-exec, which is how they are told apart.
func closeInherited() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fail(Forbidden, "list the inherited descriptors: %w", err)
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd <= targetFD {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 { //nolint:gosec // a descriptor
			_ = unix.Close(fd)
		}
	}
	return nil
}
