// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// maxText is how much of somebody else's text an error quotes.
const maxText = 200

// isControl covers C0, C1 and the characters that turn the direction of text.
func isControl(r rune) bool { return unicode.Is(unicode.C, r) }

// clean makes somebody else's text fit for one line of ours.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if isControl(r) || unicode.IsSpace(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > maxText {
		text = string(r[:maxText]) + "..."
	}
	return text
}

// leastPart is the length from which a part of a credential is hidden by itself.
const leastPart = 16

// hide takes credentials out of somebody else's text: each as a whole, and the
// parts of a JWT or of a token behind its kind.
func hide(text string, credentials []string) string {
	const instead = "[secret]"
	for _, c := range credentials {
		if c != "" {
			text = strings.ReplaceAll(text, c, instead)
		}
	}
	for _, c := range credentials {
		for part := range strings.SplitSeq(c, ".") {
			if len(part) >= leastPart {
				text = strings.ReplaceAll(text, part, instead)
			}
		}
	}
	return text
}

// fault is an error about the server that is asked.
func (s *Source) fault(class fault.Class, hint, format string, args ...any) *fault.Error {
	return faultOf(s.servers.String(), class, hint, format, args...)
}

// faultOf is an error about one server. It keeps no cause: the text of a cause
// would bring back what clean takes out.
func faultOf(address string, class fault.Class, hint, format string, args ...any) *fault.Error {
	return fault.New(class, hint, "vault %s: %s", address, fmt.Sprintf(format, args...))
}
