// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/hook/delivery"
	"github.com/oci-secrets/oci-secrets/hook/shim/argv"
	"github.com/oci-secrets/oci-secrets/hook/start"
	"github.com/oci-secrets/oci-secrets/resolver/config"
	"github.com/oci-secrets/oci-secrets/spec"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// create makes sure that the container of a bundle gets what it asks for.
func (s *shim) create(ctx context.Context) error {
	path := s.ConfigPath()
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the runtime says it in its own words
	}
	if err != nil {
		return fault.New(fault.Document, "", "what the container asks for cannot be told: %w", err)
	}
	doc, asked, err := read(b, s.id())
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if asked.None() {
		return nil
	}
	if err := hide(); err != nil { // a token may be in the settings
		return err
	}
	settings, err := s.start.Settings(ctx)
	if err != nil {
		return err
	}
	if s.delivery(settings) == inSpec {
		return s.start.Tell(ctx, delivery.ShimSpec, s.id(), asked, func(ctx context.Context) error {
			return s.deliverSpec(ctx, path, doc, asked, settings)
		})
	}
	amended, err := withHook(doc, settings, spec.Prestart, spec.Poststop)
	if err == nil && s.isCrun() && s.showHooks() {
		if doc, err = spec.ParseDoc(amended); err == nil {
			amended, err = doc.WithAnnotation(spec.HookStderr, spec.Stderr)
		}
	}
	if err != nil {
		return fmt.Errorf("list the hook in %s: %w", path, err)
	}
	if bytes.Equal(amended, b) {
		return nil
	}
	if err := replaceFile(path, amended); err != nil {
		return fault.New(fault.Document, "", "list the hook in %s: %w", path, err)
	}
	return nil
}

// isCrun reports whether the real runtime is crun, which goes its own ways.
func (s *shim) isCrun() bool { return strings.HasPrefix(filepath.Base(s.real), "crun") }

// showHooks reports whether crun is to be asked, by an annotation, to show what
// its hooks say. Otherwise nobody learns why there is no container. Engines that
// read the runtime's errors from a file take that for all there is. What cannot
// be opened by its name, as a socket or what another user opened before su, crun
// would refuse the container for.
//
// A file that is opened by its name is written to from another place than ours, so
// what crun says itself would overwrite what the hook has said. Appending, both
// write at the end.
func (s *shim) showHooks() bool {
	if log, _ := argv.Last(s.Global, "log"); log != "" {
		return false
	}
	f, err := os.OpenFile(spec.Stderr, os.O_WRONLY|os.O_APPEND|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // nothing was written
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		flags, err := unix.FcntlInt(os.Stderr.Fd(), unix.F_GETFL, 0)
		if err == nil {
			_, err = unix.FcntlInt(os.Stderr.Fd(), unix.F_SETFL, flags|unix.O_APPEND)
		}
		return err == nil
	}
	return true
}

// read gives what the config.json of the container called id asks for. One that cannot be read is left to
// the runtime, which will not take it either, unless it may ask: runtimes are
// more lenient than we are.
func read(b []byte, id string) (*spec.Doc, spec.Asked, error) {
	doc, err := spec.ParseDoc(b)
	if err != nil {
		if !mayAsk(b) {
			err = nil
		}
		return nil, spec.Asked{}, err
	}
	annotations, err := doc.Annotations()
	if err != nil {
		return nil, spec.Asked{}, err
	}
	asked, err := start.Asked(annotations, id)
	return doc, asked, err
}

// mayAsk reports whether the name of an annotation of ours may stand in b.
func mayAsk(b []byte) bool {
	return bytes.Contains(bytes.ToLower(b), []byte("secrets.oci")) || bytes.Contains(b, []byte(`\u`))
}

// The ways of delivery, as the settings have them.
const (
	inFlight = "inflight"
	inSpec   = "spec"
)

// delivery is the way for the containers of the real runtime.
func (s *shim) delivery(settings *config.Settings) string {
	program := filepath.Base(s.real)
	if way, ok := settings.Runtime.Delivery[program]; ok {
		return way
	}
	if strings.HasPrefix(program, "runsc") || strings.HasPrefix(program, "kata") {
		return inSpec
	}
	return inFlight
}

// withHook lists the hook, which is this binary.
func withHook(doc *spec.Doc, settings *config.Settings, stages ...string) ([]byte, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	keep := settings.StateDir
	if settings.Runtime.Exec == "off" {
		keep = ""
	}
	return doc.WithHook(self, spec.HookArgs(config.ForHook(""), keep), stages...)
}

// replaceFile puts b in the place of a file of the engine's, which has the same
// mode and owner afterwards, and at no moment anything but the one or the other
// content. It is not synchronised with the disk: an engine writes the file anew
// for each start, and after a failure of power none of its containers runs.
func replaceFile(path string, b []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".config.json.")
	if err != nil {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t)
	_, err = temp.Write(b)
	err = errors.Join(err, temp.Chmod(info.Mode()), temp.Chown(int(owner.Uid), int(owner.Gid)), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return nil
}
