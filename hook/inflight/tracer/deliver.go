// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pageSize is the smallest page of the machines we know; a stack grows by the
// page that is touched, whatever its size.
const pageSize = 4096

// deliver is called with the process stopped in its exec. When it returns nil,
// the process is on its own, with its variables.
func (t *tracer) deliver() error {
	regs, err := t.registers()
	if err != nil {
		return fmt.Errorf("read registers: %w", err)
	}
	stack, err := t.mapping(regs.get(regs.abi.sp))
	if err != nil {
		return fmt.Errorf("find the stack: %w", err)
	}
	im := &image{abi: regs.abi, sp: regs.get(regs.abi.sp)}
	im.data = make([]byte, stack.end-im.sp)
	if err := t.read(im.sp, im.data); err != nil {
		return fmt.Errorf("read the stack: %w", err)
	}
	next, err := im.rebuild(t.vars)
	if err != nil {
		return err
	}
	limit, err := stackLimit(t.pid)
	if err != nil {
		return err
	}
	if used := stack.end - next.sp; used > limit {
		return fmt.Errorf("arguments and environment take %d bytes of stack; %d are allowed (half of RLIMIT_STACK, 6 MiB at most)", used, limit)
	}
	var held int // a signal that arrived while we were at work
	if next.sp < stack.start {
		if held, err = t.growStack(im, regs, next.sp); err != nil {
			return err
		}
	}
	if err := t.write(next.strings, t.vars); err != nil {
		return fmt.Errorf("write the variables: %w", err)
	}
	if err := t.write(next.sp, next.block); err != nil {
		return fmt.Errorf("write the stack: %w", err)
	}
	regs.put(regs.abi.sp, next.sp)
	if err := t.setRegisters(regs); err != nil {
		return fmt.Errorf("move the stack pointer: %w", err)
	}
	t.wipe()
	if err := ptrace(unix.PTRACE_DETACH, t.pid, 0, uintptr(held)); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("detach: %w", err)
	}
	return nil
}

// growStack makes the kernel extend the stack down to addr.
//
// The kernel maps 128 KiB below the initial stack, less under a small
// RLIMIT_STACK (fs/exec.c, setup_arg_pages), and since Linux 6.5 it does not
// extend a stack for another process's access. For the process's own access it
// does, also from within a system call; so the process is made to ask for its
// signal mask to be stored at addr: rt_sigprocmask(SIG_BLOCK, NULL, addr, 8).
// The call is one that every libc makes and so every seccomp filter allows, it
// changes nothing, and the instruction for it is in the vdso. What grows is
// the stack itself, with the life time that an environment has anyway.
//
// The registers in regs are those that the process must go on with; they are
// in effect again when growStack returns.
func (t *tracer) growStack(im *image, regs *registers, addr uint64) (held int, err error) {
	trap, err := t.findTrap(im)
	if err != nil {
		return 0, err
	}
	var mask, all uint64 = 0, ^uint64(0)
	if err := ptraceData(unix.PTRACE_GETSIGMASK, t.pid, 8, unsafe.Pointer(&mask)); err != nil {
		return 0, fmt.Errorf("read the signal mask: %w", err)
	}
	if err := ptraceData(unix.PTRACE_SETSIGMASK, t.pid, 8, unsafe.Pointer(&all)); err != nil {
		return 0, fmt.Errorf("block signals: %w", err)
	}
	// First out of the exec: its return value is only written on the way out.
	if err := t.nextSyscallStop(&held); err != nil {
		return 0, err
	}
	after, err := t.registers()
	if err != nil {
		return 0, err
	}
	call := *after
	a := call.abi
	call.put(a.pc, trap)
	call.put(a.nr, a.procmask)
	for i, v := range []uint64{0, 0, addr &^ (pageSize - 1), 8} {
		call.put(a.args[i], v)
	}
	if err := t.setRegisters(&call); err != nil {
		return 0, err
	}
	for range 2 { // into the call and out of it
		if err := t.nextSyscallStop(&held); err != nil {
			return 0, err
		}
	}
	result, err := t.registers()
	if err != nil {
		return 0, err
	}
	if got := result.get(a.ret); got != 0 {
		return 0, fmt.Errorf("the stack cannot grow to hold the variables: rt_sigprocmask gives %#x (a seccomp filter, or RLIMIT_STACK)", got)
	}
	if err := t.setRegisters(after); err != nil {
		return 0, err
	}
	*regs = *after
	if err := ptraceData(unix.PTRACE_SETSIGMASK, t.pid, 8, unsafe.Pointer(&mask)); err != nil {
		return 0, fmt.Errorf("unblock signals: %w", err)
	}
	return held, nil
}

