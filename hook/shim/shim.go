// SPDX-License-Identifier: Apache-2.0

// Package shim is the runtime that engines are told to run in the place of runc
// or crun. It makes sure that a container which asks for secrets has the hook,
// gives exec what the first process got, and replaces itself with the real
// runtime, which gets the same environment, descriptors and process.
//
//	create, run   the hook comes into the bundle's config.json, or, for runtimes
//	              whose containers cannot be traced, the values into a copy of it
//	              that only the runtime sees
//	exec          the process file gets the variables, in a memfd
//	all others    pass on, and so does everything of containers that ask for nothing
//
// It has no flags: an engine decides what stands on its command line. The
// settings and the name it is called by are all it knows.
//
// What it does not protect against: an engine that starts containers through
// another runtime, and flags of future runtimes that give a bundle another way.
package shim

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/hook/pass"
	"github.com/oci-secrets/oci-secrets/hook/report"
	"github.com/oci-secrets/oci-secrets/hook/shim/argv"
	"github.com/oci-secrets/oci-secrets/hook/start"
	"github.com/oci-secrets/oci-secrets/hook/syslog"
	"github.com/oci-secrets/oci-secrets/resolver/config"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// Named reports whether the program was called as the shim, and by which name.
func Named(argv0 string) (name string, ok bool) {
	return filepath.Base(argv0), pass.IsShim(argv0)
}

// The real runtime is started with what this thread has, and the parent's death
// signal, which some engines set, is the first thread's. A lock that is taken
// here holds in main, too, where the shim asks a Vault.
func init() {
	if _, ok := Named(os.Args[0]); ok {
		runtime.LockOSThread()
		environment = pass.Environ()
	}
}

// environment is what the real runtime gets. It is read at once, because after
// hide it is no other user's than root's to read.
var environment []string

// shim is one call of the runtime.
type shim struct {
	*argv.Line
	real  string // absolute path of the real runtime
	start *start.Start
}

// Run does what args, without the program's name, ask the runtime for. It comes
// back where that failed, with the error told to the engine and its user, and
// the exit code; or with start.ErrVault, where openVault is nil and a Vault must
// be asked.
func Run(ctx context.Context, name string, args []string, openVault config.VaultOpener) (code int, err error) {
	s := &shim{Line: argv.Parse(args), start: &start.Start{OpenVault: openVault}}
	if err = s.run(ctx, name); errors.Is(err, start.ErrVault) {
		return 0, err
	}
	return s.tell(err), err
}

func (s *shim) run(ctx context.Context, name string) error {
	var err error
	if s.real, err = findRuntime(name); err != nil {
		return err
	}
	args := s.Args
	defer s.start.Watch(s.tell)()
	switch s.Command {
	case "create", "run":
		err = s.create(ctx)
	case "exec":
		args, err = s.exec(ctx)
	}
	if err != nil {
		return err
	}
	err = s.replace(args)
	if s.Command != "exec" { // whose container runs, and may have it kept
		s.start.GiveBack(ctx, s.id())
	}
	return err
}

// replace makes this process the real runtime.
func (s *shim) replace(args []string) error {
	// The name is a path, because crun runs as krun where it is called so.
	err := syscall.Exec(s.real, append([]string{s.real}, args...), environment)
	return fault.New(fault.Settings, "", "run the runtime %s: %w", s.real, err)
}

// hide makes this process, which is about to hold values, unreadable for its
// equals, and free of core dumps. Unlike start.Harden it leaves nothing that the
// real runtime would inherit.
func hide() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fault.New(fault.Delivery, "", "make this process not dumpable: %w", err)
	}
	return nil
}

// tell writes a failure where it is looked for: standard error, the file that
// the engine reads the runtime's errors from, and the system log.
func (s *shim) tell(err error) int {
	for _, line := range report.Logged(err) {
		syslog.Error(s.Command + " refused: " + line)
	}
	s.log(report.OneLine(err))
	return report.Error(os.Stderr, err)
}
