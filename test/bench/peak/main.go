// SPDX-License-Identifier: Apache-2.0

// Command peak runs a command and writes the largest resident set that it had,
// in KiB, to descriptor 3. A child starts with its parent's peak on the books,
// so the parent that measures must be a small program: this one.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

func main() {
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	if ended := new(exec.ExitError); err != nil && !errors.As(err, &ended) {
		fmt.Fprintln(os.Stderr, "peak:", err)
		os.Exit(1)
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		_, err = fmt.Fprintln(os.NewFile(3, "peak"), usage.Maxrss)
	}
	if err != nil || cmd.ProcessState.ExitCode() != 0 {
		os.Exit(1)
	}
}
