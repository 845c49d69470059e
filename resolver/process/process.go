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
)

// Started is the start time of a process: the 22nd field of /proc/PID/stat
// (proc_pid_stat(5)), the 20th behind the name. It is empty for pid 0, which is
// none on this kernel. One that has ended and was not waited for yet has none.
func Started(pid int) (string, error) {
	if pid == 0 {
		return "", nil
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", err
	}
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 20 || fields[0][0] == 'Z' || fields[0][0] == 'X' {
		return "", errors.New("the process has ended")
	}
	return string(fields[19]), nil
}

// Ended reports whether the process that had the pid and the start time is gone.
// Pid 0 has not ended.
func Ended(pid int, started string) bool {
	now, err := Started(pid)
	return err != nil || now != started
}

// Gone reports whether a container is gone: its first process has ended, or its
// bundle is not there any more where it has none on this kernel. Nothing else
// tells that a runtime did not create such a container.
func Gone(pid int, started, bundle string) bool {
	if Ended(pid, started) {
		return true
	}
	if pid != 0 || !filepath.IsAbs(bundle) {
		return false
	}
	_, err := os.Stat(bundle)
	return errors.Is(err, fs.ErrNotExist)
}
