// SPDX-License-Identifier: Apache-2.0

package printable

import (
	"encoding/json"
	"strconv"
	"testing"
	"unicode"
)

func TestLine(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", `a "b" ü 漢 €`, `a "b" ü 漢 €`},
		{"a line end", "a\nb\r\nc", `a\u000ab\u000d\u000ac`},
		{"an escape sequence", "\x1b[2Jx", `\u001b[2Jx`},
		{"a control above ASCII", "\u009b2Jx\u0085", `\u009b2Jx\u0085`},
		{"delete and NUL", "\x7f\x00", `\u007f\u0000`},
		{"text turned around", "\u202etxt.\u2066\u200f\u061c", `\u202etxt.\u2066\u200f\u061c`},
		{"no width", "a\u200b\ufeff\u00ad\u2060b", `a\u200b\ufeff\u00ad\u2060b`},
		{"ends of lines above ASCII", "a\u2028b\u2029c", `a\u2028b\u2029c`},
		{"blanks that are none", "a\u00a0\u3000\tb", `a\u00a0\u3000\u0009b`},
		{"beyond 16 bits", "\U000e0041\U0001f600", `\udb40\udc41😀`},
		{"no UTF-8", "a\xffb\x9b", "a\ufffdb\ufffd"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Line(c.in); got != c.want {
				t.Errorf("got %q", got)
			}
		})
	}
	if got := Text("a\tb\n\x1b\r"); got != "a\tb\n\\u001b\\u000d" {
		t.Errorf("got %q", got)
	}
}

// TestJSON holds a JSON text to its meaning, and to being printable.
func TestJSON(t *testing.T) {
	var all []rune
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if r < 0xd800 || r > 0xdfff {
			all = append(all, r)
		}
	}
	text, err := json.Marshal(string(all))
	if err != nil {
		t.Fatal(err)
	}
	line := Line(string(text))
	var back string
	if err := json.Unmarshal([]byte(line), &back); err != nil || back != string(all) {
		t.Errorf("it is another text: %v", err)
	}
	for _, r := range line {
		if !strconv.IsPrint(r) {
			t.Errorf("%U is left", r)
		}
	}
}
