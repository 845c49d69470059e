// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"errors"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"
)

// What package syscall leaves out; golang.org/x/sys/unix has it, and package
// reflect with it, which is initialised too late for this process
// (include/uapi/linux/{ptrace,prctl,elf,wait}.h).
const (
	ptraceSeize      = 0x4206
	ptraceInterrupt  = 0x4207
	ptraceListen     = 0x4208
	ptraceGetSigMask = 0x420a
	ptraceSetSigMask = 0x420b
	ptraceGetRegSet  = 0x4204
	ptraceSetRegSet  = 0x4205
	ptraceExitKill   = 0x100000
	eventStop        = 128
	ntPRStatus       = 1
	wallThreads      = 0x40000000 // __WALL
	setDumpable      = 4          // PR_SET_DUMPABLE
	dontFork         = 10         // MADV_DONTFORK
	dontDump         = 16         // MADV_DONTDUMP
	pollIn           = 1
)

// Numbers of process_vm_readv and process_vm_writev, by architecture.
var vmCalls = map[string][2]uintptr{"amd64": {310, 311}, "arm64": {270, 271}}

// event is the PTRACE_EVENT of a stop; 0 for a signal.
func event(s syscall.WaitStatus) int { return int(s>>16) & 0xff }

// wait waits for a change of state of the thread, or of any (-1).
func wait(tid int) (int, syscall.WaitStatus, error) {
	for {
		var status syscall.WaitStatus
		got, err := syscall.Wait4(tid, &status, wallThreads, nil)
		if err == syscall.EINTR {
			continue
		}
		return got, status, err
	}
}

func ptrace(request, tid int, data uintptr) error {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PTRACE, uintptr(request), uintptr(tid), 0, data, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// ptraceData is ptrace with data that points to memory of this process.
func ptraceData(request, tid int, addr uintptr, data unsafe.Pointer) error {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PTRACE, uintptr(request), uintptr(tid), addr, uintptr(data), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// transfer moves bytes between b and the memory of process pid at addr.
func transfer(pid int, addr uint64, b []byte, write bool) error {
	call := vmCalls[runtime.GOARCH][0]
	if write {
		call = vmCalls[runtime.GOARCH][1]
	}
	for len(b) > 0 {
		local := syscall.Iovec{Base: &b[0], Len: uint64(len(b))}
		remote := struct{ base, len uint64 }{addr, uint64(len(b))}
		n, _, errno := syscall.RawSyscall6(call, uintptr(pid), uintptr(unsafe.Pointer(&local)), 1, uintptr(unsafe.Pointer(&remote)), 1, 0)
		if errno != 0 {
			return errno
		}
		if n == 0 {
			return errors.New("nothing was moved")
		}
		b, addr = b[n:], addr+uint64(n)
	}
	return nil
}

// notDumpable leaves no core dump of this process, and makes it unreadable for
// others of its user (PR_SET_DUMPABLE in prctl(2)).
func notDumpable() error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, setDumpable, 0, 0); errno != 0 {
		return errno
	}
	return syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
}

// ended reports whether the process behind a pidfd has ended. A signal interrupts
// even a poll that does not wait, and Go's scheduler sends some where the processor
// is busy.
func ended(pidfd int) (bool, error) {
	poll := struct {
		fd             int32
		events, result int16
	}{fd: int32(pidfd), events: pollIn}
	for {
		var now syscall.Timespec
		n, _, errno := syscall.RawSyscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&poll)), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
		if errno == syscall.EINTR {
			continue
		}
		if errno != 0 {
			return false, errno
		}
		return n != 0, nil
	}
}

// closesOnExec reports whether a descriptor has FD_CLOEXEC.
func closesOnExec(fd int) bool {
	flags, _, errno := syscall.RawSyscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
	return errno == 0 && flags&syscall.FD_CLOEXEC != 0
}

// readFull fills b.
func readFull(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := syscall.Read(fd, b)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return errors.New("end of input")
		}
		b = b[n:]
	}
	return nil
}

// readFile reads a file of /proc.
func readFile(path string) ([]byte, error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = syscall.Close(fd) }() // only read from
	var all []byte
	buf := make([]byte, 4096)
	for {
		n, err := syscall.Read(fd, buf)
		if err == syscall.EINTR {
			continue
		}
		if n <= 0 || err != nil {
			return all, err
		}
		all = append(all, buf[:n]...)
	}
}

// numbers are the names in a directory of /proc that are numbers: threads, or
// descriptors, this function's own among them.
func numbers(dir string) ([]int, error) {
	fd, err := syscall.Open(dir, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = syscall.Close(fd) }() // only read from
	var found []int
	buf := make([]byte, 4096)
	for {
		n, err := syscall.ReadDirent(fd, buf)
		if n <= 0 || err != nil {
			return found, err
		}
		_, _, names := syscall.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			if v, err := strconv.Atoi(name); err == nil {
				found = append(found, v)
			}
		}
	}
}
