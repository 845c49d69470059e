// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/spec"
)

// program is what a kernel puts on an initial stack.
type program struct {
	argv, env []string
	aux       [][2]uint64 // without AT_NULL
}

// ends are where a stack ends, on 64-bit and on 32-bit machines.
var ends = map[int]uint64{8: 0x7ffd_e62f_c000, 4: 0xffff_e000}

// lay makes the image that a kernel makes of p.
func lay(a *abi, p program) *image {
	var text []byte
	var argv, env []int
	add := func(list []string) (at []int) {
		for _, s := range list {
			at = append(at, len(text))
			text = append(append(text, s...), 0)
		}
		return at
	}
	text = append(text, "x86_64\x00random bytes 16..\x00"...) // platform, AT_RANDOM
	argv, env = add(p.argv), add(p.env)
	text = append(text, "/bin/program\x00"...)
	text = append(text, make([]byte, a.word)...)

	words := 1 + len(argv) + 1 + len(env) + 1 + 2*len(p.aux) + 2
	sp := (ends[a.word] - uint64(len(text)+words*a.word)) &^ 15
	base := ends[a.word] - uint64(len(text))
	im := &image{abi: a, sp: sp, data: make([]byte, ends[a.word]-sp)}
	i := 0
	put := func(v uint64) { a.store(im.data[i*a.word:], v); i++ }
	put(uint64(len(argv)))
	for _, at := range argv {
		put(base + uint64(at))
	}
	put(0)
	for _, at := range env {
		put(base + uint64(at))
	}
	put(0)
	for _, e := range p.aux {
		put(e[0])
		put(e[1])
	}
	put(0)
	put(0)
	copy(im.data[base-sp:], text)
	return im
}

// reader reads an image like a libc: argc, argv, envp, auxv.
type reader struct {
	*image
	at  int // the next word
	err error
}

func (r *reader) next() uint64 {
	if (r.at+1)*r.abi.word > len(r.data) {
		r.err = errors.New("the block has no end")
		return 0
	}
	v := r.abi.load(r.data[r.at*r.abi.word:])
	r.at++
	return v
}

func (r *reader) text(addr uint64) string {
	if addr < r.sp || addr-r.sp >= uint64(len(r.data)) {
		r.err = fmt.Errorf("%#x is outside the stack", addr)
		return ""
	}
	s, _, ok := bytes.Cut(r.data[addr-r.sp:], []byte{0})
	if !ok {
		r.err = errors.New("a string has no end")
	}
	return string(s)
}

// list reads strings up to NULL.
func (r *reader) list() (list []string) {
	for v := r.next(); v != 0 && r.err == nil; v = r.next() {
		list = append(list, r.text(v))
	}
	return list
}

func (r *reader) vector() (aux [][2]uint64) {
	for r.err == nil {
		k, v := r.next(), r.next()
		if k == atNull {
			break
		}
		aux = append(aux, [2]uint64{k, v})
	}
	return aux
}

func read(im *image) (program, error) {
	r := &reader{image: im}
	argc := r.next()
	p := program{argv: r.list(), env: r.list(), aux: r.vector()}
	if argc != uint64(len(p.argv)) {
		return p, fmt.Errorf("argc is %d", argc)
	}
	return p, r.err
}

// apply is the memory of the process after out and vars were written to it.
func apply(tb testing.TB, im *image, out rebuilt, vars []byte) *image {
	tb.Helper()
	switch {
	case out.sp%16 != 0:
		tb.Fatalf("the stack pointer %#x is not aligned", out.sp)
	case out.sp+uint64(len(out.block)) > out.strings:
		tb.Fatal("the strings are written over the block")
	case out.strings+uint64(len(vars)) > im.sp:
		tb.Fatal("the strings are written over the old stack")
	}
	after := &image{abi: im.abi, sp: out.sp, data: bytes.Repeat([]byte{0xaa}, int(im.sp-out.sp)+len(im.data))}
	copy(after.data[im.sp-out.sp:], im.data)
	copy(after.data[out.strings-out.sp:], vars)
	copy(after.data, out.block)
	return after
}

func payload(vars []string) []byte {
	var b []byte
	for _, v := range vars {
		b = append(append(b, v...), 0)
	}
	return b
}

