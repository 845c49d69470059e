// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"
)

// structure is how the kernel lays out the registers of an abi.
type structure struct {
	name    string
	size    uintptr
	offsets map[string]uintptr
}

// checkStructure compares our table with the kernel's structure, as package
// unix has it for the machine that the tests are built for.
func checkStructure(t *testing.T, s structure) {
	t.Helper()
	a := find(t, s.name)
	if a.size != int(s.size) {
		t.Errorf("%s: %d bytes of registers, want %d", a.name, a.size, s.size)
	}
	ours := map[string]int{"sp": a.sp, "pc": a.pc, "nr": a.nr, "ret": a.ret, "0": a.args[0], "1": a.args[1], "2": a.args[2], "3": a.args[3]}
	for name, index := range ours {
		if want, ok := s.offsets[name]; !ok || index*a.word != int(want) {
			t.Errorf("%s: %s is at %d, want %d", a.name, name, index*a.word, want)
		}
	}
}

func find(t *testing.T, name string) *abi {
	t.Helper()
	for i := range abis {
		if abis[i].name == name {
			return &abis[i]
		}
	}
	t.Fatalf("no abi %s", name)
	return nil
}

func TestAbiOf(t *testing.T) {
	for _, tt := range []struct {
		arch string
		size int
		want string
	}{
		{"amd64", 216, "x86-64"},
		{"amd64", 68, "i386"},
		{"arm64", 272, "aarch64"},
		{"arm64", 72, "arm"},
		{"amd64", 272, ""},
		{"arm64", 216, ""},
		{"amd64", 0, ""},
		{"riscv64", 216, ""},
	} {
		got := ""
		if a := abiOf(tt.arch, tt.size); a != nil {
			got = a.name
		}
		if got != tt.want {
			t.Errorf("%s with %d bytes of registers is %q, want %q", tt.arch, tt.size, got, tt.want)
		}
	}
}

func TestRegisters(t *testing.T) {
	for i := range abis {
		a := &abis[i]
		t.Run(a.name, func(t *testing.T) {
			if a.size > maxRegs || a.size%a.word != 0 {
				t.Fatalf("%d bytes of registers", a.size)
			}
			words := a.size / a.word
			for _, reg := range append([]int{a.sp, a.pc, a.nr, a.ret}, a.args[:]...) {
				if reg < 0 || reg >= words {
					t.Errorf("register %d of %d", reg, words)
				}
			}
			r := &registers{abi: a}
			for j := range words {
				r.put(j, 0x0102030405060700|uint64(j))
			}
			for j := range words {
				want := 0x0102030405060700 | uint64(j)
				if a.word == 4 {
					want &= math.MaxUint32
				}
				if got := r.get(j); got != want {
					t.Errorf("register %d is %#x, want %#x", j, got, want)
				}
			}
			if !bytes.Equal(r.set[a.size:], make([]byte, maxRegs-a.size)) {
				t.Error("something was written behind the registers")
			}
			b := binary.LittleEndian.AppendUint64(nil, 0x0807060504030201)
			if want := map[int]uint64{4: 0x04030201, 8: 0x0807060504030201}[a.word]; a.load(b) != want {
				t.Errorf("load gives %#x", a.load(b))
			}
		})
	}
}