// nextSyscallStop lets the process go on to its next system call stop. SIGSTOP
// cannot be blocked, so one that comes in between is held for the detach.
func (t *tracer) nextSyscallStop(held *int) error {
	for {
		if err := ptrace(unix.PTRACE_SYSCALL, t.pid, 0, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("run to a system call: %w", err)
		}
		_, status, err := wait(t.pid)
		switch {
		case err != nil:
			return fmt.Errorf("wait for a system call: %w", err)
		case !status.Stopped():
			return errEnded
		case status.StopSignal() == sysStop:
			return nil
		case event(status) == 0:
			*held = int(status.StopSignal())
		}
	}
}

// findTrap finds an instruction that makes a system call, in the vdso.
func (t *tracer) findTrap(im *image) (uint64, error) {
	base, ok := im.aux(im.abi.base)
	if !ok || im.abi.trap == nil {
		return 0, fmt.Errorf("the stack cannot grow to hold the variables: no vdso (%s)", im.abi.name)
	}
	page := make([]byte, pageSize)
	for at := base; at < base+4*pageSize; { // a vdso has two pages or so
		chunk := page[:pageSize-at%pageSize]
		if t.read(at, chunk) != nil {
			break
		}
		if i := bytes.Index(chunk, im.abi.trap); i >= 0 {
			return at + uint64(i), nil //nolint:gosec // an index is not negative
		}
		at += uint64(len(chunk))
	}
	return 0, fmt.Errorf("the stack cannot grow to hold the variables: the vdso makes no system call (%s)", im.abi.name)
}

// registers reads the registers; their number tells what the program is built
// for.
func (t *tracer) registers() (*registers, error) {
	r := &registers{}
	iov := unix.Iovec{Base: &r.set[0]}
	iov.SetLen(len(r.set))
	if err := ptraceData(unix.PTRACE_GETREGSET, t.pid, unix.NT_PRSTATUS, unsafe.Pointer(&iov)); err != nil {
		return nil, err
	}
	if r.abi = abiOf(runtime.GOARCH, int(iov.Len)); r.abi == nil { //nolint:gosec // at most maxRegs
		return nil, fmt.Errorf("a program for an unknown machine: %d bytes of registers", iov.Len)
	}
	return r, nil
}

func (t *tracer) setRegisters(r *registers) error {
	iov := unix.Iovec{Base: &r.set[0]}
	iov.SetLen(r.abi.size)
	return ptraceData(unix.PTRACE_SETREGSET, t.pid, unix.NT_PRSTATUS, unsafe.Pointer(&iov))
}

// read fills b from the process's memory at addr.
func (t *tracer) read(addr uint64, b []byte) error {
	return t.transfer(addr, b, unix.ProcessVMReadv)
}

// write puts b into the process's memory at addr.
func (t *tracer) write(addr uint64, b []byte) error {
	return t.transfer(addr, b, unix.ProcessVMWritev)
}

func (t *tracer) transfer(addr uint64, b []byte, move func(int, []unix.Iovec, []unix.RemoteIovec, uint) (int, error)) error {
	for len(b) > 0 {
		local := unix.Iovec{Base: &b[0]}
		local.SetLen(len(b))
		n, err := move(t.pid, []unix.Iovec{local}, []unix.RemoteIovec{{Base: uintptr(addr), Len: len(b)}}, 0)
		if err != nil {
			return err
		}
		if n == 0 {
			return errors.New("nothing was moved")
		}
		b, addr = b[n:], addr+uint64(n) //nolint:gosec // n is positive
	}
	return nil
}