func TestRebuild(t *testing.T) {
	many := func(n int, format string) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf(format, i, i))
		}
		return list
	}
	aux := [][2]uint64{{atSysinfoEHDR, 0x7fff0000}, {atSysinfo, 0x7fff0420}, {6, 4096}, {25, 0}, {31, 1}}
	tests := map[string]struct {
		p    program
		vars []string
	}{
		"appended":            {program{[]string{"/bin/sh", "-c", ""}, []string{"PATH=/bin", "TERM=xterm"}, aux}, []string{"A=1", "B=2"}},
		"replaced in place":   {program{[]string{"sh"}, []string{"A=old", "B=old", "C=old"}, aux}, []string{"B=new"}},
		"every occurrence":    {program{[]string{"sh"}, []string{"A=1", "B=2", "A=3", "A="}, aux}, []string{"A=x", "Z=y"}},
		"without =":           {program{[]string{"sh"}, []string{"A", "A=1", "", "=A"}, aux}, []string{"A=x"}},
		"only without =":      {program{[]string{"sh"}, []string{"A"}, aux}, []string{"A=x"}},
		"a prefix":            {program{[]string{"sh"}, []string{"AB=1", "A=1", "ABC=1"}, aux}, []string{"AB=x"}},
		"twice among vars":    {program{[]string{"sh"}, []string{"A=1"}, aux}, []string{"N=1", "A=2", "M=2", "N=3", "A=4"}},
		"empty environment":   {program{[]string{"sh"}, nil, aux}, []string{"A=1"}},
		"no arguments":        {program{nil, []string{"A=1"}, aux}, []string{"A=2"}},
		"no auxiliary vector": {program{[]string{"sh"}, []string{"A=1"}, nil}, []string{"B=2"}},
		"empty value":         {program{[]string{"sh"}, []string{"A=1"}, aux}, []string{"A=", "B="}},
		"a value with =":      {program{[]string{"sh"}, []string{"A=1=2"}, aux}, []string{"A=3=4", "B=="}},
		"no variables":        {program{[]string{"sh"}, []string{"A=1"}, aux}, nil},
		"any bytes":           {program{[]string{"sh"}, []string{"A=\xff\x01"}, aux}, []string{"B=\xff\n\x80"}},
		"many":                {program{many(5000, "arg%d%d"), many(1000, "E%d=%d"), aux}, append(many(1500, "E%d=n%d"), many(500, "N%d=%d")...)},
		"large":               {program{[]string{"sh"}, many(3, "E%d=%d"), aux}, []string{"E1=" + strings.Repeat("x", 100_000), "L=" + strings.Repeat("y", 131_000)}},
	}
	for i := range abis {
		a := &abis[i]
		for name, tt := range tests {
			t.Run(a.name+"/"+name, func(t *testing.T) {
				checkRebuild(t, lay(a, tt.p), tt.p, tt.vars)
			})
		}
		t.Run(a.name+"/any length", func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			for range 300 {
				list := func(n int) (l []string) {
					for range r.IntN(n) {
						l = append(l, fmt.Sprintf("V%d=%s", r.IntN(12), strings.Repeat("x", r.IntN(40))))
					}
					return l
				}
				p := program{list(6), list(12), aux[:r.IntN(len(aux))]}
				checkRebuild(t, lay(a, p), p, list(12))
			}
		})
	}
}

func checkRebuild(t *testing.T, im *image, p program, vars []string) {
	t.Helper()
	before := bytes.Clone(im.data)
	out, err := im.rebuild(payload(vars))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, im.data) {
		t.Error("the old stack was changed")
	}
	got, err := read(apply(t, im, out, payload(vars)))
	if err != nil {
		t.Fatal(err)
	}
	want := program{p.argv, spec.Merge(p.env, vars), p.aux}
	if len(want.env) == 0 {
		want.env = nil
	}
	if len(want.aux) == 0 {
		want.aux = nil
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(program{})); diff != "" {
		t.Errorf("what a libc reads (-want +got)\n%s", diff)
	}
	if gap := im.sp - out.strings - uint64(len(vars)); gap > 16+uint64(len(payload(vars))) {
		t.Errorf("%d bytes of stack are given away", gap)
	}
}

func TestRebuildRefusesOtherLayouts(t *testing.T) {
	p := program{[]string{"sh", "-c"}, []string{"A=1", "B=2"}, [][2]uint64{{6, 4096}}}
	const argc, null, env, envNull, aux = 0, 3, 4, 6, 7 // indices of words
	last := func(im *image, n int) { im.data = im.data[:len(im.data)-n] }
	tests := map[string]func(im *image){
		"nothing":                     func(im *image) { im.data = nil },
		"half a word":                 func(im *image) { im.data = im.data[:im.abi.word/2] },
		"argc alone":                  func(im *image) { im.data = im.data[:im.abi.word] },
		"argc beyond the image":       func(im *image) { im.abi.store(im.data, uint64(len(im.data))) },
		"argc at the image's end":     func(im *image) { im.abi.store(im.data, uint64(len(im.data)/im.abi.word)) },
		"argc negative":               func(im *image) { im.abi.store(im.data, math.MaxUint64) },
		"argc 2^63":                   func(im *image) { im.abi.store(im.data, 1<<(im.abi.word*8-1)) },
		"argc too small":              func(im *image) { im.abi.store(im.data[argc:], 1) },
		"no NULL behind argv":         func(im *image) { im.abi.store(im.data[null*im.abi.word:], im.sp) },
		"ends in argv":                func(im *image) { im.data = im.data[:2*im.abi.word] },
		"ends in envp":                func(im *image) { im.data = im.data[:(env+1)*im.abi.word] },
		"ends behind envp":            func(im *image) { im.data = im.data[:(envNull+1)*im.abi.word] },
		"ends in the vector":          func(im *image) { im.data = im.data[:(aux+1)*im.abi.word] },
		"no AT_NULL":                  func(im *image) { im.data = im.data[:(aux+2)*im.abi.word] },
		"AT_NULL without value":       func(im *image) { im.data = im.data[:(aux+3)*im.abi.word] },
		"a string below the stack":    func(im *image) { im.abi.store(im.data[env*im.abi.word:], im.sp-1) },
		"a string at 1":               func(im *image) { im.abi.store(im.data[env*im.abi.word:], 1) },
		"a string behind the stack":   func(im *image) { im.abi.store(im.data[env*im.abi.word:], im.sp+uint64(len(im.data))) },
		"a string at the highest":     func(im *image) { im.abi.store(im.data[env*im.abi.word:], math.MaxUint64) },
		"a string without an end":     func(im *image) { last(im, 12+1+im.abi.word+2) }, // ends within "B=2"
		"no room below":               func(im *image) { move(im, 64) },
		"no room below at all":        func(im *image) { move(im, 0) },
		"a pointer where argc counts": func(im *image) { im.abi.store(im.data, im.sp) },
	}
	for i := range abis {
		for name, spoil := range tests {
			t.Run(abis[i].name+"/"+name, func(t *testing.T) {
				im := lay(&abis[i], p)
				spoil(im)
				im.data = slices.Clip(im.data) // what is behind the end must not be reached
				if out, err := im.rebuild(payload([]string{"A=x", "Z=" + strings.Repeat("y", 100)})); !errors.Is(err, errLayout) {
					t.Errorf("got %#x, %v", out.sp, err)
				}
				if v, ok := im.aux(12345); ok { // nor does this panic
					t.Errorf("an entry that is not there is %d", v)
				}
			})
		}
	}
}

