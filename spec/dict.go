// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/spec/jsontext"
	"github.com/oci-secrets/oci-secrets/spec/limit"
)

// dict reads the value of secrets.oci/dict, an object of strings. A null is as
// if the key was not written. Errors name keys; the values are nobody's
// business, though whoever can inspect the container sees them.
func (p *problems) dict(key, value string) []Pair {
	b := []byte(value)
	var pairs []Pair
	var flaws []error
	n, seen := 0, map[string]bool{}
	flaw := func(err error) { flaws = append(flaws, fmt.Errorf("annotation %s: %w", clip(key), err)) }
	place, err := jsontext.Scan(b, func(m jsontext.Member) {
		if n++; n > limit.Keys {
			return
		}
		name, _ := jsontext.Unquote(b[m.Key.Start:m.Key.End])
		if seen[name] {
			flaw(fault.New(fault.Annotation, "", "the key %s is there twice", clip(name)))
			return
		}
		seen[name] = true
		if !isEnvName(name) {
			flaw(fault.New(fault.Annotation, "", "the key %s is not a variable name, which has no = and no control character", clip(name)))
			return
		}
		switch b[m.Value.Start] {
		case 'n':
			return
		case '"':
		default:
			flaw(fault.New(fault.Annotation, "put the value in double quotes", "the value of %s is not a string", clip(name)))
			return
		}
		text, whole := jsontext.Unquote(b[m.Value.Start:m.Value.End])
		if !whole {
			flaw(fault.New(fault.Annotation, "", "the value of %s has half a surrogate pair", clip(name)))
		} else if err := CheckVariable(name, text); err != nil {
			flaw(err)
		}
		pairs = append(pairs, Pair{Name: name, Value: text})
	})
	switch {
	case err != nil: // then the rest is guesswork
		p.Add(fault.New(fault.Annotation, `write an object of strings: {"NAME": "value"}`, "annotation %s: not JSON: %w", clip(key), err))
		return nil
	case b[place.Start] != '{':
		p.Add(fault.New(fault.Annotation, `write an object of strings: {"NAME": "value"}`, "annotation %s: not a JSON object", clip(key)))
		return nil
	case n > limit.Keys:
		p.Add(fault.New(fault.Annotation, "", "annotation %s: it has more than %d keys", clip(key), limit.Keys))
		return nil
	}
	for _, err := range flaws {
		p.Add(err)
	}
	slices.SortFunc(pairs, func(a, b Pair) int { return strings.Compare(a.Name, b.Name) })
	return pairs
}

// distance is the number of bytes to insert, delete or replace to make a into b.
func distance(a, b string) int {
	if len(a) > maxQuote {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+change)
		}
	}
	return row[len(b)]
}
