// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestStructures(t *testing.T) {
	var r unix.PtraceRegsArm64
	checkStructure(t, structure{"aarch64", unsafe.Sizeof(r), map[string]uintptr{
		"sp": unsafe.Offsetof(r.Sp), "pc": unsafe.Offsetof(r.Pc), "nr": unsafe.Offsetof(r.Regs) + 8*8, "ret": 0, "0": 0, "1": 8, "2": 16, "3": 24,
	}})
	var a unix.PtraceRegsArm
	checkStructure(t, structure{"arm", unsafe.Sizeof(a), map[string]uintptr{
		"sp": 13 * 4, "pc": 15 * 4, "nr": 7 * 4, "ret": 0, "0": 0, "1": 4, "2": 8, "3": 12,
	}})
}
