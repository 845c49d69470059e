// SPDX-License-Identifier: Apache-2.0

package spec

import "github.com/oci-secrets/oci-secrets/spec/jsontext"

// Mount is one of a document's mounts, as it stands there. A field that is
// absent is empty.
type Mount struct {
	Destination string // in the container
	Source      string
	Type        string
}

// Mounts are the document's mounts in the order in which a runtime mounts them,
// nil where there are none. What decides about one must be there once and be a
// string.
func (d *Doc) Mounts() ([]Mount, error) {
	place, err := d.slot(d.place, "mounts", "mounts")
	if err != nil {
		return nil, err
	}
	var mounts []Mount
	for _, e := range place.elements {
		if d.b[e.Start] != '{' {
			return nil, d.fault(e, "an element of mounts is not an object")
		}
		var m Mount
		members := jsontext.Members(d.b, e)
		for _, field := range []struct {
			name string
			into *string
		}{{"destination", &m.Destination}, {"source", &m.Source}, {"type", &m.Type}} {
			found, ok, err := d.find(members, field.name)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			literal := found.Value.Of(d.b)
			if literal[0] != '"' {
				return nil, d.fault(found.Value, "the %s of a mount is not a string", field.name)
			}
			text, whole := jsontext.Unquote(literal)
			if !whole {
				return nil, d.fault(found.Value, "the %s of a mount has half a surrogate pair", field.name)
			}
			*field.into = text
		}
		mounts = append(mounts, m)
	}
	return mounts, nil
}
