// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// block is one fenced block of README.md.
type block struct {
	line  int
	lines []string
}

// examples are README.md's blocks of one kind.
func examples(t *testing.T, kind string) []block {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []block
	var in, wanted bool
	for i, line := range strings.Split(string(text), "\n") {
		fence, ok := strings.CutPrefix(line, "```")
		switch {
		case ok && in:
			in = false
		case ok:
			if in, wanted = true, fence == kind; wanted {
				blocks = append(blocks, block{line: i + 1})
			}
		case in && wanted:
			last := &blocks[len(blocks)-1]
			last.lines = append(last.lines, line)
		}
	}
	if len(blocks) == 0 {
		t.Fatalf("README.md has no ```%s block", kind)
	}
	return blocks
}

// complaint is an error as README.md writes it, and as a user sees it.
func complaint(err error) []string {
	var lines []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		lines = append(lines, "! "+line)
	}
	for _, hint := range fault.Hints(err) {
		lines = append(lines, "hint: "+hint)
	}
	return lines
}

func TestExampleAnnotations(t *testing.T) {
	for _, b := range examples(t, "case") {
		t.Run("line"+strconv.Itoa(b.line), func(t *testing.T) {
			annotations := map[string]string{}
			var want []string
			for _, line := range b.lines {
				key, value, ok := strings.Cut(line, " = ")
				if !ok || strings.HasPrefix(line, "=>") || strings.HasPrefix(line, "!") || strings.HasPrefix(line, "hint:") {
					want = append(want, line)
					continue
				}
				if strings.HasPrefix(value, `"`) {
					var err error
					if value, err = strconv.Unquote(value); err != nil {
						t.Fatal(err)
					}
				}
				annotations[key] = value
			}
			id := annotations["container"]
			delete(annotations, "container")
			asked, err := Parse(annotations)
			if IsSandbox(annotations, id) {
				asked, err = Asked{}, nil
			}
			var got []string
			switch {
			case err != nil:
				got = complaint(err)
				if c, _ := fault.ClassOf(err); c != fault.Annotation {
					t.Errorf("class %v", c)
				}
			case asked.None():
				got = []string{"=> nothing"}
			}
			for _, r := range asked.Requests {
				got = append(got, "=> "+r.String())
			}
			for _, p := range asked.Dict {
				got = append(got, "=> "+p.Name+"="+strconv.Quote(p.Value))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-README +code\n%s", diff)
			}
		})
	}
}

func TestExampleDocuments(t *testing.T) {
	for _, b := range examples(t, "document") {
		t.Run("line"+strconv.Itoa(b.line), func(t *testing.T) {
			var vars, want []string
			for _, line := range b.lines[1:] {
				if v, ok := strings.CutPrefix(line, "+ "); ok {
					vars = append(vars, v)
				} else {
					want = append(want, line)
				}
			}
			out, err := edit([]byte(b.lines[0]), vars)
			got := []string{string(out)}
			if err != nil {
				got = complaint(err)
				if c, _ := fault.ClassOf(err); c != fault.Document {
					t.Errorf("class %v", c)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-README +code\n%s", diff)
			}
		})
	}
}

// edit does to a document what a way in does: read the annotations, write the
// variables.
func edit(b []byte, vars []string) ([]byte, error) {
	d, err := ParseDoc(b)
	if err != nil {
		return nil, err
	}
	if _, err := d.Annotations(); err != nil {
		return nil, err
	}
	return d.WithEnv(vars)
}

func TestExampleReserved(t *testing.T) {
	for kind, list := range map[string][]string{"reserved": reserved[:], "on-request": onRequest[:]} {
		var want []string
		for _, b := range examples(t, kind) {
			want = append(want, strings.Fields(strings.Join(b.lines, " "))...)
		}
		got := slices.Clone(list)
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -README +code\n%s", kind, diff)
		}
	}
}
