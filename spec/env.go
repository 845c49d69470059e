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
	for _, v := range vars {
		if err := encodable(v); err != nil {
			return nil, err
		}
	}
	place, err := d.env()
	if err != nil {
		return nil, err
	}

	var changes []change
	plan := planMerge(vars)
	for _, e := range place.elements {
		text, _ := jsontext.Unquote(d.b[e.Start:e.End])
		if v, ok := plan.replacement(text); ok {
			changes = append(changes, change{e, quote(v)})
		}
	}
	if rest := plan.rest(); len(rest) > 0 {
		for i, v := range rest {
			rest[i] = quote(v)
		}
		changes = append(changes, place.appending(rest...))
	}
	return d.apply(changes), nil
}

// quote is s as a JSON literal.
func quote(s string) string { return string(jsontext.AppendQuoted(nil, s)) }

// env finds process.env.
func (d *Doc) env() (slot, error) {
	process, err := d.process()
	if err != nil {
		return slot{}, err
	}
	place, err := d.slot(process, "env", "process.env")
	if err != nil {
		return slot{}, err
	}
	for _, e := range place.elements {
		if d.b[e.Start] != '"' {
			return slot{}, d.fault(e, "an element of process.env is not a string")
		}
	}
	return place, nil
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
