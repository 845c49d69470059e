// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"context"
	"errors"
	"strings"
)

// Chain is a list of sources that are asked in order; it is itself a source.
// The first that has the secret answers, a miss moves on, and any other error
// ends the search: what an unreachable source would have said cannot be known.
type Chain []Source

// Name lists the sources.
func (c Chain) Name() string {
	names := make([]string, len(c))
	for i, s := range c {
		names[i] = s.Name()
	}
	return strings.Join(names, ", ")
}

// Get asks each source in turn. Its miss names every place tried. A chain has
// at least one source.
func (c Chain) Get(ctx context.Context, name string, version int) (*Secret, error) {
	misses := &missError{}
	for _, s := range c {
		secret, err := ask(ctx, s, name, version)
		if err == nil || !errors.Is(err, ErrMiss) {
			return secret, err
		}
		misses.places = append(misses.places, err)
	}
	return nil, misses
}

// missError is a miss of every source of a chain.
type missError struct{ places []error }

func (m *missError) Error() string {
	texts := make([]string, len(m.places))
	for i, p := range m.places {
		texts[i] = p.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap gives what each source said; each is a miss.
func (m *missError) Unwrap() []error { return m.places }
