// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"strings"

	"github.com/oci-secrets/oci-secrets/spec/jsontext"
)

// Member gives the literal of the member at path, which leads from object to
// object; ok is false where there is none.
func (d *Doc) Member(path ...string) (literal string, ok bool, err error) {
	found, _, err := d.walk(path)
	if err != nil || len(found) < len(path) {
		return "", false, err
	}
	return string(found[len(path)-1].Value.Of(d.b)), true, nil
}

// WithMember gives the document in which the member at path has the value
// literal, a JSON text. One that is not there yet comes last in its object, with
// the white space of the one before it; so do the objects that lead to it.
func (d *Doc) WithMember(literal string, path ...string) ([]byte, error) {
	found, siblings, err := d.walk(path)
	if err != nil {
		return nil, err
	}
	n := len(found)
	if n == len(path) {
		return d.apply([]change{{found[n-1].Value, literal}}), nil
	}
	for i := len(path) - 1; i > n; i-- {
		literal = "{" + member(path[i], literal) + "}"
	}
	text := member(path[n], literal)
	at := d.place.Start + 1
	if n > 0 {
		at = found[n-1].Value.Start + 1
	}
	if len(siblings) > 0 {
		last := siblings[len(siblings)-1]
		at, text = last.Value.End, ","+string(d.blankBefore(last.Key.Start))+text
	}
	return d.apply([]change{{jsontext.Span{Start: at, End: at}, text}}), nil
}

// WithoutMember gives the document without the member at path. It undoes
// [Doc.WithMember] to the byte, but for the objects on the way.
func (d *Doc) WithoutMember(path ...string) ([]byte, error) {
	found, siblings, err := d.walk(path)
	if err != nil || len(found) < len(path) {
		return d.b, err
	}
	m := found[len(path)-1]
	gone := jsontext.Span{Start: m.Key.Start - len(d.blankBefore(m.Key.Start)), End: m.Value.End}
	for i, s := range siblings {
		switch {
		case s != m:
		case i > 0:
			gone.Start = siblings[i-1].Value.End
		case len(siblings) > 1: // the next one moves to its place
			gone = jsontext.Span{Start: m.Key.Start, End: siblings[1].Key.Start}
		}
	}
	return d.apply([]change{{at: gone}}), nil
}

// walk finds the members along path as far as they are there, and the members
// of the object where it ended.
func (d *Doc) walk(path []string) (found, siblings []jsontext.Member, err error) {
	siblings = d.root
	for i, key := range path {
		m, ok, err := d.find(siblings, key)
		if err != nil || !ok {
			return found, siblings, err
		}
		if found = append(found, m); i == len(path)-1 {
			break
		}
		if d.b[m.Value.Start] != '{' {
			return nil, nil, d.fault(m.Value, "%s is not an object", strings.Join(path[:i+1], "."))
		}
		siblings = jsontext.Members(d.b, m.Value)
	}
	return found, siblings, nil
}

func member(key, literal string) string {
	return quote(key) + ": " + literal
}
