// SPDX-License-Identifier: Apache-2.0

package dotenv

import (
	"strings"

	"github.com/oci-secrets/oci-secrets/resolver"
)

// maxValues bounds the size in bytes of all values that a file sets. Without
// it twenty lines that each name the one before twice make a gigabyte; and no
// process could be given more.
const maxValues = 1 << 20

// variables are what a file has set so far.
type variables struct {
	entries []resolver.Entry
	index   map[string]int // of a key in entries
	budget  int            // what is left of maxValues; a value that is replaced counts as well
}

// set gives key its value after interpolation, or reports that the budget
// does not allow it.
func (v *variables) set(key, value string) bool {
	value, ok := v.expand(value)
	if !ok {
		return false
	}
	e := resolver.Entry{Key: key, Value: resolver.NewValue(value)}
	if i, again := v.index[key]; again {
		v.entries[i] = e
		return true
	}
	v.index[key] = len(v.entries)
	v.entries = append(v.entries, e)
	return true
}

// expand replaces each ${NAME} and ${NAME:-default} by the variable that the
// file has set before, else by the default, as it stands. What the replacement
// says is not looked at again.
func (v *variables) expand(s string) (string, bool) {
	var b strings.Builder
	done := 0 // s up to here is written
	for at := 0; ; {
		start := strings.Index(s[at:], "${")
		if start < 0 {
			break
		}
		start += at
		colon := start + 2 + strings.IndexAny(s[start+2:], ":}")
		if colon < start+2 {
			break
		}
		name, fallback, end := s[start+2:colon], "", colon
		if s[colon] == ':' {
			if !strings.HasPrefix(s[colon:], ":-") {
				// Any other ${ up to here would meet this colon, too.
				at = colon
				continue
			}
			brace := strings.IndexByte(s[colon:], '}')
			if brace < 0 {
				break
			}
			end = colon + brace
			fallback = s[colon+2 : end]
		}
		if i, ok := v.index[name]; ok {
			fallback = v.entries[i].Value.Reveal()
		}
		if !v.spend(start - done + len(fallback)) {
			return "", false
		}
		b.WriteString(s[done:start])
		b.WriteString(fallback)
		at = end + 1
		done = at
	}
	b.WriteString(s[done:])
	return b.String(), v.spend(len(s) - done)
}

// spend takes n bytes from the budget, or reports that it does not have them.
func (v *variables) spend(n int) bool {
	v.budget -= n
	return v.budget >= 0
}
