// SPDX-License-Identifier: Apache-2.0

package inflight

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// Target is a process that was proved to be a container's init which waits for
// this hook. It must be closed.
type Target struct {
	pid   int
	pidfd *os.File // keeps the pid from meaning another process
}

// Close forgets the target.
func (t *Target) Close() { _ = t.pidfd.Close() } // nothing was written

const stageHint = "in the createContainer and startContainer stages a hook runs inside the container and cannot trace it; list it under createRuntime or prestart"

// sharedHint is for what shares the hook's mounts: a container that has none of
// its own, most likely.
const sharedHint = "a container without a mount namespace of its own cannot be told from the host's processes; " + bySpec +
	"; otherwise list the hook under createRuntime or prestart"

// orphanHint is for an init that the runtime is not the parent of. crun makes it
// the child of a child, which ends, for a user namespace or a pid namespace that it
// joins (src/libcrun/linux.c, libcrun_run_linux_container). Whoever adopts it is
// above all hooks, so nothing tells it from the inits of other containers.
const orphanHint = "`crun create` leaves the init of a container with a user namespace, or with a pid namespace that it joins, to pid 1: " +
	"have a subreaper above it, as engines do, or use `crun run`; " + bySpec

// Find proves that pid is what a runtime's state says it is: the init of a
// container that this process is a hook of. It touches nothing.
//
// A container's init is a child of the runtime, and the runtime is an ancestor
// of its hooks; the init lives in a mount namespace of its own. No other
// process has both properties: the host's pid 1 and a stranger are not
// children of the runtime, nor is another container's init, whose runtime has
// gone or is another one; and a sibling of the runtime shares its mounts. The
// namespaces also tell the stages where the pid means nothing here
// (runtime-spec, config.md, "POSIX-platform Hooks").
func Find(pid int) (*Target, error) {
	// /proc of another pid namespace, or none: the numbers in it are not ours.
	if self, err := os.Readlink("/proc/self"); err != nil || self != strconv.Itoa(os.Getpid()) {
		return nil, fault.New(fault.Delivery, stageHint, "this hook runs inside the container's namespaces, where pid %d means nothing", pid)
	}
	if pid <= 0 { // crun, where a hook runs inside the container
		return nil, fault.New(fault.Document, stageHint, "the state has pid %d: there is no process to deliver to", pid)
	}
	if pid == os.Getppid() {
		return nil, fault.New(fault.Delivery, stageHint, "process %d runs this hook itself, it does not wait for it", pid)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	switch {
	case err == nil:
	case errors.Is(err, unix.ESRCH) && os.Getppid() == 1:
		return nil, fault.New(fault.Delivery, stageHint, "there is no process %d where this hook runs", pid)
	case errors.Is(err, unix.ESRCH):
		return nil, notTheContainers(pid, stageHint, "it does not exist")
	case errors.Is(err, unix.EINVAL):
		return nil, notTheContainers(pid, stageHint, "it is a thread")
	default: // or behind a seccomp filter that does not know the call
		return nil, fault.New(fault.Delivery, "Linux 5.3 or later is needed, and a filter that allows pidfd_open; "+otherwise, "hold process %d by a pidfd: %w", pid, err)
	}
	t := &Target{pid, os.NewFile(uintptr(fd), "pidfd")}
	if err := t.check(); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

func (t *Target) check() error {
	parent, err := parentOf(t.pid)
	if err != nil {
		return notTheContainers(t.pid, stageHint, "it does not exist")
	}
	if !isAncestor(parent) {
		return notTheContainers(t.pid, stageHint, "it is not a child of the runtime that runs this hook")
	}
	if vm := machineName(t.pid, parent); vm != "" {
		return fault.New(fault.Delivery, otherwise, "the container runs in %s, whose program is not a process of this kernel", vm)
	}
	ours, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return fault.New(fault.Delivery, "", "read the own mount namespace: %w", err)
	}
	theirs, err := os.Readlink("/proc/" + strconv.Itoa(t.pid) + "/ns/mnt")
	if err != nil {
		return fault.New(fault.Delivery, otherwise, "read the mount namespace of process %d: %w", t.pid, err)
	}
	if ours == theirs {
		return notTheContainers(t.pid, sharedHint, "it shares this hook's mount namespace")
	}
	if adopted(parent, ours) {
		return notTheContainers(t.pid, orphanHint, "the runtime that runs this hook is not its parent")
	}
	return nil
}

func notTheContainers(pid int, hint, why string) error {
	return fault.New(fault.Document, hint, "process %d is not the container's: %s", pid, why)
}

// isAncestor reports whether pid is the parent of this process, or the
// parent's parent, and so on.
func isAncestor(pid int) bool {
	for at := os.Getppid(); at > 0; {
		if at == pid {
			return true
		}
		next, err := parentOf(at)
		if err != nil {
			return false
		}
		at = next
	}
	return false
}

// adopted reports whether parent, an ancestor of this process, has the target
// by adoption. Pid 1 and shims adopt the inits of containers whose runtime has
// gone, and they are above every hook. Between a runtime and its hook there may
// be wrappers (a shell, timeout(1)); the runtime is told from those by its own
// container, which is a child with mounts of its own.
func adopted(parent int, mounts string) bool {
	for at := os.Getppid(); at != parent; {
		if parent == 1 || hasContainer(at, mounts) {
			return true
		}
		next, err := parentOf(at)
		if err != nil {
			return true
		}
		at = next
	}
	return false
}

// hasContainer reports whether a child of pid is in another mount namespace
// than the given one. Where that cannot be told, it may be. The children of a
// process are listed by the thread that has made them.
func hasContainer(pid int, mounts string) bool {
	dir := "/proc/" + strconv.Itoa(pid) + "/task"
	threads, err := os.ReadDir(dir)
	if err != nil {
		return true
	}
	for _, thread := range threads {
		children, err := os.ReadFile(dir + "/" + thread.Name() + "/children") // needs CONFIG_PROC_CHILDREN
		if err != nil {
			if _, gone := os.Stat(dir + "/" + thread.Name()); gone != nil {
				continue // only the thread ended
			}
			return true
		}
		for child := range strings.FieldsSeq(string(children)) {
			theirs, err := os.Readlink("/proc/" + child + "/ns/mnt")
			if err == nil && theirs != mounts || errors.Is(err, fs.ErrPermission) {
				return true
			}
		}
	}
	return false
}

// parentOf reads a process's parent. In /proc/PID/stat, the name, which may
// hold anything, stands in parentheses, and the parent second behind it.
func parentOf(pid int) (int, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	s := string(b)
	fields := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	if len(fields) < 2 {
		return 0, errors.New("no parent in /proc/PID/stat")
	}
	return strconv.Atoi(fields[1])
}

// tracerOf is the pid of the process that traces pid; "0" for none.
func tracerOf(pid int) string {
	b, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	_, rest, _ := strings.Cut(string(b), "\nTracerPid:")
	if fields := strings.Fields(rest); len(fields) > 0 {
		return fields[0]
	}
	return "0"
}

// machines are the beginnings of the names of programs that run a container in
// a machine of its own, or in a kernel of their own.
var machines = map[string]string{
	"runsc": "gVisor", "kata": "a Kata machine", "containerd-shim-kata": "a Kata machine",
	"qemu": "a qemu machine", "cloud-hyp": "a Cloud Hypervisor machine", "firecracker": "a Firecracker machine",
	"krun": "a libkrun machine", "crun-vm": "a crun-vm machine", "crun-wasm": "a WebAssembly machine", "youki-wasm": "a WebAssembly machine",
}

// machineName says what runs the container when it is no ordinary process.
func machineName(pids ...int) string {
	for _, pid := range pids {
		dir := "/proc/" + strconv.Itoa(pid)
		exe, _ := os.Readlink(dir + "/exe")
		comm, _ := os.ReadFile(dir + "/comm")
		for prefix, name := range machines {
			if strings.HasPrefix(filepath.Base(exe), prefix) || strings.HasPrefix(string(comm), prefix) {
				return name
			}
		}
	}
	return ""
}
