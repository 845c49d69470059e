// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/oci-secrets/oci-secrets/hook/delivery"
	"github.com/oci-secrets/oci-secrets/resolver"
)

// timings is what explain says of the time that it took.
type timings struct {
	Phases []phase        `json:"phases"`
	Counts map[string]int `json:"counts"`
}

type phase struct {
	Name         string  `json:"name"`
	Milliseconds float64 `json:"ms"`
}

// timingsOf gives the phases of a record in their order, and last the whole.
func timingsOf(record *resolver.Record, total time.Duration) *timings {
	t := &timings{Counts: record.Counts()}
	for _, p := range record.Phases() {
		t.Phases = append(t.Phases, phase{p.Name, delivery.Milliseconds(p.Took())})
	}
	t.Phases = append(t.Phases, phase{"total", delivery.Milliseconds(total)})
	return t
}

func (t *timings) table(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw) // a tabwriter tells its errors at Flush
	row(tw, "PHASE", "MILLISECONDS")
	for _, p := range t.Phases {
		row(tw, p.Name, strconv.FormatFloat(p.Milliseconds, 'f', 3, 64))
	}
	if len(t.Counts) > 0 {
		_, _ = fmt.Fprintln(tw)
		row(tw, "COUNT", "TIMES")
		for _, name := range slices.Sorted(maps.Keys(t.Counts)) {
			row(tw, name, strconv.Itoa(t.Counts[name]))
		}
	}
	return tw.Flush()
}
