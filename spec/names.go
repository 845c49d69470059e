// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/spec/jsontext"
)

// maxVariable is the kernel's MAX_ARG_STRLEN: the longest NAME=value that
// execve takes, with its NUL.
const maxVariable = 131072

// Names are the operator's rules for the variables that secrets set.
type Names struct {
	Allow []string // variables of either list in reserved.go that may be set after all, by their whole names
	Only  []string // the only ones that may be set; a * at the end stands for any ending. Empty for all
	Any   bool     // a secret that is taken whole also sets what is no shell name
}

// Check reports whether the variable called name may be set, by a request for it
// or, but for what [Names.Leaves] says, by a secret that is taken whole.
func (n Names) Check(name string) error {
	switch {
	case !isEnvName(name):
		return notEnvName(name)
	case listed(reserved[:], name) && !slices.Contains(n.Allow, name):
		return fault.New(fault.Annotation, "give the key another name, or let the operator add it to allow_names",
			"variable %s is reserved: it changes how a process finds or runs code", clip(name))
	case len(n.Only) > 0 && !listed(n.Only, name):
		return fault.New(fault.Annotation, "select keys with #KEY, or let the operator add it to only_names",
			"variable %s is none of those that the operator lets secrets set", clip(name))
	}
	return nil
}

// Leaves reports whether a secret that is taken whole leaves key out: it is no
// shell name, and neither a request nor the operator has asked for such.
func (n Names) Leaves(key string) bool { return !IsVariable(key) && (!n.Any || !isEnvName(key)) }

// Unasked reports whether the variable is one that only a request should set.
// This release lets a secret that is taken whole set it, too, with a warning.
func (n Names) Unasked(name string) bool {
	return isOnRequest(name) && !slices.Contains(n.Allow, name)
}

// CheckVariable reports whether an environment can carry the variable. The
// error names it and its size, never its value.
func CheckVariable(name, value string) error {
	if strings.IndexByte(value, 0) >= 0 {
		return fault.New(fault.Annotation, "keep binary values in base64",
			"variable %s: the value has a NUL byte, which no environment can carry", clip(name))
	}
	if n := len(name) + len("=") + len(value) + len("\x00"); n > maxVariable {
		return fault.New(fault.Annotation, "",
			"variable %s: NAME=value is %d bytes with its NUL, and the kernel takes at most %d", clip(name), n, maxVariable)
	}
	return nil
}

// isEnvName reports whether an environment can carry a variable of the name, and
// one line can show it.
func isEnvName(name string) bool {
	return name != "" && utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return r == '=' || unicode.IsControl(r) })
}

func notEnvName(name string) error {
	return fault.New(fault.Annotation, "", "a key of %d bytes is not a variable name, which has no = and no control character", len(name))
}

// IsVariable reports whether name is what shells take for the name of a variable,
// [A-Za-z_][A-Za-z0-9_]*.
func IsVariable(name string) bool {
	return name != "" && !jsontext.IsDigit(name[0]) && only(name, "_")
}

// NotVariable is the error for a key that is not delivered under its own name. It
// shows only what looks like a key: where a value was pasted over several lines,
// or the two were swapped, the value stands in the key's place.
func NotVariable(name string) error {
	if !isKey(name) || len(name) > maxQuote {
		return fault.New(fault.Annotation, "", "a key of %d bytes is not a variable name, which is letters, digits and _", len(name))
	}
	fits := strings.Map(func(r rune) rune {
		if r < 0x80 && only(string(r), "") {
			return r
		}
		return '_'
	}, strings.ToUpper(name))
	if jsontext.IsDigit(fits[0]) {
		fits = "_" + fits
	}
	return fault.New(fault.Annotation, "a request can rename it: #"+name+"="+fits,
		"%s is not a variable name, which is letters, digits and _", clip(name))
}

// ShowKey is a source's key as an error may print it: in quotes where it looks
// like a key, and otherwise no more than its size.
func ShowKey(key string) string {
	if isKey(key) && len(key) <= maxQuote {
		return strconv.Quote(key)
	}
	return fmt.Sprintf("of %d bytes", len(key))
}

// ShowName is ShowKey for the name of a secret, whose parts a slash may join.
func ShowName(name string) string {
	if isKey(strings.ReplaceAll(name, "/", "")) && len(name) <= maxQuote {
		return strconv.Quote(name)
	}
	return fmt.Sprintf("of %d bytes", len(name))
}

// only reports whether s is letters, digits and the bytes of extra.
func only(s, extra string) bool {
	for i := range len(s) {
		c := s[i]
		if !jsontext.IsDigit(c) && !('a' <= c && c <= 'z') && !('A' <= c && c <= 'Z') && strings.IndexByte(extra, c) < 0 {
			return false
		}
	}
	return true
}
