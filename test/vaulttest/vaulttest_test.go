// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if os.Getenv("VAULTTEST_CHILD") != "" {
		s, err := Launch(Options{})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		_, _ = fmt.Fprintln(os.Stdout, s.process.Pid, s.dir)
		select {} // until killed
	}
	os.Exit(m.Run())
}

// A killed test leaves no server behind.
func TestDiesWithItsProcess(t *testing.T) {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "VAULTTEST_CHILD=1")
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	var dir string
	if _, err := fmt.Sscan(line, &pid, &dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("the server is not running: %v", err)
	}
	_ = child.Process.Kill()
	_ = child.Wait() // killed
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if gone(pid) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("server %d outlived the test", pid)
		}
	}
}

// gone reports whether a process has ended; as an orphan it may stay a zombie
// for as long as nobody collects it.
func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// Without a binary the tests say which command to run.
func TestNoBinary(t *testing.T) {
	t.Setenv("OCI_SECRETS_VAULT", "")
	t.Setenv("OCI_SECRETS_CACHE", t.TempDir())
	_, err := Launch(Options{})
	if err == nil || !strings.Contains(err.Error(), "test/setup/vault.sh") {
		t.Errorf("%v", err)
	}
}
