// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// plain are the characters that stand for themselves in a part of a secret's name,
// besides letters and digits. Others that print are written as a tilde and two
// digits for each byte of UTF-8: no shell and no front end gives that a meaning
// within a word.
const plain = "._-"

// never are the characters that no name has: a proxy before a server may take them
// for a part of its own, or for one that leads up (%2e, ..;, \).
const never = `%;\`

// unescape reads a part of a secret's name. A name has one spelling, so that who
// looks for it in text finds it: digits are upper case, and what needs no escape has
// none.
func unescape(part string) (string, error) {
	text, rest, escaped := strings.Cut(part, "~")
	if !escaped {
		return part, nil
	}
	var b strings.Builder
	b.WriteString(text)
	for escaped {
		if len(rest) < 2 || strings.Trim(rest[:2], "0123456789ABCDEF") != "" {
			return "", fault.New(fault.Annotation, "~40 stands for @, ~20 for a blank, and ~7E for ~ itself",
				"a ~ without two of 0-9 and A-F after it")
		}
		c, _ := hex.DecodeString(rest[:2]) // which were just seen to be digits
		switch {
		case only(string(c), plain+"/"):
			return "", fault.New(fault.Annotation, "", "~%s, and %c is written as it is", rest[:2], c[0])
		case strings.ContainsRune(never, rune(c[0])):
			return "", fault.New(fault.Annotation, "", "~%s, and no name has a %c", rest[:2], c[0])
		}
		text, rest, escaped = strings.Cut(rest[2:], "~")
		b.WriteString(string(c) + text)
	}
	name := b.String()
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "", fault.New(fault.Annotation, "", "an escape that is no character of UTF-8, or one that does not print")
	}
	return name, nil
}

// EscapeName is the name of a secret as an annotation has it.
func EscapeName(name string) string {
	if only(name, plain+"/") {
		return name
	}
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; only(string(c), plain+"/") {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "~%02X", c)
		}
	}
	return b.String()
}

// IsName reports whether name, without escapes, is one that an annotation can ask for.
func IsName(name string) bool {
	same, err := parseName(EscapeName(name), "")
	return err == nil && same == name
}
