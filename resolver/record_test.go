// SPDX-License-Identifier: Apache-2.0

package resolver_test

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/resolver"
)

// TestRecord has goroutines that tell of the same things.
func TestRecord(t *testing.T) {
	r := &resolver.Record{}
	ctx := resolver.WithRecord(t.Context(), r)
	whole := r.Phase("whole")
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			defer resolver.RecordOf(ctx).Phase("part")()
			resolver.RecordOf(ctx).Count("asked")
			resolver.RecordOf(ctx).Note("went to %s", "b")
		})
	}
	wg.Wait()
	r.Note("and then to %s", "c")
	whole()
	p := r.Phases()
	if len(p) != 2 || p[0].Name != "part" || p[1].Name != "whole" || p[0].Took() < 0 || p[0].Took() > p[1].Took() {
		t.Errorf("phases %v", p)
	}
	if diff := cmp.Diff(map[string]int{"asked": 10}, r.Counts()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"went to b", "and then to c"}, r.Notes()); diff != "" {
		t.Error(diff)
	}
	resolver.RecordOf(t.Context()).Note("nobody reads this")
}
