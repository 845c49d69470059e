// SPDX-License-Identifier: Apache-2.0

// Package jsontext finds where things stand in a JSON text.
//
// It reads strictly by RFC 8259 and gives places instead of values, so that a
// document can be changed in one place and stay as it is in all others.
// encoding/json does neither: it forgets where a value stood. The package
// imports nothing that is initialised late (no fmt, no strings), because the
// containers that ask for nothing wait for no more than this; a test holds it
// to that.
package jsontext

import (
	"strconv"
	"unicode/utf8"
)

// MaxDepth bounds the scanner's recursion. A config.json nests about six deep.
const MaxDepth = 1000

// Span is a range of bytes in a document.
type Span struct{ Start, End int }

// Of gives the bytes.
func (s Span) Of(b []byte) []byte { return b[s.Start:s.End] }

// Member is one member of an object: the literals of its key and its value.
type Member struct{ Key, Value Span }

// syntaxError says where a text stops being JSON. It never quotes the text: an
// environment is full of secrets.
type syntaxError struct {
	offset  int
	problem string
}

func (e *syntaxError) Error() string { return "byte " + strconv.Itoa(e.offset) + ": " + e.problem }

// scanner reads one JSON text.
type scanner struct {
	b     []byte
	i     int // the next byte
	depth int // open objects and arrays
}

// Scan checks that b is exactly one JSON text in UTF-8 and gives the place of
// its value. Where that is an object, visit (if not nil) gets its members in
// the order they stand.
func Scan(b []byte, visit func(Member)) (Span, error) {
	if len(b) >= 3 && string(b[:3]) == "\xef\xbb\xbf" {
		return Span{}, &syntaxError{0, "a byte order mark stands before the document"}
	}
	if !utf8.Valid(b) {
		return Span{}, &syntaxError{invalidAt(b), "not UTF-8"}
	}
	s := scanner{b: b}
	s.blank()
	start := s.i
	if err := s.value(visit); err != nil {
		return Span{}, err
	}
	end := s.i
	if s.blank(); s.i < len(b) {
		return Span{}, s.fail("something follows the end of the document")
	}
	return Span{start, end}, nil
}

// Members are those of the object at place, in a text that [Scan] accepted.
func Members(b []byte, place Span) []Member {
	var members []Member
	s := scanner{b: b, i: place.Start}
	_ = s.object(func(m Member) { members = append(members, m) }) // it is well-formed
	return members
}

// Elements are those of the array at place, in a text that [Scan] accepted.
func Elements(b []byte, place Span) []Span {
	var elements []Span
	s := scanner{b: b, i: place.Start}
	_ = s.array(func(e Span) { elements = append(elements, e) }) // it is well-formed
	return elements
}

// invalidAt is the offset of the first byte of b that is not UTF-8.
func invalidAt(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(b)
}

// fail is the error at the next byte; where there is none the text was cut off.
func (s *scanner) fail(problem string) error {
	if s.i >= len(s.b) {
		return &syntaxError{len(s.b), "ends too early, it is empty or was cut off"}
	}
	return &syntaxError{s.i, problem}
}

// blank skips white space.
func (s *scanner) blank() {
	for s.i < len(s.b) && IsBlank(s.b[s.i]) {
		s.i++
	}
}

// IsBlank reports whether c is white space in JSON.
func IsBlank(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// accept takes the next byte if it is c.
func (s *scanner) accept(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

// value takes one value of any kind.
func (s *scanner) value(visit func(Member)) error {
	if s.i == len(s.b) {
		return s.fail("")
	}
	switch c := s.b[s.i]; {
	case c == '{':
		return s.object(visit)
	case c == '[':
		return s.array(nil)
	case c == '"':
		return s.quoted()
	case c == '-' || IsDigit(c):
		return s.number()
	}
	for _, word := range []string{"null", "true", "false"} {
		if rest := s.b[s.i:]; len(rest) >= len(word) && string(rest[:len(word)]) == word {
			s.i += len(word)
			return nil
		} else if len(rest) < len(word) && string(rest) == word[:len(rest)] {
			s.i = len(s.b)
			return s.fail("")
		}
	}
	return s.fail("no value begins like this")
}

// object takes an object whose { is next.
func (s *scanner) object(visit func(Member)) error {
	return s.list('}', "want , or } after a member", func() error {
		var m Member
		if m.Key.Start = s.i; s.i == len(s.b) || s.b[s.i] != '"' {
			return s.fail("want a key in double quotes")
		}
		if err := s.quoted(); err != nil {
			return err
		}
		m.Key.End = s.i
		if s.blank(); !s.accept(':') {
			return s.fail("want : after a key")
		}
		s.blank()
		m.Value.Start = s.i
		if err := s.value(nil); err != nil {
			return err
		}
		if m.Value.End = s.i; visit != nil {
			visit(m)
		}
		return nil
	})
}

// array takes an array whose [ is next.
func (s *scanner) array(visit func(Span)) error {
	return s.list(']', "want , or ] after an element", func() error {
		start := s.i
		if err := s.value(nil); err != nil {
			return err
		}
		if visit != nil {
			visit(Span{start, s.i})
		}
		return nil
	})
}

// list takes what objects and arrays have in common, from the bracket that is
// next to the closing one.
func (s *scanner) list(closing byte, want string, item func() error) error {
	if s.depth++; s.depth > MaxDepth {
		return s.fail("nested more than " + strconv.Itoa(MaxDepth) + " deep")
	}
	s.i++
	s.blank()
	for first := true; !first || !s.accept(closing); first = false {
		if err := item(); err != nil {
			return err
		}
		if s.blank(); s.accept(closing) {
			break
		}
		if !s.accept(',') {
			return s.fail(want)
		}
		s.blank()
	}
	s.depth--
	return nil
}

// quoted takes a string whose quote is next.
func (s *scanner) quoted() error {
	for s.i++; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return nil
		case c < ' ':
			return s.fail("a control character in a string")
		case c == '\\':
			if err := s.escape(); err != nil {
				return err
			}
		}
	}
	return s.fail("")
}

// escape takes all but the last byte of the escape whose \ is next.
func (s *scanner) escape() error {
	s.i++
	if s.i == len(s.b) {
		return s.fail("")
	}
	if s.b[s.i] != 'u' {
		switch s.b[s.i] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			return nil
		}
		return s.fail("no such escape")
	}
	for range 4 {
		if s.i++; s.i == len(s.b) || hex(s.b[s.i]) < 0 {
			return s.fail(`want four hexadecimal digits after \u`)
		}
	}
	return nil
}

// number takes a number whose first byte is next.
func (s *scanner) number() error {
	s.accept('-')
	ok := s.accept('0') || s.digits() // no digit may follow a leading zero
	if ok && s.accept('.') {
		ok = s.digits()
	}
	if ok && (s.accept('e') || s.accept('E')) {
		_ = s.accept('+') || s.accept('-')
		ok = s.digits()
	}
	if !ok {
		return s.fail("want a digit")
	}
	return nil
}

// digits takes digits, at least one.
func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.b) && IsDigit(s.b[s.i]) {
		s.i++
	}
	return s.i > start
}

// IsDigit reports whether c is a decimal digit.
func IsDigit(c byte) bool { return '0' <= c && c <= '9' }
