// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// maxDepth bounds the scanner's recursion. A config.json nests about six deep.
const maxDepth = 1000

// span is a range of bytes in a document.
type span struct{ start, end int }

// member is one member of an object: the literals of its key and its value.
type member struct{ key, value span }

// syntaxError says where a text stops being JSON. It never quotes the text: an
// environment is full of secrets.
type syntaxError struct {
	offset  int
	problem string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("byte %d: %s", e.offset, e.problem) }

// scanner reads one JSON text, strictly by RFC 8259, and gives the places of
// what it finds instead of the values. encoding/json does neither: it forgets
// where a value stood, and its initialisation and reflection cost more than the
// whole of a run that has nothing to do.
type scanner struct {
	b     []byte
	i     int // the next byte
	depth int // open objects and arrays
}

// scan checks that b is exactly one JSON text in UTF-8 and gives the place of
// its value. Where that is an object, visit (if not nil) gets its members in
// the order they stand.
func scan(b []byte, visit func(member)) (span, error) {
	if bytes.HasPrefix(b, []byte("\xef\xbb\xbf")) {
		return span{}, &syntaxError{0, "a byte order mark stands before the document"}
	}
	if !utf8.Valid(b) {
		return span{}, &syntaxError{invalidAt(b), "not UTF-8"}
	}
	s := scanner{b: b}
	s.blank()
	start := s.i
	if err := s.value(visit); err != nil {
		return span{}, err
	}
	end := s.i
	if s.blank(); s.i < len(b) {
		return span{}, s.fail("something follows the end of the document")
	}
	return span{start, end}, nil
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
	for s.i < len(s.b) && isBlank(s.b[s.i]) {
		s.i++
	}
}

// isBlank is the white space of JSON, and of an annotation's list.
func isBlank(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// accept takes the next byte if it is c.
func (s *scanner) accept(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

// value takes one value of any kind.
func (s *scanner) value(visit func(member)) error {
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
	case c == '-' || isDigit(c):
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
func (s *scanner) object(visit func(member)) error {
	return s.list('}', "want , or } after a member", func() error {
		var m member
		if m.key.start = s.i; s.i == len(s.b) || s.b[s.i] != '"' {
			return s.fail("want a key in double quotes")
		}
		if err := s.quoted(); err != nil {
			return err
		}
		m.key.end = s.i
		if s.blank(); !s.accept(':') {
			return s.fail("want : after a key")
		}
		s.blank()
		m.value.start = s.i
		if err := s.value(nil); err != nil {
			return err
		}
		if m.value.end = s.i; visit != nil {
			visit(m)
		}
		return nil
	})
}

// array takes an array whose [ is next.
func (s *scanner) array(visit func(span)) error {
	return s.list(']', "want , or ] after an element", func() error {
		start := s.i
		if err := s.value(nil); err != nil {
			return err
		}
		if visit != nil {
			visit(span{start, s.i})
		}
		return nil
	})
}

// list takes what objects and arrays have in common, from the bracket that is
// next to the closing one.
func (s *scanner) list(closing byte, want string, item func() error) error {
	if s.depth++; s.depth > maxDepth {
		return s.fail(fmt.Sprintf("nested more than %d deep", maxDepth))
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
		if bytes.IndexByte([]byte(`"\/bfnrt`), s.b[s.i]) < 0 {
			return s.fail("no such escape")
		}
		return nil
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
	for s.i < len(s.b) && isDigit(s.b[s.i]) {
		s.i++
	}
	return s.i > start
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
