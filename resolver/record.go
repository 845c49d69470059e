// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/oci-secrets/oci-secrets/spec/limit"
)

// Record collects what is to be told of one start besides its variables: how
// long what took, how often what was done, and what happened on the way. It may
// be used by several goroutines at once, and never holds a value.
type Record struct {
	mu     sync.Mutex
	phases []Phase
	counts map[string]int
	notes  []string
	noted  int // bytes of the notes
}

// Phase is one thing that took time. Those of the same name are together the
// time from the first one's begin to the last one's end.
type Phase struct {
	Name       string
	begin, end time.Time
}

// Took is how long it took.
func (p Phase) Took() time.Duration { return p.end.Sub(p.begin) }

// Phase begins a phase; what it gives ends it.
func (r *Record) Phase(name string) (end func()) {
	begin := time.Now()
	return func() {
		now := time.Now()
		r.mu.Lock()
		defer r.mu.Unlock()
		i := slices.IndexFunc(r.phases, func(p Phase) bool { return p.Name == name })
		if i < 0 {
			r.phases = append(r.phases, Phase{name, begin, now})
			return
		}
		p := &r.phases[i]
		if begin.Before(p.begin) {
			p.begin = begin
		}
		if now.After(p.end) {
			p.end = now
		}
	}
}

// Count counts one more of what name says.
func (r *Record) Count(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = map[string]int{}
	}
	r.counts[name]++
}

// Note keeps one line on what happened, once; and as many lines as somebody may
// read ([limit.ErrorText]).
func (r *Record) Note(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.noted < limit.ErrorText && !slices.Contains(r.notes, line) {
		r.notes = append(r.notes, line)
		r.noted += len(line)
	}
}

// Phases gives the phases that have ended, in the order of their first ends.
func (r *Record) Phases() []Phase {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.phases)
}

// Counts gives what was counted.
func (r *Record) Counts() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := make(map[string]int, len(r.counts))
	for name, n := range r.counts {
		counts[name] = n
	}
	return counts
}

// Notes gives the lines.
func (r *Record) Notes() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.notes)
}

type recordKey struct{}

// WithRecord gives a context whose [RecordOf] is r.
func WithRecord(ctx context.Context, r *Record) context.Context {
	return context.WithValue(ctx, recordKey{}, r)
}

// RecordOf is the record of ctx, or one that nobody reads.
func RecordOf(ctx context.Context) *Record {
	if r, ok := ctx.Value(recordKey{}).(*Record); ok {
		return r
	}
	return &Record{}
}
