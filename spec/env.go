// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"strings"
	"unicode/utf8"

	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/spec/jsontext"
)

// Env is the document's process.env, nil where that is absent, null or empty.
func (d *Doc) Env() ([]string, error) {
	place, err := d.env()
	if err != nil {
		return nil, err
	}
	var env []string
	for _, e := range place.elements {
		text, _ := jsontext.Unquote(d.b[e.Start:e.End])
		env = append(env, text)
	}
	return env, nil
}

// WithEnv gives the document with vars, each a NAME=value, merged into
// process.env by the rule of [Merge]. Only the literals of replaced elements
// change, and new ones come in before the closing bracket; with no vars the
// bytes are the document's own. The Doc stays as it was.
func (d *Doc) WithEnv(vars []string) ([]byte, error) {
	if len(vars) == 0 {
		return d.b, nil
	}
	size := 0
	for _, v := range vars {
		if err := encodable(v); err != nil {
			return nil, err
		}
		size += len(v) + len(`"",`)
	}
	place, err := d.env()
	if err != nil {
		return nil, err
	}

	out := make([]byte, 0, len(d.b)+size+size/8+len(`,"env":[]`))
	done := 0 // the document's bytes that are dealt with
	changes := planMerge(vars)
	for _, e := range place.elements {
		text, _ := jsontext.Unquote(d.b[e.Start:e.End])
		if v, ok := changes.replacement(text); ok {
			out = append(out, d.b[done:e.Start]...)
			out = jsontext.AppendQuoted(out, v)
			done = e.End
		}
	}
	out = append(out, d.b[done:place.insert]...)
	out = append(out, place.before...)
	for i, v := range changes.rest() {
		if i > 0 || len(place.elements) > 0 {
			out = append(out, ',')
			out = append(out, place.blank...)
		}
		out = jsontext.AppendQuoted(out, v)
	}
	out = append(out, place.after...)
	return append(out, d.b[place.resume:]...), nil
}

// envPlace is where process.env stands, or would stand.
type envPlace struct {
	elements      []jsontext.Span
	blank         []byte // the white space before the last element, for the ones that follow it
	insert        int    // where new elements go
	resume        int    // where the document goes on after them
	before, after string // what has to stand around them
}

// env finds process.env.
func (d *Doc) env() (envPlace, error) {
	process, ok, err := d.find(d.root, "process")
	if err != nil {
		return envPlace{}, err
	}
	if !ok {
		return envPlace{}, fault.New(fault.Document, "", "the document has no process, so there is no environment")
	}
	if d.b[process.Value.Start] != '{' {
		return envPlace{}, d.fault(process.Value, "process is not an object")
	}
	members := jsontext.Members(d.b, process.Value)
	env, ok, err := d.find(members, "env")
	if err != nil {
		return envPlace{}, err
	}
	if !ok {
		place := envPlace{insert: process.Value.Start + 1, before: `"env":[`, after: "]"}
		if len(members) > 0 {
			last := members[len(members)-1]
			place.insert = last.Value.End
			place.before = "," + string(d.blankBefore(last.Key.Start)) + place.before
		}
		place.resume = place.insert
		return place, nil
	}
	switch d.b[env.Value.Start] {
	case 'n':
		return envPlace{insert: env.Value.Start, resume: env.Value.End, before: "[", after: "]"}, nil
	case '[':
	default:
		return envPlace{}, d.fault(env.Value, "process.env is not an array")
	}
	place := envPlace{elements: jsontext.Elements(d.b, env.Value), insert: env.Value.Start + 1}
	for _, e := range place.elements {
		if d.b[e.Start] != '"' {
			return envPlace{}, d.fault(e, "an element of process.env is not a string")
		}
		place.insert = e.End
		place.blank = d.blankBefore(e.Start)
	}
	place.resume = place.insert
	return place, nil
}

// blankBefore is the white space that ends at i.
func (d *Doc) blankBefore(i int) []byte {
	start := i
	for jsontext.IsBlank(d.b[start-1]) { // a { or [ stands before every member and element
		start--
	}
	return d.b[start:i]
}

// encodable reports whether a variable can stand in a document. JSON is UTF-8;
// an environment is not, and in flight any byte but NUL arrives.
func encodable(v string) error {
	name, value, ok := strings.Cut(v, "=")
	switch {
	case !ok || name == "":
		return fault.New(fault.Annotation, "", "a variable has no name")
	case !utf8.ValidString(v):
		return fault.New(fault.Delivery, "deliver in flight, or keep the value in base64",
			"variable %s: the value is not UTF-8, so config.json cannot carry it", clip(name))
	}
	return CheckVariable(name, value)
}
