// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"errors"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"
)

// pageSize is the smallest page of the machines we know; a stack grows by the
// page that is touched, whatever its size.
const pageSize = 4096

// deliver is called with the process stopped in its exec. When it returns nil,
// the process is on its own, with its variables.
func (t *tracer) deliver() error {
	regs, err := t.registers()
	if err != nil {
		return wrap("read registers", err)
	}
	stack, err := t.mapping(regs.get(regs.abi.sp))
	if err != nil {
		return wrap("find the stack", err)
	}
	im := &image{abi: regs.abi, sp: regs.get(regs.abi.sp)}
	im.data = make([]byte, stack.end-im.sp)
	if err := t.read(im.sp, im.data); err != nil {
		return wrap("read the stack", err)
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
		return tooLarge(used, limit)
	}
	var held int // a signal that arrived while we were at work
	if next.sp < stack.start {
		if held, err = t.growStack(im, regs, next.sp); err != nil {
			return err
		}
	}
	if err := t.write(next.strings, t.vars); err != nil {
		return wrap("write the variables", err)
	}
	if err := t.write(next.sp, next.block); err != nil {
		return wrap("write the stack", err)
	}
	regs.put(regs.abi.sp, next.sp)
	if err := t.setRegisters(regs); err != nil {
		return wrap("move the stack pointer", err)
	}
	if err := ptrace(syscall.PTRACE_DETACH, t.pid, uintptr(held)); err != nil && !errors.Is(err, syscall.ESRCH) {
		return wrap("detach", err)
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
	if err := ptraceData(ptraceGetSigMask, t.pid, 8, unsafe.Pointer(&mask)); err != nil {
		return 0, wrap("read the signal mask", err)
	}
	if err := ptraceData(ptraceSetSigMask, t.pid, 8, unsafe.Pointer(&all)); err != nil {
		return 0, wrap("block signals", err)
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
		return 0, cannotGrow("rt_sigprocmask is refused by a seccomp filter or by RLIMIT_STACK, with " + strconv.FormatInt(int64(got), 10))
	}
	if err := t.setRegisters(after); err != nil {
		return 0, err
	}
	*regs = *after
	if err := ptraceData(ptraceSetSigMask, t.pid, 8, unsafe.Pointer(&mask)); err != nil {
		return 0, wrap("unblock signals", err)
	}
	return held, nil
}

// nextSyscallStop lets the process go on to its next system call stop. SIGSTOP
// cannot be blocked, so one that comes in between is held for the detach.
func (t *tracer) nextSyscallStop(held *int) error {
	for {
		if err := ptrace(syscall.PTRACE_SYSCALL, t.pid, 0); err != nil && !errors.Is(err, syscall.ESRCH) {
			return wrap("run to a system call", err)
		}
		_, status, err := wait(t.pid)
		switch {
		case err != nil:
			return wrap("wait for a system call", err)
		case status.Signaled() && status.Signal() == syscall.SIGSYS:
			return cannotGrow("a seccomp filter kills the process for it")
		case !status.Stopped():
			return errEnded
		case status.StopSignal() == sysStop:
			return nil
		case event(status) == 0:
			*held = int(status.StopSignal())
		}
	}
}

func cannotGrow(why string) error {
	return errors.New("the stack cannot grow to hold the variables: " + why)
}

// findTrap finds an instruction that makes a system call, in the vdso.
func (t *tracer) findTrap(im *image) (uint64, error) {
	base, ok := im.aux(im.abi.base)
	if !ok || im.abi.trap == nil {
		return 0, cannotGrow("there is no vdso, in " + im.abi.name)
	}
	page := make([]byte, pageSize)
	for at := base; at < base+4*pageSize; { // a vdso has two pages or so
		chunk := page[:pageSize-at%pageSize]
		if t.read(at, chunk) != nil {
			break
		}
		for i := range len(chunk) - len(im.abi.trap) + 1 {
			if string(chunk[i:i+len(im.abi.trap)]) == string(im.abi.trap) {
				return at + uint64(i), nil
			}
		}
		at += uint64(len(chunk))
	}
	return 0, cannotGrow("the vdso makes no system call, in " + im.abi.name)
}

// registers reads the registers; their number tells what the program is built
// for.
func (t *tracer) registers() (*registers, error) {
	r := &registers{}
	iov := syscall.Iovec{Base: &r.set[0], Len: uint64(len(r.set))}
	if err := ptraceData(ptraceGetRegSet, t.pid, ntPRStatus, unsafe.Pointer(&iov)); err != nil {
		return nil, err
	}
	if r.abi = abiOf(runtime.GOARCH, int(iov.Len)); r.abi == nil { // at most maxRegs
		return nil, errors.New("a program for an unknown machine, with " + strconv.FormatUint(iov.Len, 10) + " bytes of registers")
	}
	return r, nil
}

func (t *tracer) setRegisters(r *registers) error {
	iov := syscall.Iovec{Base: &r.set[0], Len: uint64(r.abi.size)}
	return ptraceData(ptraceSetRegSet, t.pid, ntPRStatus, unsafe.Pointer(&iov))
}

// read fills b from the process's memory at addr.
func (t *tracer) read(addr uint64, b []byte) error { return transfer(t.pid, addr, b, false) }

// write puts b into the process's memory at addr.
func (t *tracer) write(addr uint64, b []byte) error { return transfer(t.pid, addr, b, true) }
