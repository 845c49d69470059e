// SPDX-License-Identifier: Apache-2.0

package tracer

// abi is what differs between the machines a program may be built for: the
// width of a word, and where NT_PRSTATUS keeps the registers that matter, as
// indices of words (arch/x86/include/asm/user_64.h, user_32.h;
// arch/arm64/include/uapi/asm/ptrace.h; all little-endian).
type abi struct {
	name     string
	arch     string // runtime.GOARCH of the tracer that can meet it
	word     int    // bytes
	size     int    // of the register set: this is how the kernel tells us the abi
	sp, pc   int
	nr, ret  int    // the system call's number goes into nr, its result is in ret
	args     [4]int // its first four arguments
	trap     []byte // the instruction that makes a system call
	base     uint64 // the auxiliary vector's entry that points into the vdso
	procmask uint64 // the number of rt_sigprocmask
}

// Types of auxiliary vector entries (include/uapi/linux/auxvec.h).
const (
	atNull        = 0
	atSysinfo     = 32 // __kernel_vsyscall, 32-bit x86 only
	atSysinfoEHDR = 33 // the vdso's ELF header
)

var abis = []abi{
	{
		name: "x86-64", arch: "amd64", word: 8, size: 27 * 8, sp: 19, pc: 16, nr: 10, ret: 10, args: [4]int{14, 13, 12, 7},
		trap: []byte{0x0f, 0x05}, base: atSysinfoEHDR, procmask: 14,
	},
	{
		name: "i386", arch: "amd64", word: 4, size: 17 * 4, sp: 15, pc: 12, nr: 6, ret: 6, args: [4]int{0, 1, 2, 3},
		trap: []byte{0xcd, 0x80}, base: atSysinfo, procmask: 175,
	},
	{
		name: "aarch64", arch: "arm64", word: 8, size: 34 * 8, sp: 31, pc: 32, nr: 8, ret: 0, args: [4]int{0, 1, 2, 3},
		trap: []byte{0x01, 0x00, 0x00, 0xd4}, base: atSysinfoEHDR, procmask: 135,
	},
	{
		// A vdso need not exist here, so a stack is never grown: trap is nil.
		name: "arm", arch: "arm64", word: 4, size: 18 * 4, sp: 13, pc: 15, nr: 7, ret: 0, args: [4]int{0, 1, 2, 3},
	},
}

// maxRegs is the room for the largest register set.
const maxRegs = 34 * 8

// registers is a register set together with the abi it belongs to.
type registers struct {
	abi *abi
	set [maxRegs]byte
}

// abiOf finds the abi of a register set of the given size on arch.
func abiOf(arch string, size int) *abi {
	for i := range abis {
		if abis[i].arch == arch && abis[i].size == size {
			return &abis[i]
		}
	}
	return nil
}

func (r *registers) get(i int) uint64 { return r.abi.load(r.set[i*r.abi.word:]) }

func (r *registers) put(i int, v uint64) { r.abi.store(r.set[i*r.abi.word:], v) }

// load reads one word, little-endian.
func (a *abi) load(b []byte) uint64 {
	v := uint64(word32(b))
	if a.word == 8 {
		v |= uint64(word32(b[4:])) << 32
	}
	return v
}

// store writes one word, little-endian.
func (a *abi) store(b []byte, v uint64) {
	for i := range a.word {
		b[i] = byte(v >> (8 * i))
	}
}
