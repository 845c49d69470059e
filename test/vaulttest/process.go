// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/test/child"
)

// run starts the process and waits until it listens.
func (s *Server) run(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(s.binary, "server", "-config="+s.configFile())
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = s.dir
	cmd.Env = []string{"HOME=" + s.dir, "TMPDIR=" + s.dir} // none of the test's VAULT_* variables
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	child.WithFamily(cmd.SysProcAttr) // plugins outlive a killed server
	if s.process, err = child.Start(cmd); err != nil {
		return err
	}
	var last error
	ended := false
	err = poll(ctx, func() bool {
		select {
		case <-s.process.Exited:
			ended = true
			return true
		default:
		}
		_, last = s.Client.Sys().SealStatusWithContext(ctx)
		return last == nil
	})
	if ended {
		return errors.New("the server ended")
	}
	if err != nil {
		return fmt.Errorf("%w; last seen: %w", err, last)
	}
	return nil
}

// Log is what the server printed.
func (s *Server) Log() string {
	log, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(log)
}

// Stop kills the server with SIGKILL and waits for its end. What it left stays,
// its CA file among it. Stopping twice is fine.
func (s *Server) Stop() {
	if s.process != nil {
		s.process.End()
	}
}

// Restart starts a stopped server again, on its port and with its data, and
// unseals it. One of a cluster may not know of a leader then: see WaitLeader.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.RestartSealed(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := s.unsealed(ctx); err != nil {
		t.Fatalf("unseal the server again: %v\n%s", err, s.Log())
	}
}

// RestartSealed is Restart for who wants a sealed server. It is the only way to
// one that does not lead: a standby seals itself for nobody.
func (s *Server) RestartSealed(t testing.TB) {
	t.Helper()
	if s.forgets {
		t.Fatal("a server with in-memory storage has nothing to start again with; use Options.Persistent")
	}
	s.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := s.run(ctx); err != nil {
		t.Fatalf("start the server again: %v\n%s", err, s.Log())
	}
}

// Freeze stops the server in its tracks: the kernel goes on taking connections
// for it, and nothing answers. Stop and Close end a frozen one too.
func (s *Server) Freeze(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGSTOP)
	stat := fmt.Sprintf("/proc/%d/stat", s.process.Pid)
	err := poll(t.Context(), func() bool {
		data, err := os.ReadFile(stat)
		return err != nil || bytes.Contains(data, []byte(") T "))
	})
	if err != nil {
		t.Fatalf("freeze the server: %v", err)
	}
}

// Thaw lets a frozen server go on.
func (s *Server) Thaw(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGCONT)
}

func (s *Server) signal(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if err := s.process.Signal(signal); err != nil {
		t.Fatalf("%v to the server: %v", signal, err)
	}
}

// Close stops the server and removes what it left.
func (s *Server) Close() {
	s.Stop()
	_ = os.RemoveAll(s.dir) // temporary
}
