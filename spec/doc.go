// SPDX-License-Identifier: Apache-2.0

// Package spec is the contract with whoever starts a container: what its
// annotations ask for ([Parse]), and what becomes of its environment ([Merge],
// and [Doc] for the config.json that carries it). README.md beside this file is
// the normative text, and its examples are test cases.
//
// The package does no I/O and knows no source of secrets. A document comes out
// as it went in, byte for byte, but for what changes (elements of process.env, a
// hook, an annotation, a member): engines and runtimes put fields there that no
// schema knows, and numbers that no float64 holds.
//
// Errors are faults with a class and hints. They quote what an annotation
// names, because those are names. They never quote a document or a dict's
// values, because those are secrets. What the package does not do is protect
// the bytes that [Doc.WithEnv] gives back: they hold the values in clear.
package spec

import (
	"fmt"
	"strings"

	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/spec/jsontext"
)

// Doc is a config.json, or a state (its annotations stand in the same place).
type Doc struct {
	b     []byte
	place jsontext.Span
	root  []jsontext.Member
	bare  bool // the document is a process, and not the whole of a config.json
}

// ParseDoc reads a document. All of it must be well-formed: one JSON object, in
// UTF-8, with nothing but white space around it. The Doc keeps b, which must
// not change from here on.
func ParseDoc(b []byte) (*Doc, error) {
	d := &Doc{b: b}
	var err error
	if d.place, err = jsontext.Scan(b, func(m jsontext.Member) { d.root = append(d.root, m) }); err != nil {
		return nil, fault.New(fault.Document, "", "not a JSON document: %w", err)
	}
	if b[d.place.Start] != '{' {
		return nil, d.fault(d.place, "the document is not an object")
	}
	return d, nil
}

// ParseProcess reads the process of a config.json that stands alone, as the
// file that an engine gives to `exec --process` does. [Doc.Env] and
// [Doc.WithEnv] work on it.
func ParseProcess(b []byte) (*Doc, error) {
	d, err := ParseDoc(b)
	if err == nil {
		d.bare = true
	}
	return d, err
}

// Process is the document's process, as it stands there.
func (d *Doc) Process() ([]byte, error) {
	place, err := d.process()
	return place.Of(d.b), err
}

// process finds the process.
func (d *Doc) process() (jsontext.Span, error) {
	if d.bare {
		return d.place, nil
	}
	process, ok, err := d.find(d.root, "process")
	switch {
	case err != nil:
	case !ok:
		err = fault.New(fault.Document, "", "the document has no process, so there is no environment")
	case d.b[process.Value.Start] != '{':
		err = d.fault(process.Value, "process is not an object")
	}
	return process.Value, err
}

// Annotations are the document's annotations, nil where there are none.
//
// Every annotation that [Parse] reads must be there once and be a string; the
// Kubernetes ones and crun's only where the document asks for secrets at all. Among others
// the last of a name counts, and one that is no string is left out: they are
// the runtime's business. A duplicate of the object itself is always refused,
// because it leaves open whether the document asks.
func (d *Doc) Annotations() (map[string]string, error) {
	m, ok, err := d.find(d.root, "annotations")
	if err != nil || !ok || d.b[m.Value.Start] == 'n' {
		return nil, err
	}
	if d.b[m.Value.Start] != '{' {
		return nil, d.fault(m.Value, "annotations is not an object")
	}
	annotations := map[string]string{}
	var asks bool
	var ours, theirs error // the first thing wrong with our keys, and with the ones we read
	for _, m := range jsontext.Members(d.b, m.Value) {
		key, _ := jsontext.Unquote(d.b[m.Key.Start:m.Key.End])
		var value string
		var problem string
		if d.b[m.Value.Start] != '"' {
			problem = "is not a string"
		} else {
			var whole bool
			if value, whole = jsontext.Unquote(d.b[m.Value.Start:m.Value.End]); !whole {
				problem = "has half a surrogate pair"
			}
			if _, twice := annotations[key]; twice {
				problem = "is there twice"
			}
			annotations[key] = value
		}
		asks = asks || IsOurs(key)
		switch {
		case problem == "":
		case IsOurs(key) && ours == nil:
			ours = d.fault(m.Value, "annotation %s %s", clip(key), problem)
		case (isKubernetes(key) || isHookStream(key)) && theirs == nil:
			theirs = d.fault(m.Value, "annotation %s %s", clip(key), problem)
		}
	}
	if ours != nil {
		return nil, ours
	}
	if asks && theirs != nil {
		return nil, theirs
	}
	return annotations, nil
}

// find gives the member called name. It refuses a second one, and one that
// differs only by letter case: runtimes in Go take either for the real one and
// crun does not, so what we edit might not be what runs.
func (d *Doc) find(members []jsontext.Member, name string) (found jsontext.Member, ok bool, err error) {
	for _, m := range members {
		switch key, _ := jsontext.Unquote(d.b[m.Key.Start:m.Key.End]); {
		case key == name && ok:
			return jsontext.Member{}, false, d.fault(m.Key, "%q is there twice", name)
		case key == name:
			found, ok = m, true
		case strings.EqualFold(key, name):
			return jsontext.Member{}, false, d.fault(m.Key, "a key differs from %q only by letter case", name)
		}
	}
	return found, ok, nil
}

// fault is a [fault.Document] at place.
func (d *Doc) fault(place jsontext.Span, format string, args ...any) error {
	return fault.New(fault.Document, "", "byte %d: %s", place.Start, fmt.Sprintf(format, args...))
}
