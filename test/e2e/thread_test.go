// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
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
			out := byHand(t, bundle(t, "", value), self, threadArg, when, "/usr/bin/env")
			has(t, strings.Split(out, "\n"), "SECRET", value)
		})
	}
}

// TestRelay has an init whose threads never last, so that a list of them is old
// when it is read.
func TestRelay(t *testing.T) {
	rig.NeedRoot(t)
	t.Parallel()
	relay := filepath.Join(t.TempDir(), "relay")
	rig.MustRun(t, "gcc", "-O2", "-pthread", "-o", relay, "testdata/relay.c")
	value := rig.Canary()
	b := bundle(t, "", value)
	for range 200 {
		has(t, strings.Split(byHand(t, b, relay, "/usr/bin/env"), "\n"), "SECRET", value)
	}
}

// byHand runs an init as a runtime would: this test is the parent of the init,
// which has mounts of its own, and of the hook. The init says that it is ready
// and executes its program at the end of its input; what the program prints is
// returned.
func byHand(t *testing.T, b *rig.Bundle, init ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), init[0], init[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(pipe)
	if _, err := out.ReadString('\n'); err != nil {
		t.Errorf("the init is not ready: %v", err)
	}
	if res := hook(t, b, stateOf(t, b, cmd.Process.Pid)); res.Code != 0 {
		t.Errorf("exit code %d\n%s", res.Code, res.Stderr)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	printed, err := io.ReadAll(out)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(printed)
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
