// SPDX-License-Identifier: Apache-2.0

// Package child runs processes of tests, servers above all, which end with the
// test: also when that is killed, or forgets them.
package child

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// Process is a running process.
type Process struct {
	*os.Process
	Exited <-chan struct{} // closed when it has ended
}

// Start starts the process. The kernel kills it when the *thread* that started it
// ends, not when the test does, so a thread of its own waits for it, whatever
// becomes of the test. Nothing else of the tests sets Pdeathsig.
func Start(cmd *exec.Cmd) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL //nolint:forbidigo // the thread stays
	started, exited := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer close(exited)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // it is killed
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return &Process{cmd.Process, exited}, nil
}

// WithFamily makes the kernel end all processes that this one starts with it,
// if we are root: it is the first of a PID namespace. Its shared memory goes the
// same way.
func WithFamily(attr *syscall.SysProcAttr) {
	if os.Geteuid() == 0 {
		attr.Cloneflags |= syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC
	}
}

// End ends the process with SIGKILL, frozen or not, and waits for that.
func (p *Process) End() {
	if err := p.Kill(); err == nil || errors.Is(err, os.ErrProcessDone) {
		<-p.Exited
	}
}
