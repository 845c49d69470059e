// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// TestThread has an init whose program is started by another thread than its
// first, as no runtime does today: one that the tracer has seized, and one
// that began later. The init is this program again: see TestMain.
func TestThread(t *testing.T) {
	rig.NeedRoot(t)
	for _, when := range []string{"before", "after"} {
		t.Run("begun "+when+" the hook", func(t *testing.T) {
			t.Parallel()
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			value := rig.Canary()
			b := bundle(t, "", value)
			file := filepath.Join(t.TempDir(), "report")
			// This test is the runtime: the parent of the init, which has
			// mounts of its own, and of the hook.
			cmd := exec.CommandContext(t.Context(), self, threadArg, when, rig.Payload(t, "amd64"), "mark", file)
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
				t.Errorf("the init is not ready: %v", err)
			}
			if res := hook(t, b, stateOf(t, b, cmd.Process.Pid)); res.Code != 0 {
				t.Errorf("exit code %d\n%s", res.Code, res.Stderr)
			}
			if err := in.Close(); err != nil {
				t.Error(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Fatal(err)
			}
			has(t, rig.AwaitReport(t, file).Env, "SECRET", value)
		})
	}
}

const threadArg = "exec-in-thread"

func init() { runtime.LockOSThread() } // nothing else runs on the first thread

// execInThread is the init: it says that it is ready, waits for the end of its
// input, and executes argv in a thread that began before or after that.
func execInThread(when string, argv []string) int {
	const many = 30
	told := make(chan bool)
	begin := func() {
		// More threads than there can be idle ones.
		for range many {
			go func() {
				runtime.LockOSThread()
				if <-told {
					_ = syscall.Exec(argv[0], argv, os.Environ())
					os.Exit(97)
				}
				select {} // and keep the thread
			}()
		}
	}
	if when == "before" {
		begin()
	}
	_, _ = os.Stdout.WriteString("ready\n")
	_, _ = os.Stdin.Read(make([]byte, 1))
	if when == "after" {
		begin()
	}
	for range many - 1 {
		told <- false
	}
	told <- true
	select {}
}
