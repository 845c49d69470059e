// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"testing"

	"github.com/oci-secrets/oci-secrets/spec"
)

// TestMember sets a member and takes it out again.
func TestMember(t *testing.T) {
	for name, tt := range map[string]struct {
		doc, with string
		path      []string
		without   string // "" for the document itself
		err       string
	}{
		"an empty object":     {doc: `{}`, path: []string{"a", "b"}, with: `{"a": {"b": 1}}`, without: `{"a": {}}`},
		"white space in it":   {doc: "{\n}\n", path: []string{"a"}, with: "{\"a\": 1\n}\n"},
		"after others":        {doc: "{\n  \"x\": 1e400\n}", path: []string{"a"}, with: "{\n  \"x\": 1e400,\n  \"a\": 1\n}"},
		"in another":          {doc: `{"a": {"x":{}}, "y":2}`, path: []string{"a", "b"}, with: `{"a": {"x":{},"b": 1}, "y":2}`},
		"replaced":            {doc: `{"a": {"b" : [ ] , "y":2}}`, path: []string{"a", "b"}, with: `{"a": {"b" : 1 , "y":2}}`, without: `{"a": {"y":2}}`},
		"by an escaped key":   {doc: `{"\u0061":0}`, path: []string{"a"}, with: `{"\u0061":1}`, without: `{}`},
		"the first of two":    {doc: `{ "a":0, "b":2 }`, path: []string{"a"}, with: `{ "a":1, "b":2 }`, without: `{ "b":2 }`},
		"twice":               {doc: `{"a": 1, "a": 2}`, path: []string{"a"}, err: `byte 9: "a" is there twice`},
		"another letter case": {doc: `{"A": 1}`, path: []string{"a"}, err: `byte 1: a key differs from "a" only by letter case`},
		"no object":           {doc: `{"a": 1}`, path: []string{"a", "b"}, err: `byte 6: a is not an object`},
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := spec.ParseDoc([]byte(tt.doc))
			if err != nil {
				t.Fatal(err)
			}
			got, err := doc.WithMember("1", tt.path...)
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("error %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil || string(got) != tt.with {
				t.Fatalf("got %s, %v; want %s", got, err, tt.with)
			}
			if doc, err = spec.ParseDoc(got); err != nil {
				t.Fatal(err)
			}
			if literal, ok, err := doc.Member(tt.path...); literal != "1" || !ok || err != nil {
				t.Errorf("member %s, %v, %v", literal, ok, err)
			}
			if tt.without == "" {
				tt.without = tt.doc
			}
			if got, err = doc.WithoutMember(tt.path...); err != nil || string(got) != tt.without {
				t.Errorf("without it %s, %v; want %s", got, err, tt.without)
			}
			if doc, err = spec.ParseDoc(got); err != nil {
				t.Fatal(err)
			}
			if again, err := doc.WithoutMember(tt.path...); err != nil || string(again) != string(got) {
				t.Errorf("without what is not there %s, %v", again, err)
			}
		})
	}
}
