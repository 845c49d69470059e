// SPDX-License-Identifier: Apache-2.0

// Package printable makes text of any origin fit to be read by people and by
// programs. What we say quotes what others wrote: annotations, ids, files, answers
// of servers. Whoever wrote it must not give orders to a terminal, turn the text
// around, or begin a line of a log.
//
// It imports only what is initialised first, because the tracer logs (package
// tracer).
package printable

import "strconv"

// Line is s as one line. What is not printable (strconv.IsPrint: controls, also
// those above ASCII, signs of direction or without width, all white space but the
// blank) is written as JSON would escape it, so that a JSON text says the same as
// before. Bytes that are not UTF-8 become U+FFFD.
func Line(s string) string { return escape(s, "") }

// Text is s with its line ends and tabs, and else as [Line] has it.
func Text(s string) string { return escape(s, "\n\t") }

func escape(s, keep string) string {
	var b []byte
	for _, r := range s {
		switch {
		case strconv.IsPrint(r) || has(keep, r):
			b = append(b, string(r)...)
		case r > 0xffff:
			r -= 0x10000
			b = unit(unit(b, 0xd800+r>>10), 0xdc00+r&0x3ff)
		default:
			b = unit(b, r)
		}
	}
	return string(b)
}

// unit appends the escape of a unit of UTF-16.
func unit(b []byte, u rune) []byte {
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[u>>12&15], hex[u>>8&15], hex[u>>4&15], hex[u&15])
}

func has(s string, r rune) bool {
	for _, c := range s {
		if c == r {
			return true
		}
	}
	return false
}
