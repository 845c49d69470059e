// SPDX-License-Identifier: Apache-2.0

// Package fast serves what containers wait for, the commands hook and precreate
// and the runtime shim, before the Vault client and the command line have been
// initialised: those cost some 2 ms and several MiB, which is more than all the
// rest of a start that asks a file. How the order comes about is described in
// package pass, which comes first; a test holds both to it. Where Vault is
// needed, or the command line is not plain, all is left to main.
package fast

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime/debug"

	"github.com/oci-secrets/oci-secrets/hook/pass"
	"github.com/oci-secrets/oci-secrets/hook/report"
	"github.com/oci-secrets/oci-secrets/hook/shim"
	"github.com/oci-secrets/oci-secrets/hook/start"
	"github.com/oci-secrets/oci-secrets/hook/syslog"
	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/spec/limit"
)

func init() {
	name, isShim := shim.Named(os.Args[0])
	if !isShim && pass.Command == "" {
		return
	}
	debug.SetGCPercent(400) // the process is short and its heap small, unless somebody wants it large
	debug.SetMemoryLimit(limit.Memory)
	if isShim {
		if code, err := shim.Run(context.Background(), name, os.Args[1:], nil); !errors.Is(err, start.ErrVault) {
			os.Exit(code)
		}
		return
	}
	s := &start.Start{Config: pass.Config, Keep: pass.Keep}
	if err := Run(context.Background(), s, pass.Command); !errors.Is(err, start.ErrVault) {
		os.Exit(Exit(err))
	}
}

// Run serves hook or precreate from the standard streams.
func Run(ctx context.Context, s *start.Start, command string) error {
	defer s.Watch(Exit)()
	if err := start.Harden(); err != nil {
		return err
	}
	input, err := readInput()
	if err != nil {
		return err
	}
	if command == "hook" {
		return s.Hook(ctx, input)
	}
	config, err := s.Precreate(ctx, input)
	if err != nil {
		return err
	}
	if _, err := os.Stdout.Write(config); err != nil {
		return fault.New(fault.Document, "", "write config.json to standard output: %w", err)
	}
	return nil
}

// readInput gives what is on standard input, which was read already where
// package pass took part.
func readInput() ([]byte, error) {
	b := pass.Input
	if pass.Command == "" {
		var err error
		if b, err = io.ReadAll(io.LimitReader(os.Stdin, pass.MaxInput+1)); err != nil {
			return nil, fault.New(fault.Document, "", "read standard input: %w", err)
		}
	}
	if len(b) > pass.MaxInput {
		return nil, fault.New(fault.Document, "", "standard input is longer than %d bytes", pass.MaxInput)
	}
	return b, nil
}

// Exit tells a failure of hook or precreate to the user and to the system log,
// because some engines show neither standard error nor more than the exit code,
// which it gives.
//
// Standard error of a [start.Redirected] may be any file of the host's. It gets one
// line that is the same for all: a comment to shells, cron and ld.so, without a
// path, because ld.so would load even /dev/stderr, which is its user's to choose.
func Exit(err error) int {
	if err == nil {
		return 0
	}
	for _, line := range report.Logged(err) {
		syslog.Error("container refused: " + line)
	}
	if errors.As(err, &start.Redirected{}) {
		_, _ = os.Stderr.WriteString("# oci-secrets refuses this container, see the system log\n")
		return report.Code(err)
	}
	return report.Error(os.Stderr, err)
}
