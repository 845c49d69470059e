// SPDX-License-Identifier: Apache-2.0

package tracer

import "errors"

// image is the initial stack of a process at the moment of its exec, from the
// stack pointer up to the end of the mapping, as the kernel laid it out
// (fs/binfmt_elf.c, create_elf_tables): argc, the pointers of argv, NULL, the
// pointers of envp, NULL, the auxiliary vector up to AT_NULL, and above that
// the strings.
type image struct {
	abi  *abi
	sp   uint64
	data []byte
}

var errLayout = errors.New("the initial stack is not laid out as expected")

// rebuilt is a new block of pointers and where it belongs. The strings go
// directly above it.
type rebuilt struct {
	sp      uint64 // where block begins: the new stack pointer, 16-byte aligned
	block   []byte
	strings uint64 // where vars must be written
}

// rebuild lays out the block that gives the process vars on top of the
// environment it was started with. vars are "NAME=value" strings, each ended
// by NUL. The rule is that of package spec's Merge: a variable that is there
// already is replaced in place, every occurrence of it; the others are appended
// in their order; a string without "=" stays.
func (im *image) rebuild(vars []byte) (rebuilt, error) {
	w := im.abi.word
	argc, err := im.word(0)
	if err != nil || argc > uint64(len(im.data)/w) {
		return rebuilt{}, errLayout
	}
	env := int(argc) + 2 // bounded by the image's length above
	if v, err := im.word(env - 1); err != nil || v != 0 {
		return rebuilt{}, errLayout
	}
	envEnd := env
	for {
		v, err := im.word(envEnd)
		if err != nil {
			return rebuilt{}, err
		}
		if v == 0 {
			break
		}
		envEnd++
	}
	auxEnd := envEnd + 1
	for {
		v, err := im.word(auxEnd)
		if err != nil {
			return rebuilt{}, err
		}
		if _, err := im.word(auxEnd + 1); err != nil {
			return rebuilt{}, err
		}
		auxEnd += 2
		if v == atNull {
			break
		}
	}

	offsets, in := index(vars)
	fresh := len(offsets)
	replaced := make([]bool, len(offsets))
	by := make([]int, envEnd-env) // which variable replaces an entry; -1 for none
	for i := range by {
		by[i] = -1
		p, _ := im.word(env + i)
		name, sets, err := im.nameAt(p)
		if err != nil {
			return rebuilt{}, err
		}
		if v, ok := in[string(name)]; ok && sets {
			by[i] = v
			if !replaced[v] {
				replaced[v] = true
				fresh--
			}
		}
	}

	size := uint64((auxEnd + fresh) * w)       // small
	need := size + uint64(len(vars))           // strings directly above the block
	if need+16 > im.sp || im.sp-need > im.sp { // a 32-bit stack is never this low
		return rebuilt{}, errLayout
	}
	out := rebuilt{sp: (im.sp - need) &^ 15}
	out.strings = out.sp + size
	out.block = make([]byte, 0, size)
	out.block = append(out.block, im.data[:env*w]...)
	pointer := func(v int) {
		out.block = append(out.block, make([]byte, w)...)
		im.abi.store(out.block[len(out.block)-w:], out.strings+uint64(offsets[v])) // offsets are not negative
	}
	for i, v := range by {
		if v < 0 {
			out.block = append(out.block, im.data[(env+i)*w:(env+i+1)*w]...)
			continue
		}
		pointer(v)
	}
	for v := range offsets {
		if !replaced[v] {
			pointer(v)
		}
	}
	out.block = append(out.block, im.data[envEnd*w:auxEnd*w]...)
	return out, nil
}

// aux is the value of the auxiliary vector's entry of the given type.
func (im *image) aux(kind uint64) (uint64, bool) {
	i := 1
	for zeros := 0; zeros < 2; i++ { // behind argv, behind envp
		v, err := im.word(i)
		if err != nil {
			return 0, false
		}
		if v == 0 {
			zeros++
		}
	}
	for ; ; i += 2 {
		k, err := im.word(i)
		if err != nil || k == atNull {
			return 0, false
		}
		if k == kind {
			v, err := im.word(i + 1)
			return v, err == nil
		}
	}
}

// word reads the i-th word of the image.
func (im *image) word(i int) (uint64, error) {
	w := im.abi.word
	if i < 0 || (i+1)*w > len(im.data) {
		return 0, errLayout
	}
	return im.abi.load(im.data[i*w:]), nil
}

// nameAt is the name of the variable whose string is at address p. A string
// without "=" sets none.
func (im *image) nameAt(p uint64) (name []byte, sets bool, err error) {
	if p < im.sp || p-im.sp >= uint64(len(im.data)) {
		return nil, false, errLayout
	}
	variable, rest := cut(im.data[p-im.sp:], 0)
	if rest == nil {
		return nil, false, errLayout // the string has no end
	}
	name, value := cut(variable, '=')
	return name, value != nil, nil
}

// index gives the offset in vars at which the string of each variable begins,
// and each name's place among them. A name that comes twice has the place of
// the first and the value of the last.
func index(vars []byte) (offsets []int, in map[string]int) {
	in = map[string]int{}
	for rest := vars; len(rest) > 0; {
		at := len(vars) - len(rest)
		var variable []byte
		variable, rest = cut(rest, 0)
		name, _ := cut(variable, '=')
		if i, ok := in[string(name)]; ok {
			offsets[i] = at
			continue
		}
		in[string(name)] = len(offsets)
		offsets = append(offsets, at)
	}
	return offsets, in
}
