// SPDX-License-Identifier: Apache-2.0

package dotenv

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/spec"
)

// SyntaxError says where a file cannot be read, and why. It holds nothing of
// what the file says.
type SyntaxError struct {
	Line   int // the line where the statement begins, from 1
	Reason string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// Parse gives the variables that a .env file's text sets, in the order in
// which they first appear; a key that is set again has the last value.
//
// A statement that cannot be read, or whose key is not a variable name, is a
// [*SyntaxError]. With lenient it is skipped, up to where python-dotenv goes on
// after one. In both cases values of more than maxValues bytes in all are an
// error.
func Parse(text string, lenient bool) ([]resolver.Entry, error) {
	text = strings.TrimPrefix(text, "\ufeff")
	// Python reads files with universal newlines, so that this holds within
	// quotes, too.
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.ReplaceAll(text, "\r", "\n")
	p := parser{text: text}
	vars := variables{budget: maxValues, index: map[string]int{}}
	for {
		p.skip(space)
		if p.pos == len(p.text) {
			return vars.entries, nil
		}
		line := p.line()
		key, value, reason := p.statement()
		switch {
		case reason != "" && lenient:
			p.skip(inLine)
		case reason != "":
			return nil, &SyntaxError{line, reason}
		case key == "": // a comment
		case !spec.IsVariable(key):
			// Where a value was wrapped over lines, this is a part of it.
			if !lenient {
				return nil, &SyntaxError{line, "the key is not a variable name, which is letters, digits and _"}
			}
		default:
			if !vars.set(key, value) {
				return nil, &SyntaxError{line, fmt.Sprintf("the values are more than %d bytes in all", maxValues)}
			}
		}
	}
}

// parser stands at one position of the text, whose lines end in \n alone.
type parser struct {
	text    string
	pos     int
	counted int // up to where line ends are counted
	lines   int
}

// line is the number of the line at the position.
func (p *parser) line() int {
	p.lines += strings.Count(p.text[p.counted:p.pos], "\n")
	p.counted = p.pos
	return p.lines + 1
}

// The classes of characters that the dialect knows. All of Unicode's white
// space counts, and as in Python so do the four separators of ASCII.
func space(r rune) bool  { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }
func blank(r rune) bool  { return space(r) && r != '\n' }
func inKey(r rune) bool  { return r != '=' && r != '#' && !space(r) }
func inLine(r rune) bool { return r != '\n' }

// skip goes on to the first character that is not of the class, and gives what
// it passed.
func (p *parser) skip(class func(rune) bool) string {
	start := p.pos
	for p.pos < len(p.text) {
		r, size := utf8.DecodeRuneInString(p.text[p.pos:])
		if !class(r) {
			break
		}
		p.pos += size
	}
	return p.text[start:p.pos]
}

// peek gives the byte at the position, and \n at the end of the text.
func (p *parser) peek() byte {
	if p.pos < len(p.text) {
		return p.text[p.pos]
	}
	return '\n'
}

// statement reads one statement with the end of its line; a comment has no
// key. Where a statement is wrong it gives a reason and stands where reading
// stopped: what python-dotenv then skips is the rest of that line.
func (p *parser) statement() (key, value, reason string) {
	p.export()
	if p.peek() != '#' {
		if key, reason = p.key(); reason != "" {
			return "", "", reason
		}
	}
	p.skip(blank)
	after := "text after the key, where = is wanted"
	if p.peek() == '=' {
		p.pos++
		p.skip(blank)
		switch c := p.peek(); c {
		case '\n':
		case '\'', '"':
			var ok bool
			if value, ok = p.quoted(c); !ok {
				return "", "", "the value's quote is never closed"
			}
			value = unescape(value, c)
			after = "text after the closing quote"
		default:
			value = uncomment(p.skip(inLine))
		}
	}
	p.skip(blank)
	if p.peek() == '#' {
		p.skip(inLine)
	}
	if p.peek() != '\n' {
		return "", "", after
	}
	p.pos = min(p.pos+1, len(p.text))
	return key, value, ""
}

// export passes the word of that name, if blanks follow; else it is a key.
func (p *parser) export() {
	start := p.pos
	if !strings.HasPrefix(p.text[p.pos:], "export") {
		return
	}
	p.pos += len("export")
	if p.skip(blank) == "" {
		p.pos = start
	}
}

func (p *parser) key() (key, reason string) {
	if p.peek() != '\'' {
		if key = p.skip(inKey); key == "" {
			return "", "there is no key"
		}
		return key, ""
	}
	rest := p.text[p.pos+1:]
	end := strings.IndexByte(rest, '\'')
	switch end {
	case -1:
		return "", "the key's quote is never closed"
	case 0:
		return "", "the key is empty"
	}
	p.pos += end + 2
	return rest[:end], ""
}

// quoted reads up to the closing quote, which is the first one without a
// backslash right before it: `\\'` does not close. If all have one, the last
// does close. Both follow from how python-dotenv's pattern matches.
func (p *parser) quoted(quote byte) (string, bool) {
	rest := p.text[p.pos+1:]
	end := -1
	for i := 0; i < len(rest); i++ {
		if rest[i] != quote {
			continue
		}
		end = i
		if i == 0 || rest[i-1] != '\\' {
			break
		}
	}
	if end < 0 {
		return "", false
	}
	p.pos += end + 2
	return rest[:end], true
}

// uncomment cuts an unquoted value at the first # after white space.
func uncomment(s string) string {
	var before rune
	for i, r := range s {
		if r == '#' && i > 0 && space(before) {
			s = s[:i]
			break
		}
		before = r
	}
	return strings.TrimRightFunc(s, space)
}

// unescape replaces the escapes that the style of quotes knows; any other
// backslash stays.
func unescape(s string, quote byte) string {
	known, means := `\'`, `\'`
	if quote == '"' {
		known, means = `\'"abfnrtv`, "\\'\"\a\b\f\n\r\t\v"
	}
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			if k := strings.IndexByte(known, s[i+1]); k >= 0 {
				b.WriteByte(means[k])
				i++
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
