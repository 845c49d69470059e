// SPDX-License-Identifier: Apache-2.0

// Package process tells a container's first process, by its start time, from
// all others that have or will have its pid. What is kept for a container is of
// use as long as that process lives.
package process

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

var errEnded = errors.New("the process has ended")

// Started is the start time of a process: the 22nd field of /proc/PID/stat
// (proc_pid_stat(5)), the 20th behind the name. It is empty for pid 0, which is
// none on this kernel. One that has ended and was not waited for yet has none;
// one whose first thread alone has ended lives.
func Started(pid int) (string, error) {
	if pid == 0 {
		return "", nil
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", err
	}
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 20 || (fields[0][0] == 'Z' && string(fields[17]) == "1") || fields[0][0] == 'X' {
		return "", errEnded
	}
	return string(fields[19]), nil
}

// Ended reports whether the process that had the pid and the start time is gone,
// or cannot be seen. Pid 0 has not ended.
func Ended(pid int, started string) bool {
	now, err := Started(pid)
	return err != nil || now != started
}

// Gone reports whether a container is gone: its first process has ended, or its
// bundle is not there any more where it has none on this kernel. Nothing else
// tells that a runtime did not create such a container. One that cannot be seen
// is not gone.
func Gone(pid int, started, bundle string) bool {
	if pid == 0 {
		if !filepath.IsAbs(bundle) {
			return false
		}
		_, err := os.Stat(bundle)
		return errors.Is(err, fs.ErrNotExist)
	}
	now, err := Started(pid)
	if err == nil || errors.Is(err, errEnded) {
		return now != started
	}
	// A /proc with hidepid (proc(5)) may not show it.
	return errors.Is(unix.Kill(pid, 0), unix.ESRCH)
}
