// SPDX-License-Identifier: Apache-2.0

package child

import (
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The thread that a test runs on may end long before the test.
func TestStartOnThreadThatEnds(t *testing.T) {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var p *Process
	thread := make(chan int)
	start := func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		if tid := unix.Gettid(); tid != unix.Getpid() {
			p, err = Start(cmd)
			thread <- tid
			return
		}
		thread <- 0
	}
	go start()
	tid := <-thread
	if tid == 0 { // it was the first one, which nobody else gets any more
		go start()
		tid = <-thread
	}
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); unix.Tgkill(unix.Getpid(), tid, 0) == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) { // nothing announces the end of a thread
			t.Fatalf("thread %d does not end", tid)
		}
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	<-p.Exited
	if !cmd.ProcessState.Success() {
		t.Errorf("the process ended with the thread: %v", cmd.ProcessState)
	}
}
