// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestStructures(t *testing.T) {
	var r unix.PtraceRegsAmd64
	checkStructure(t, structure{"x86-64", unsafe.Sizeof(r), map[string]uintptr{
		"sp": unsafe.Offsetof(r.Rsp), "pc": unsafe.Offsetof(r.Rip), "nr": unsafe.Offsetof(r.Rax), "ret": unsafe.Offsetof(r.Rax),
		"0": unsafe.Offsetof(r.Rdi), "1": unsafe.Offsetof(r.Rsi), "2": unsafe.Offsetof(r.Rdx), "3": unsafe.Offsetof(r.R10),
	}})
	var i unix.PtraceRegs386
	checkStructure(t, structure{"i386", unsafe.Sizeof(i), map[string]uintptr{
		"sp": unsafe.Offsetof(i.Esp), "pc": unsafe.Offsetof(i.Eip), "nr": unsafe.Offsetof(i.Eax), "ret": unsafe.Offsetof(i.Eax),
		"0": unsafe.Offsetof(i.Ebx), "1": unsafe.Offsetof(i.Ecx), "2": unsafe.Offsetof(i.Edx), "3": unsafe.Offsetof(i.Esi),
	}})
}
