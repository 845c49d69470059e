// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/hook/keep"
	"github.com/oci-secrets/oci-secrets/hook/shim/argv"
	"github.com/oci-secrets/oci-secrets/hook/syslog"
	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/config"
	"github.com/oci-secrets/oci-secrets/resolver/memory"
	"github.com/oci-secrets/oci-secrets/resolver/private"
	"github.com/oci-secrets/oci-secrets/spec"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// deliverSpec is for runtimes whose containers no process of this kernel can
// trace. The variables come into a copy of config.json on a file system in
// memory, which in a mount namespace of the runtime's own stands in the place
// of the engine's file. That one stays as it is, the bundle keeps its path, and
// nobody outside the namespace sees the copy, which goes with the last process in
// it: runsc's own processes have others. What the runtime itself keeps of its
// spec is out of our hands (SECURITY.md).
func (s *shim) deliverSpec(ctx context.Context, path string, doc *spec.Doc, asked spec.Asked, settings *config.Settings) (err error) {
	bundle, _ := argv.Last(s.Local, "bundle") // which runsc tells as it was told it
	if bundle == "" {
		var err error
		if bundle, err = os.Getwd(); err != nil {
			return fault.New(fault.Document, "", "there is no bundle: %w", err)
		}
	}
	c := resolver.Container{ID: s.id(), Bundle: bundle, Spec: func() (*spec.Doc, error) { return doc, nil }}
	vars, err := s.start.Resolve(ctx, c, asked)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.start.GiveBack(ctx, c.ID)
		}
	}()
	defer resolver.RecordOf(ctx).Phase("deliver")()
	env := resolver.Env(vars)
	amended, err := withValues(doc, env, settings)
	if err != nil {
		return fmt.Errorf("amend a copy of %s: %w", path, err)
	}
	defer clear(amended)
	if settings.Runtime.Exec == "on" {
		// Without it exec asks the sources again; that is no reason to refuse.
		if err := keep.Put(settings.StateDir, keep.Container{ID: c.ID, Bundle: c.Bundle}, 0, env); err != nil {
			syslog.Error("container " + c.ID + ": its variables are not kept for exec: " + err.Error())
		}
	}
	if err := cover(path, amended, settings.StateDir); err != nil {
		return fault.New(fault.Delivery, "", "cover %s with a copy in memory: %w", path, err)
	}
	return nil
}

// withValues gives the document with env. A hook of ours would refuse such a
// container; what it does at poststop is needed where something is kept or leased.
func withValues(doc *spec.Doc, env []string, settings *config.Settings) ([]byte, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	steps := []func(*spec.Doc) ([]byte, error){
		func(d *spec.Doc) ([]byte, error) { return d.WithoutHook(self) },
		func(d *spec.Doc) ([]byte, error) { return d.WithEnv(env) },
	}
	if settings.Runtime.Exec == "on" || settings.Vault != nil && len(settings.Vault.Dynamic) > 0 {
		steps = append(steps, func(d *spec.Doc) ([]byte, error) { return withHook(d, settings, spec.Poststop) })
	}
	var b []byte
	for _, step := range steps {
		if b, err = step(doc); err != nil {
			return nil, err
		}
		if doc, err = spec.ParseDoc(b); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// cover puts a file that holds b over the one at path, in a mount namespace
// that this thread and what it executes are in from here on. place is a
// directory to mount at for a moment, which nobody else notices.
func cover(path string, b []byte, place string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := private.MakeAll(place); err != nil { // nobody has where nothing is kept
		return err
	}
	runtime.LockOSThread() // and never unlock: it is to become the runtime
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	// What the engine mounts later is seen here; what is mounted here is not there.
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return err
	}
	if err := memory.Mount(place); err != nil {
		return err
	}
	root, err := memory.Open(place)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // only opened
	f, err := root.OpenFile("config.json", os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // its writes are checked
	owner := info.Sys().(*syscall.Stat_t)
	if _, err := f.Write(b); err != nil {
		return err
	}
	if err := f.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
		return err
	}
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), path, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	at, err := private.Locate(place)
	if err != nil {
		return err
	}
	defer at.Close()
	return unix.Unmount(at.Path(), unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
}

// id is the container's id.
func (s *shim) id() string {
	if s.Rest < len(s.Args) {
		return s.Args[s.Rest]
	}
	return ""
}
