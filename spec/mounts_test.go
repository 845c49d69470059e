// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/spec"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

func TestMounts(t *testing.T) {
	for name, tt := range map[string]struct {
		doc  string
		want []spec.Mount
		err  string
	}{
		"none":     {doc: `{}`},
		"null":     {doc: `{"mounts": null}`},
		"an empty": {doc: `{"mounts": []}`},
		"in order": {
			doc:  `{"mounts": [{"destination":"/proc","type":"proc","source":"proc","options":["ro"]}, {"source":"/a\u0062","destination":"\/x"}, {}]}`,
			want: []spec.Mount{{Destination: "/proc", Source: "proc", Type: "proc"}, {Destination: "/x", Source: "/ab"}, {}},
		},
		"twice":                 {doc: `{"mounts":[],"mounts":[]}`, err: `byte 13: "mounts" is there twice`},
		"another letter case":   {doc: `{"Mounts":[]}`, err: `byte 1: a key differs from "mounts" only by letter case`},
		"no array":              {doc: `{"mounts":{}}`, err: `byte 10: mounts is not an array`},
		"no object":             {doc: `{"mounts":["/a"]}`, err: `byte 11: an element of mounts is not an object`},
		"two sources":           {doc: `{"mounts":[{"source":"/a","source":"/b"}]}`, err: `byte 26: "source" is there twice`},
		"two letter cases":      {doc: `{"mounts":[{"source":"/a","Source":"/b"}]}`, err: `byte 26: a key differs from "source" only by letter case`},
		"a source of no string": {doc: `{"mounts":[{"source":null}]}`, err: `byte 21: the source of a mount is not a string`},
		"half a pair":           {doc: `{"mounts":[{"destination":"\ud800"}]}`, err: `byte 26: the destination of a mount has half a surrogate pair`},
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := spec.ParseDoc([]byte(tt.doc))
			if err != nil {
				t.Fatal(err)
			}
			got, err := doc.Mounts()
			if tt.err != "" {
				if err == nil || err.Error() != tt.err || !errors.Is(err, fault.Document) {
					t.Errorf("error %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
