// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/hook/delivery"
	"github.com/oci-secrets/oci-secrets/hook/keep"
	"github.com/oci-secrets/oci-secrets/hook/shim/argv"
	"github.com/oci-secrets/oci-secrets/hook/syslog"
	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/spec"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// exec gives the command line for the real runtime's exec: one whose process
// has the variables of the container's first process. What the caller of exec
// sets itself wins over them.
func (s *shim) exec(ctx context.Context) (args []string, err error) {
	c, asked, err := s.find()
	if err != nil || asked.None() {
		return s.Args, err
	}
	if err := hide(); err != nil { // a token may be in the settings
		return nil, err
	}
	settings, err := s.start.Settings(ctx)
	if err != nil {
		return nil, err
	}
	file := s.processFile()
	isFile := file != ""
	if settings.Runtime.Exec == "off" || !isFile && s.delivery(settings) == inSpec { // which has them in its own copy of the spec
		return s.Args, nil
	}
	vars, err := keep.Get(settings.StateDir, c.Container)
	if err != nil { // it is lost, or was never kept
		if !errors.Is(err, fs.ErrNotExist) {
			syslog.Error("exec in container " + c.ID + ": what was kept is not used: " + err.Error())
		}
		var keepThem func()
		if vars, keepThem, err = s.askAgain(ctx, c, asked, settings.StateDir); err != nil {
			return nil, fmt.Errorf("exec in container %s: %w", c.ID, err)
		}
		defer func() {
			if err != nil {
				s.start.GiveBack(ctx, c.ID)
				return
			}
			keepThem()
		}()
	}
	var process []byte
	var explicit []string
	if isFile {
		if process, err = os.ReadFile(file); errors.Is(err, fs.ErrNotExist) {
			return s.Args, nil // the runtime says it in its own words
		} else if err != nil {
			return nil, fault.New(fault.Document, "", "exec in container %s: read the process file: %w", c.ID, err)
		}
		explicit, err = c.explicit(process)
	} else {
		process, explicit, err = s.processOf(c)
	}
	if err != nil {
		return nil, fmt.Errorf("exec in container %s: %w", c.ID, err)
	}
	if process, err = withVariables(process, vars, explicit); err != nil {
		return nil, fmt.Errorf("exec in container %s: %w", c.ID, err)
	}
	fd, err := s.inMemory(process)
	if err != nil {
		return nil, fault.New(fault.Delivery, "", "exec in container %s: keep the process file in memory: %w", c.ID, err)
	}
	inMemory := "/proc/self/fd/" + strconv.Itoa(fd)
	if isFile {
		return s.withProcessFile(inMemory), nil
	}
	return s.execArgs(inMemory, c.ID), nil
}

// askAgain gives what the container asks for. Where something was leased for it
// that lives as long as the container, and so keepThem is to be called when it is
// certain that it is used: the next exec is to get the same.
func (s *shim) askAgain(ctx context.Context, c *container, asked spec.Asked, stateDir string) (vars []string, keepThem func(), err error) {
	pid := s.pid(c.ID)
	var resolved []resolver.Variable
	err = s.start.Tell(ctx, delivery.Exec, c.ID, asked, func(ctx context.Context) (err error) {
		resolved, err = s.start.Resolve(ctx, resolver.Container{
			ID: c.ID, Bundle: c.Bundle, Pid: pid, Spec: func() (*spec.Doc, error) { return c.doc, nil },
		}, asked)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	vars = resolver.Env(resolved)
	return vars, func() {
		if !slices.ContainsFunc(resolved, func(v resolver.Variable) bool { return v.Lease != "" }) {
			return
		}
		if err := keep.Put(stateDir, c.Container, pid, vars); err != nil {
			syslog.Error("container " + c.ID + ": its variables are not kept for exec: " + err.Error())
		}
	}, nil
}

// processFile is the file after --process; "" where the process is described by
// the command line, as it is for runc also with an empty name.
func (s *shim) processFile() string {
	file, _ := argv.Last(s.Local, "process")
	return file
}

// explicit gives what the caller of exec sets in the process that an engine
// wrote: what stands in its environment as it stands in the container's
// configuration is not the caller's.
func (c *container) explicit(process []byte) ([]string, error) {
	doc, err := spec.ParseProcess(process)
	if err != nil {
		return nil, fault.New(fault.Document, "", "read the process file: %w", err)
	}
	env, err := doc.Env()
	if err != nil {
		return nil, fault.New(fault.Document, "", "read the process file: %w", err)
	}
	own, err := c.doc.Env()
	if err != nil {
		return nil, err
	}
	has := make(map[string]bool, len(own)) // an image may have many
	for _, e := range own {
		has[e] = true
	}
	return slices.DeleteFunc(env, func(e string) bool { return has[e] }), nil
}

// withVariables gives the process with vars, but for those that explicit sets.
func withVariables(process []byte, vars, explicit []string) ([]byte, error) {
	set := map[string]bool{}
	for _, e := range explicit {
		name, _, _ := strings.Cut(e, "=")
		set[name] = true
	}
	var add []string
	for _, v := range vars {
		if name, _, _ := strings.Cut(v, "="); !set[name] {
			add = append(add, v)
		}
	}
	doc, err := spec.ParseProcess(process)
	if err != nil {
		return nil, err
	}
	return doc.WithEnv(add)
}

// inMemory puts b into a file that is nowhere but in memory, and gives its
// descriptor, which the real runtime inherits. It is above all that the process
// is to inherit, which runtimes take from 3 on without gaps, and like all others
// it is closed to the process by every runtime.
func (s *shim) inMemory(b []byte) (int, error) {
	low, err := unix.MemfdCreate("oci-secrets-process", 0)
	if err != nil {
		return -1, err
	}
	defer func() { _ = unix.Close(low) }() // the other one is written to
	preserve, _ := argv.Last(s.Local, "preserve-fds")
	n, _ := strconv.Atoi(preserve)
	listen, _ := strconv.Atoi(os.Getenv("LISTEN_FDS")) // sd_listen_fds(3)
	fd, err := unix.FcntlInt(uintptr(low), unix.F_DUPFD, 3+max(n, 0)+max(listen, 0))
	if err != nil {
		return -1, err
	}
	for done := 0; done < len(b); {
		n, err := unix.Write(fd, b[done:])
		if err != nil {
			return -1, err
		}
		done += n
	}
	return fd, nil
}

// withProcessFile is the command line with another process file. All the rest of
// it stays, also what is not known.
func (s *shim) withProcessFile(file string) []string {
	args := slices.Clone(s.Args)
	for _, o := range s.Local {
		if o.Known && o.Name == "process" { // whose value ends its last argument
			args[o.To-1] = strings.TrimSuffix(args[o.To-1], o.Value) + file
		}
	}
	return args
}

// absorbed are the flags that a process file takes the place of.
var absorbed = []string{"process", "cwd", "env", "tty", "user", "additional-gids", "process-label", "apparmor", "no-new-privs", "cap"}

// execArgs is the command line of an exec of a process file in the place of one
// that describes the process. It has no flags that are not known (find).
func (s *shim) execArgs(file, id string) []string {
	args := slices.Clone(s.Args[:s.At+1])
	for _, o := range s.Local {
		switch {
		case slices.Contains(absorbed, o.Name):
		case argv.TakesValue(o.Name):
			args = append(args, "--"+o.Name, o.Value)
		case o.Value != "":
			args = append(args, "--"+o.Name+"="+o.Value)
		default:
			args = append(args, "--"+o.Name)
		}
	}
	return append(args, "--process", file, "--", id)
}
