// SPDX-License-Identifier: Apache-2.0

// Package report tells a failure to the user: what was asked, where it was
// looked for and why it failed, one line for each thing, then hints, and the
// exit code of the failure's class.
package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/oci-secrets/oci-secrets/hook/printable"
	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/spec/limit"
)

// other is the exit code of a failure without a class: a bug, or a broken
// machine.
const other = 1

// Error writes err to w and gives the exit code.
func Error(w io.Writer, err error) int {
	for _, line := range Lines(err) {
		_, _ = fmt.Fprintf(w, "oci-secrets: %s\n", line)
	}
	for _, hint := range Hints(err) {
		_, _ = fmt.Fprintf(w, "hint: %s\n", hint)
	}
	return Code(err)
}

// OneLine is err as one line, for places that take only one: what is wrong, and
// then the hints.
func OneLine(err error) string {
	line := "oci-secrets: " + strings.Join(Lines(err), "; ")
	for _, hint := range Hints(err) {
		line += "; hint: " + hint
	}
	return line
}

// Code is the exit code that err leads to.
func Code(err error) int {
	if class, ok := fault.ClassOf(err); ok {
		return int(class)
	}
	return other
}

// How [limit.ErrorText] is shared out, in bytes.
const (
	maxLine  = 2 << 10
	maxHints = limit.ErrorText / 4
	maxLines = limit.ErrorText - maxHints
	prefix   = len("oci-secrets: \n") // the most that stands around each
)

// Lines are the lines of err, each one thing that is wrong; what is too much is
// left out.
func Lines(err error) []string {
	return within(maxLines, strings.Split(err.Error(), "\n"))
}

// Hints are the hints of err, as [Lines] are its lines.
func Hints(err error) []string {
	return within(maxHints, fault.Hints(err))
}

// within makes lines as they may be shown, and of at most size bytes with their
// prefixes.
func within(size int, lines []string) []string {
	for i, l := range lines {
		l = cut(reword(printable.Line(cut(l)))) // an escape is longer than what it stands for
		if size -= len(l) + prefix; size < 0 {
			return append(lines[:i], "and more")
		}
		lines[i] = l
	}
	return lines
}

func cut(line string) string {
	if len(line) <= maxLine {
		return line
	}
	return strings.ToValidUTF8(line[:maxLine], "") + "..."
}

// maxLogged bounds the lines of one failure in the system log. A container that
// is restarted again and again writes them each time.
const maxLogged = 20

// Logged are the first of the [Lines], which go to the system log.
func Logged(err error) []string {
	lines := Lines(err)
	return lines[:min(len(lines), maxLogged)]
}

// Writer makes what commands print printable, whoever wrote it: a JSON text says
// the same afterwards. Each write is whole characters.
type Writer struct{ W io.Writer }

func (w Writer) Write(b []byte) (int, error) {
	if _, err := io.WriteString(w.W, printable.Text(string(b))); err != nil {
		return 0, err
	}
	return len(b), nil
}

// phrases are what podman looks for, in any case, in the output of a runtime;
// where it finds one it shows the user an error of its own instead of ours
// (libpod/oci_util.go, getOCIRuntimeError). Next to each is what we say.
var phrases = [][2]string{
	{"permission denied", "access denied"},
	{"operation not permitted", "not allowed"},
	{"no such file or directory", "it does not exist"},
}

// reword puts a text that may have an error of the system in it into words
// that come through.
func reword(s string) string {
	for _, p := range phrases {
		for i := indexFold(s, p[0]); i >= 0; i = indexFold(s, p[0]) {
			s = s[:i] + p[1] + s[i+len(p[0]):]
		}
	}
	return s
}

// indexFold is [strings.Index] for an ASCII phrase in any case.
func indexFold(s, phrase string) int {
	for i := 0; i+len(phrase) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(phrase)], phrase) {
			return i
		}
	}
	return -1
}

// Usage makes a fault of a command line that is not understood.
func Usage(format string, args ...any) error {
	return fault.New(fault.Usage, "see oci-secrets --help", format, args...)
}
