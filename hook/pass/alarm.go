// SPDX-License-Identifier: Apache-2.0

package pass

import (
	"syscall"
	"unsafe"
)

// lastSeconds is when the kernel ends a process that has not ended by itself: it is
// limit.Hook, which a test holds it to.
const lastSeconds = 150

// alarm has the kernel kill this process in so many seconds. It is for all that
// comes before package start watches, such as a standard input that does not end,
// and for a program that does not get to watch. A timer of this kind ends with an
// exec, so it is nothing to the real runtime (timer_create(2)).
func alarm(seconds int64) {
	event := struct { // sigevent(3type)
		value        uintptr
		signal, kind int32
		_            [48]byte
	}{signal: int32(syscall.SIGKILL)} // kind 0, SIGEV_SIGNAL
	var id int32
	const monotonic = 1
	if _, _, errno := syscall.RawSyscall(syscall.SYS_TIMER_CREATE, monotonic, uintptr(unsafe.Pointer(&event)), uintptr(unsafe.Pointer(&id))); errno != 0 {
		return // some sandbox: then there is what is listed with the hook
	}
	timer := struct{ interval, value syscall.Timespec }{value: syscall.Timespec{Sec: seconds}}
	_, _, _ = syscall.RawSyscall6(syscall.SYS_TIMER_SETTIME, uintptr(id), 0, uintptr(unsafe.Pointer(&timer)), 0, 0, 0)
}
