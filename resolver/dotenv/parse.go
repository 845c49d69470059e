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
// A statement that cannot be read, or whose key is no key of a secret, is a
// [*SyntaxError]. With lenient it is skipped, up to where python-dotenv goes on
// after one. In both cases values of more than maxValues bytes in all are an
// error.
func Parse(text string, lenient bool) ([]resolver.Entry, error) {
	r := read(text)
	if r.err == nil && !lenient && len(r.flaws) > 0 {
		r.err = r.flaws[0]
	}
	if r.err != nil {
		return nil, r.err
	}
	return r.entries, nil
}

// contents is what a file's text says, without the statements that cannot be read.
type contents struct {
	entries []resolver.Entry
	flaws   []*SyntaxError
	doubt   map[string]*SyntaxError // by key: a flaw that the key's value may be a part of
	err     error                   // the values are too much
}

// read reads what can be read. In doubt is what was set last before a flaw, which
// may be its second line; all that follows a quote that is never closed; and, after
// a flaw, what names other variables, because the flaw may have set those.
func read(text string) contents {
	text = strings.TrimPrefix(text, "\ufeff")
	// Python reads files with universal newlines, so that this holds within
	// quotes, too.
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.ReplaceAll(text, "\r", "\n")
	p := parser{text: text}
	vars := variables{budget: maxValues, index: map[string]int{}}
	r := contents{doubt: map[string]*SyntaxError{}}
	var latest []string       // the key that was assigned last, and the bare ones since
	var unclosed *SyntaxError // the latest flaw of that kind
	for {
		p.skip(space)
		if p.pos == len(p.text) {
			r.entries = vars.entries
			return r
		}
		s := statement{line: p.line()}
		p.statement(&s)
		switch {
		case s.reason != "":
			flaw := &SyntaxError{s.line, s.reason}
			r.flaws = append(r.flaws, flaw)
			for _, key := range latest {
				r.doubt[key] = flaw
			}
			if strings.HasSuffix(s.reason, "quote is never closed") {
				unclosed = flaw
			}
		case s.key == "": // a comment
		case !vars.set(s.key, s.value):
			return contents{err: &SyntaxError{s.line, fmt.Sprintf("the values are more than %d bytes in all", maxValues)}}
		default:
			if s.assigned {
				latest = nil
			}
			latest = append(latest, s.key)
			if r.doubt[s.key] = unclosed; len(r.flaws) > 0 && strings.Contains(s.value, "${") {
				r.doubt[s.key] = r.flaws[len(r.flaws)-1]
			}
		}
	}
}

// statement is one statement, or the reason why it is none; a comment has no key.
type statement struct {
	line       int
	key, value string
	assigned   bool // by a =
	reason     string
}

// isKey reports whether the key can be one of a secret's: a variable name, or what
// has dots and dashes besides and a value. Where a value was wrapped over lines,
// other keys are a part of it, and so may be one with padding for a value.
func (s *statement) isKey() bool {
	return spec.IsVariable(s.key) ||
		spec.IsVariable(strings.NewReplacer(".", "_", "-", "_").Replace(s.key)) && strings.Trim(s.value, "=") != ""
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

// statement reads one statement with the end of its line. Where it is wrong, it
// skips what python-dotenv skips: the rest of the line where reading stopped, and
// of one whose key alone is wrong, all of it.
func (p *parser) statement(s *statement) {
	if s.reason = p.parts(s); s.reason != "" {
		p.skip(inLine)
		return
	}
	p.pos = min(p.pos+1, len(p.text))
	if s.key != "" && !s.isKey() {
		s.reason = "the key is not a variable name, which is letters, digits and _"
	}
}

// parts reads a statement up to the end of its line, or to where it is wrong.
func (p *parser) parts(s *statement) (reason string) {
	p.export()
	if p.peek() != '#' {
		if s.key, reason = p.key(); reason != "" {
			return reason
		}
	}
	p.skip(blank)
	after := "text after the key, where = is wanted"
	if p.peek() == '=' {
		s.assigned = true
		p.pos++
		p.skip(blank)
		switch c := p.peek(); c {
		case '\n':
		case '\'', '"':
			quoted, ok := p.quoted(c)
			if !ok {
				return "the value's quote is never closed"
			}
			s.value = unescape(quoted, c)
			after = "text after the closing quote"
		default:
			s.value = uncomment(p.skip(inLine))
		}
	}
	p.skip(blank)
	if p.peek() == '#' {
		p.skip(inLine)
	}
	if p.peek() != '\n' {
		return after
	}
	return ""
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
