// SPDX-License-Identifier: Apache-2.0

package fault_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/spec/limit"
)

// classes are the contract: the exit codes, and the words.
var classes = map[fault.Class]string{
	2:  "usage",
	10: "bad annotation",
	11: "not found",
	12: "refused by the source",
	13: "source unreachable",
	14: "unreadable document",
	15: "broken settings",
	16: "cannot deliver",
}

func TestClasses(t *testing.T) {
	for class, words := range classes {
		if class.Error() != words {
			t.Errorf("class %d is %q, want %q", int(class), class.Error(), words)
		}
		if got, ok := fault.ClassOf(fmt.Errorf("wrapped: %w", fault.New(class, "", "x"))); !ok || got != class {
			t.Errorf("the class of %q is %v, %v", words, got, ok)
		}
	}
	if got := fault.Class(99).Error(); got != "fault class 99" {
		t.Errorf("an unknown class is %q", got)
	}
}

func TestError(t *testing.T) {
	err := fmt.Errorf("secret db: %w", fault.New(fault.Refused, "hint", "read %s: %w", "x", io.EOF))
	if got := err.Error(); got != "secret db: read x: EOF" {
		t.Errorf("the text is %q", got)
	}
	if !errors.Is(err, io.EOF) || !errors.Is(err, fault.Refused) || errors.Is(err, fault.Missing) {
		t.Error("the cause and the class are not what the tree says")
	}
	var e *fault.Error
	if !errors.As(err, &e) || e.Class != fault.Refused || e.Hint != "hint" {
		t.Errorf("got %+v", e)
	}
}

func TestClassOf(t *testing.T) {
	order := []fault.Class{fault.Usage, fault.Settings, fault.Annotation, fault.Document, fault.Delivery, fault.Unreachable, fault.Refused, fault.Missing}
	if len(order) != len(classes) {
		t.Fatal("a class is missing from the order")
	}
	for i, high := range order {
		for _, low := range order[i:] {
			err := errors.Join(fault.New(low, "", "low"), errors.New("none"), fmt.Errorf("x: %w", fault.New(high, "", "high")))
			if got, ok := fault.ClassOf(err); !ok || got != high {
				t.Errorf("of %v and %v, %v counts", high, low, got)
			}
		}
	}
	for _, err := range []error{nil, io.EOF, errors.Join(io.EOF, io.ErrUnexpectedEOF)} {
		if got, ok := fault.ClassOf(err); ok {
			t.Errorf("the class of %v is %v", err, got)
		}
	}
}

func TestOutcome(t *testing.T) {
	sealed := fault.New(fault.Unreachable, "", "x").Because(fault.Sealed)
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"none":                       {nil, "ok"},
		"a class":                    {fault.New(fault.Missing, "", "x"), "not-found"},
		"no class":                   {io.EOF, "other"},
		"a reason":                   {fmt.Errorf("a: %w", sealed), "sealed"},
		"of the class that decides":  {errors.Join(fault.New(fault.Refused, "", "y").Because(fault.Denied), sealed), "sealed"},
		"not of one that does not":   {errors.Join(sealed, fault.New(fault.Settings, "", "y")), "broken-settings"},
		"beside one without reasons": {errors.Join(sealed, fault.New(fault.Unreachable, "", "y")), "sealed"},
	} {
		if got := fault.Outcome(tt.err); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestHints(t *testing.T) {
	inner := fault.New(fault.Missing, "inner", "x")
	for name, tt := range map[string]struct {
		err  error
		want []string
	}{
		"none":          {io.EOF, nil},
		"nil":           {nil, nil},
		"empty":         {fault.New(fault.Missing, "", "x"), nil},
		"wrapped":       {fmt.Errorf("a: %w", inner), []string{"inner"}},
		"outer first":   {fault.New(fault.Refused, "outer", "y: %w", inner), []string{"outer", "inner"}},
		"joined, once":  {errors.Join(inner, io.EOF, fault.New(fault.Missing, "other", "z"), inner), []string{"inner", "other"}},
		"several in %w": {fmt.Errorf("%w and %w", fault.New(fault.Missing, "1", "x"), fault.New(fault.Missing, "2", "y")), []string{"1", "2"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, fault.Hints(tt.err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestList has more errors than help, and the one that decides among the rest.
func TestList(t *testing.T) {
	var l fault.List
	if l.Err() != nil {
		t.Errorf("an empty list is %v", l.Err())
	}
	var want []string
	for i := range 1000 {
		l.Add(fault.New(fault.Missing, fmt.Sprint("hint ", i), "no %d", i))
		want = append(want, fmt.Sprint("no ", i))
	}
	if diff := cmp.Diff(want, strings.Split(l.Err().Error(), "\n")); diff != "" {
		t.Errorf("a thousand (-want +got)\n%s", diff)
	}
	for size := len(strings.Join(want, "\n")) + 1; size < limit.ErrorText/2; size += len("no more\n") {
		want = append(want, "no more")
	}
	for range 50_000 {
		l.Add(fault.New(fault.Missing, "", "no more"))
	}
	l.Add(fault.New(fault.Unreachable, "mend it", "down"))
	l.Add(errors.New("without a class"))
	err := l.Err()
	want = append(want, fmt.Sprintf("and %d more", 1000+50_002-len(want)))
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("many (-want +got)\n%s", diff)
	}
	if c, _ := fault.ClassOf(err); c != fault.Unreachable || !errors.Is(err, fault.Missing) {
		t.Errorf("class %v", c)
	}
	if hints := fault.Hints(err); len(hints) != 1000 {
		t.Errorf("%d hints", len(hints))
	}
}
