// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/hook/report"
	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/spec/limit"
)

func TestError(t *testing.T) {
	_, notThere := os.Open("/no/such/file")
	tests := map[string]struct {
		err  error
		want string
		code int
	}{
		"one line": {
			fault.New(fault.Missing, "", "no %s", "db"), "oci-secrets: no db\n", 11,
		},
		"a hint": {
			fault.New(fault.Refused, "chmod 0640 x", "x is open"), "oci-secrets: x is open\nhint: chmod 0640 x\n", 12,
		},
		"several, lines first, each hint once": {
			errors.Join(fault.New(fault.Missing, "add it", "no a"), fmt.Errorf("second: %w", fault.New(fault.Missing, "add it", "no b")), fault.New(fault.Missing, "or that", "no c")),
			"oci-secrets: no a\noci-secrets: second: no b\noci-secrets: no c\nhint: add it\nhint: or that\n", 11,
		},
		"the root cause counts": {
			errors.Join(fault.New(fault.Missing, "", "a"), fault.New(fault.Unreachable, "", "b"), fault.New(fault.Refused, "", "c")),
			"oci-secrets: a\noci-secrets: b\noci-secrets: c\n", 13,
		},
		"without a class":     {errors.New("broken"), "oci-secrets: broken\n", 1},
		"the kernel's phrase": {fault.New(fault.Document, "", "read the bundle: %w", notThere), "oci-secrets: read the bundle: open /no/such/file: it does not exist\n", 14},
		"in any case, everywhere": {
			fault.New(fault.Delivery, "Permission Denied?", "%w, %w; OPERATION NOT PERMITTED", syscall.EACCES, syscall.EPERM),
			"oci-secrets: access denied, not allowed; not allowed\nhint: access denied?\n", 16,
		},
		"control characters": {
			fault.New(fault.Refused, "a\x1b[2Jb\nc", "a\x1b[2Jb\rc\x7f\td\u009b2J\u202e"),
			`oci-secrets: a\u001b[2Jb\u000dc\u007f\u0009d\u009b2J\u202e` + "\n" + `hint: a\u001b[2Jb\u000ac` + "\n", 12,
		},
		"a long line": {
			fault.New(fault.Annotation, "", "%s", strings.Repeat("x", 3000)), "oci-secrets: " + strings.Repeat("x", 2048) + "...\n", 10,
		},
		"not UTF-8": {fault.New(fault.Refused, "", "a\xffb"), "oci-secrets: a\ufffdb\n", 12},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			code := report.Error(&b, tt.err)
			if diff := cmp.Diff(tt.want, b.String()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if code != tt.code || report.Code(tt.err) != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
		})
	}
}

// TestPhrases holds what we print to what podman greps for
// (libpod/oci_util.go, getOCIRuntimeError).
func TestPhrases(t *testing.T) {
	for _, errno := range []error{syscall.EACCES, syscall.EPERM, syscall.ENOENT, fs.ErrPermission, fs.ErrNotExist, os.ErrNotExist} {
		err := fmt.Errorf("x: %w, %s", errno, strings.ToUpper(errno.Error()))
		line := strings.ToLower(strings.Join(report.Lines(err), "\n"))
		for _, phrase := range []string{"permission denied", "operation not permitted", "no such file or directory"} {
			if strings.Contains(line, phrase) {
				t.Errorf("%q comes through in %q", phrase, line)
			}
		}
	}
}

func TestUsage(t *testing.T) {
	cause := errors.New("flag provided but not defined: -x")
	err := report.Usage("%w", cause)
	if report.Code(err) != 2 || !errors.Is(err, cause) || len(fault.Hints(err)) != 1 {
		t.Errorf("got %v, %d, %q", err, report.Code(err), fault.Hints(err))
	}
}

// TestTooMuch has failures that nobody would read to their end.
func TestTooMuch(t *testing.T) {
	var many fault.List
	var unlisted []error
	for i := range 100_000 {
		err := fault.New(fault.Missing, fmt.Sprintf("hint %d", i), "no %d", i)
		many.Add(err)
		if i < 5000 {
			unlisted = append(unlisted, err)
		}
	}
	long := strings.Repeat("permission denied é", 100_000)
	escapes := "a" + strings.Repeat("\x01é", 100_000) // longer when they are shown, and cut within a letter
	for name, err := range map[string]error{
		"many": many.Err(), "unlisted": errors.Join(unlisted...), "long": fault.New(fault.Annotation, long, "%s", long),
		"escapes": fault.New(fault.Annotation, escapes, "%s", escapes),
	} {
		var b strings.Builder
		if code := report.Error(&b, err); code != report.Code(err) {
			t.Errorf("%s: exit code %d", name, code)
		}
		for what, text := range map[string]string{"lines": b.String(), "one line": report.OneLine(err)} {
			if len(text) > limit.ErrorText || len(text) < 1000 || !utf8.ValidString(text) {
				t.Errorf("%s: %s of %d bytes", name, what, len(text))
			}
			for line := range strings.Lines(text) {
				if what == "lines" && len(line) > 2<<10+len("oci-secrets: ...\n") {
					t.Errorf("%s: a line of %d bytes", name, len(line))
				}
			}
		}
	}
	if last := report.Lines(many.Err()); !strings.HasPrefix(last[len(last)-1], "and ") || !strings.HasSuffix(last[len(last)-1], " more") {
		t.Errorf("the last line is %q", last[len(last)-1])
	}
}