// move puts an image elsewhere, its strings' addresses with it.
func move(im *image, sp uint64) {
	for i := range len(im.data) / im.abi.word {
		if v := im.abi.load(im.data[i*im.abi.word:]); v >= im.sp && v-im.sp < uint64(len(im.data)) {
			im.abi.store(im.data[i*im.abi.word:], v-im.sp+sp)
		}
	}
	im.sp = sp
}

func TestAux(t *testing.T) {
	for i := range abis {
		im := lay(&abis[i], program{[]string{"sh"}, []string{"A=1"}, [][2]uint64{{atSysinfoEHDR, 0x7fff0000}, {6, 4096}, {6, 1}}})
		if v, ok := im.aux(6); !ok || v != 4096 {
			t.Errorf("%s: AT_PAGESZ is %d, %v", abis[i].name, v, ok)
		}
		if v, ok := im.aux(atSysinfoEHDR); !ok || v != 0x7fff0000 {
			t.Errorf("%s: AT_SYSINFO_EHDR is %#x, %v", abis[i].name, v, ok)
		}
		for _, kind := range []uint64{atNull, atSysinfo} {
			if v, ok := im.aux(kind); ok {
				t.Errorf("%s: entry %d is %d", abis[i].name, kind, v)
			}
		}
	}
}

// FuzzRebuild gives rebuild any bytes as a stack. It must not panic, and what
// it accepts must read as the contract says.
func FuzzRebuild(f *testing.F) {
	for i := range abis {
		im := lay(&abis[i], program{[]string{"sh", "-c"}, []string{"A=1", "B", "A=2"}, [][2]uint64{{6, 4096}}})
		f.Add(i, im.sp, im.data, "A=x\nN=y")
		f.Add(i, im.sp+1, im.data[:len(im.data)/2], "B=x")
	}
	f.Fuzz(func(t *testing.T, which int, sp uint64, data []byte, lines string) {
		a := &abis[uint(which)%uint(len(abis))]
		if a.word == 4 {
			sp &= math.MaxUint32
		}
		if len(data) > 1<<16 || sp > ends[a.word] {
			return
		}
		var vars []string
		for l := range strings.SplitSeq(strings.ReplaceAll(lines, "\x00", ""), "\n") {
			if strings.Contains(l, "=") {
				vars = append(vars, l)
			}
		}
		im := &image{abi: a, sp: sp, data: data}
		for _, kind := range []uint64{atSysinfo, atSysinfoEHDR} {
			_, _ = im.aux(kind)
		}
		out, err := im.rebuild(payload(vars))
		if err != nil {
			if !errors.Is(err, errLayout) {
				t.Fatal(err)
			}
			return
		}
		old := &image{abi: a, sp: sp, data: data}
		after := apply(t, old, out, payload(vars))
		// The arguments' strings are not rebuild's to look at: compare the words.
		argc := int(binary.LittleEndian.Uint32(data))
		if !bytes.Equal(after.data[:(argc+2)*a.word], data[:(argc+2)*a.word]) {
			t.Fatal("argc or argv changed")
		}
		before, now := &reader{image: old, at: argc + 2}, &reader{image: after, at: argc + 2}
		if diff := cmp.Diff(spec.Merge(before.list(), vars), append([]string{}, now.list()...)); diff != "" {
			t.Fatalf("environment (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff(before.vector(), now.vector()); diff != "" {
			t.Fatalf("auxiliary vector (-want +got)\n%s", diff)
		}
		if before.err != nil || now.err != nil {
			t.Fatal(before.err, now.err)
		}
	})
}
