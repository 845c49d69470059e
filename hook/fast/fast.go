// SPDX-License-Identifier: Apache-2.0

// Package fast serves the two commands that containers wait for, hook and
// precreate, before the rest of the program has been initialised.
//
// Go initialises every package that is linked in, used or not. The Vault
// client, net/http and the command line cost some 2 ms and several MiB, which
// is more than everything else that happens to a container that asks for
// nothing, or only for a file. Packages are initialised in the order of their
// import paths as far as their dependencies allow (Go specification, "Program
// initialization"), so the init of this package, which imports none of those,
// runs before theirs; a test holds it to that. It answers and exits, or, where
// Vault is needed or the command line is not plain, leaves all to main.
package fast

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/oci-secrets/oci-secrets/hook/report"
	"github.com/oci-secrets/oci-secrets/hook/start"
	"github.com/oci-secrets/oci-secrets/hook/syslog"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// Input is what was read from standard input before main took over.
var Input []byte

func init() {
	command, config, ok := plain(os.Args)
	if !ok {
		return
	}
	debug.SetGCPercent(400) // the process is short and its heap small
	s := &start.Start{Config: config}
	if err := Run(context.Background(), s, command); !errors.Is(err, start.ErrVault) {
		os.Exit(Exit(err))
	}
}

// plain reads the command lines that are served here: hook or precreate, and
// at most --config.
func plain(args []string) (command, config string, ok bool) {
	if len(args) < 2 || args[1] != "hook" && args[1] != "precreate" {
		return "", "", false
	}
	rest := args[2:]
	switch len(rest) {
	case 0:
		return args[1], "", true
	case 1:
		config, ok = strings.CutPrefix(rest[0], "--config=")
	case 2:
		config, ok = rest[1], rest[0] == "--config"
	}
	return args[1], config, ok && config != ""
}

// Run serves hook or precreate from the standard streams.
func Run(ctx context.Context, s *start.Start, command string) error {
	if err := start.Harden(); err != nil {
		return err
	}
	if Input == nil {
		var err error
		if Input, err = readInput(os.Stdin); err != nil {
			return err
		}
	}
	if command == "hook" {
		return s.Hook(ctx, Input)
	}
	config, err := s.Precreate(ctx, Input)
	if err != nil {
		return err
	}
	if _, err := os.Stdout.Write(config); err != nil {
		return fault.New(fault.Document, "", "write config.json to standard output: %w", err)
	}
	return nil
}

// maxInput is far above any config.json or state; it keeps a wrong pipe from
// filling the memory.
const maxInput = 64 << 20

func readInput(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	if err != nil {
		return nil, fault.New(fault.Document, "", "read standard input: %w", err)
	}
	if len(b) > maxInput {
		return nil, fault.New(fault.Document, "", "standard input is longer than %d bytes", maxInput)
	}
	return b, nil
}

// Exit tells a failure of hook or precreate to the user and to the system log,
// because some engines show neither standard error nor more than the exit code,
// which it gives.
func Exit(err error) int {
	if err == nil {
		return 0
	}
	for _, line := range report.Lines(err) {
		syslog.Error("container refused: " + line)
	}
	return report.Error(os.Stderr, err)
}
