// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"strings"
	"testing"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// TestDocument holds docs/faults.md to the list: a row for each fault, with its
// code in every cell, and no other rows.
func TestDocument(t *testing.T) {
	doc := rig.ReadFile(t, rig.Root(t)+"/docs/faults.md")
	rows := map[string][]string{}
	for line := range strings.Lines(doc) {
		if cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | "); len(cells) > 2 {
			rows[strings.TrimSpace(cells[0])] = cells[2:]
		}
	}
	if len(rows) != len(all)+2 {
		t.Errorf("%d rows, want %d and two of the head: run make faults", len(rows), len(all))
	}
	for _, f := range all {
		want := fmt.Sprintf("%d, ", f.code)
		if f.code == 0 {
			want = "**starts with it**"
		}
		if len(rows[f.name]) < 8 {
			t.Errorf("%q has the cells %q: run make faults", f.name, rows[f.name])
		}
		for _, c := range rows[f.name] {
			if !strings.HasPrefix(strings.TrimSpace(c), want) {
				t.Errorf("%q has a cell %q, want %q", f.name, c, want)
			}
		}
	}
}
