// SPDX-License-Identifier: Apache-2.0

// Package budget holds the program to package limit: whatever stands in
// annotations, what their start costs in time, memory and text stays below it.
// The real binary runs in a process of its own, and the kernel says what that took.
package budget

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// measureArg makes the test binary run a command and write what that took. Its
// own memory would count as the command's otherwise: the kernel counts what a
// process had before its exec (fs/exec.c, setmax_mm_hiwater_rss), so it must be
// small.
const measureArg = "measure-a-command"

func TestMain(m *testing.M) {
	if len(os.Args) > 3 && os.Args[1] == measureArg {
		os.Exit(measure(os.Args[2], os.Args[3:]))
	}
	code := m.Run()
	rig.Cleanup()
	os.Exit(code)
}

// cost is what a command took.
type cost struct {
	Code int
	Took time.Duration
	CPU  time.Duration
	RSS  int64 // bytes at the peak
}

func measure(to string, argv []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // for what does not end by itself
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	begun := time.Now()
	_ = cmd.Run() // its exit code says it
	c := cost{Took: time.Since(begun)}
	if p := cmd.ProcessState; p != nil {
		c.Code, c.CPU, c.RSS = p.ExitCode(), p.UserTime()+p.SystemTime(), p.SysUsage().(*syscall.Rusage).Maxrss<<10
	}
	b, err := json.Marshal(c)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return c.Code
}

// measured is the command line that has argv measured, and costs what it wrote.
func measured(t *testing.T, argv ...string) (line []string, costs func() cost) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "cost")
	return append([]string{self, measureArg, to}, argv...), func() (c cost) {
		t.Helper()
		if err := json.Unmarshal([]byte(rig.ReadFile(t, to)), &c); err != nil {
			t.Fatal(err)
		}
		return c
	}
}
