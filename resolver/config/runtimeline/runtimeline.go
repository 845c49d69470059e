// SPDX-License-Identifier: Apache-2.0

// Package runtimeline finds the real runtime in the settings. It reads one line
// and no other, and imports nothing, because the runtime shim needs it for every
// command, before package os is initialised (see hook/pass). Package config sees
// to it that the line is where this finds it.
package runtimeline

// Path is the value of the line `path = "..."` below [runtime]; "" where there is
// none.
func Path(text []byte) string {
	here := false
	for len(text) > 0 {
		var line []byte
		line, text = cut(text, '\n')
		if line = trim(line); len(line) > 0 && line[0] == '[' {
			table, _ := cut(line[1:], ']')
			here = string(trim(table)) == "runtime"
			continue
		}
		key, value := cut(line, '=')
		if !here || string(trim(key)) != "path" {
			continue
		}
		if value = trim(value); len(value) < 2 || value[0] != '"' && value[0] != '\'' {
			return ""
		}
		quoted, _ := cut(value[1:], value[0])
		return string(quoted)
	}
	return ""
}

// cut gives what is before and behind the first c; all of b and nothing where
// there is none.
func cut(b []byte, c byte) (before, after []byte) {
	for i := range b {
		if b[i] == c {
			return b[:i], b[i+1:]
		}
	}
	return b, nil
}

// trim takes white space away from both ends.
func trim(b []byte) []byte {
	blank := func(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }
	for len(b) > 0 && blank(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && blank(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}
