// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"cmp"
	"slices"
	"strings"

	"github.com/oci-secrets/oci-secrets/spec/jsontext"
)

// change puts text in the place of a span of the document.
type change struct {
	at   jsontext.Span
	text string
}

// apply gives the document with changes, which do not overlap. Of several at one
// place the first stands first.
func (d *Doc) apply(changes []change) []byte {
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Compare(a.at.Start, b.at.Start) })
	size := len(d.b)
	for _, e := range changes {
		size += len(e.text)
	}
	out := make([]byte, 0, size)
	done := 0
	for _, e := range changes {
		out = append(append(out, d.b[done:e.at.Start]...), e.text...)
		done = e.at.End
	}
	return append(out, d.b[done:]...)
}

// slot is where an array of the document stands, or would stand.
type slot struct {
	elements      []jsontext.Span
	blank         []byte // the white space before the last element, for the ones that follow it
	insert        int    // where new elements go
	resume        int    // where the document goes on after them
	before, after string // what has to stand around them
}

// slot finds the array called name, whose path is path, in an object.
func (d *Doc) slot(object jsontext.Span, name, path string) (slot, error) {
	members := jsontext.Members(d.b, object)
	array, ok, err := d.find(members, name)
	if err != nil {
		return slot{}, err
	}
	if !ok {
		insert, lead := d.newMember(object, name)
		return slot{insert: insert, resume: insert, before: lead + "[", after: "]"}, nil
	}
	switch d.b[array.Value.Start] {
	case 'n':
		return slot{insert: array.Value.Start, resume: array.Value.End, before: "[", after: "]"}, nil
	case '[':
	default:
		return slot{}, d.fault(array.Value, "%s is not an array", path)
	}
	s := slot{elements: jsontext.Elements(d.b, array.Value), insert: array.Value.Start + 1}
	for _, e := range s.elements {
		s.insert = e.End
		s.blank = d.blankBefore(e.Start)
	}
	s.resume = s.insert
	return s, nil
}

// newMember gives the place for a new last member of an object, and what stands
// there before its value.
func (d *Doc) newMember(object jsontext.Span, name string) (insert int, lead string) {
	lead = quote(name) + ":"
	members := jsontext.Members(d.b, object)
	if len(members) == 0 {
		return object.Start + 1, lead
	}
	last := members[len(members)-1]
	return last.Value.End, "," + string(d.blankBefore(last.Key.Start)) + lead
}

// appending is the change that adds literals, at least one, to the array.
func (s slot) appending(literals ...string) change {
	var text strings.Builder
	text.WriteString(s.before)
	for i, l := range literals {
		if i > 0 || len(s.elements) > 0 {
			text.WriteString("," + string(s.blank))
		}
		text.WriteString(l)
	}
	text.WriteString(s.after)
	return change{jsontext.Span{Start: s.insert, End: s.resume}, text.String()}
}

// prepending is the change that adds a literal before all others of the array.
func (d *Doc) prepending(s slot, literal string) change {
	if len(s.elements) == 0 {
		return s.appending(literal)
	}
	first := s.elements[0].Start
	return change{jsontext.Span{Start: first, End: first}, literal + "," + string(d.blankBefore(first))}
}

// blankBefore is the white space that ends at i.
func (d *Doc) blankBefore(i int) []byte {
	start := i
	for jsontext.IsBlank(d.b[start-1]) { // a { or [ stands before every member and element
		start--
	}
	return d.b[start:i]
}
