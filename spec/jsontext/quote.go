// SPDX-License-Identifier: Apache-2.0

package jsontext

import (
	"unicode/utf16"
	"unicode/utf8"
)

// Unquote gives the text of a string literal that [Scan] accepted. A surrogate
// without its other half becomes U+FFFD, as it does in every Go runtime; whole
// tells that there was none.
func Unquote(literal []byte) (text string, whole bool) {
	in := literal[1 : len(literal)-1]
	i := backslash(in)
	if i < 0 {
		return string(in), true
	}
	out := make([]byte, 0, len(in))
	whole = true
	for ; i >= 0; i = backslash(in) {
		out = append(out, in[:i]...)
		c := in[i+1]
		in = in[i+2:]
		switch c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := hex4(in)
			in = in[4:]
			if utf16.IsSurrogate(r) {
				pair := rune(utf8.RuneError)
				if len(in) >= 6 && in[0] == '\\' && in[1] == 'u' {
					pair = utf16.DecodeRune(r, hex4(in[2:]))
				}
				if r = pair; r == utf8.RuneError {
					whole = false
				} else {
					in = in[6:]
				}
			}
			out = utf8.AppendRune(out, r)
		default: // " \ /
			out = append(out, c)
		}
	}
	return string(append(out, in...)), whole
}

// backslash is the index of the first \ in b; -1 where there is none.
func backslash(b []byte) int {
	for i, c := range b {
		if c == '\\' {
			return i
		}
	}
	return -1
}

// AppendQuoted appends s, which is UTF-8, as a string literal. Only what must
// be escaped is: a value that is easy to compare is easy to trust.
func AppendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c < ' ':
			const digits = "0123456789abcdef"
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// hex is the value of a hexadecimal digit, or -1.
func hex(c byte) rune {
	switch {
	case IsDigit(c):
		return rune(c - '0')
	case 'a' <= c && c <= 'f':
		return rune(c - 'a' + 10)
	case 'A' <= c && c <= 'F':
		return rune(c - 'A' + 10)
	}
	return -1
}

// hex4 is the value of the first four bytes of b, which are such digits.
func hex4(b []byte) rune {
	return hex(b[0])<<12 | hex(b[1])<<8 | hex(b[2])<<4 | hex(b[3])
}
