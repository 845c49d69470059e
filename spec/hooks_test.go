// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	hookKept  = `{"path":"/b/oci-secrets","args":["oci-secrets","hook","--keep","/s"],"timeout":150}`
	hookBare  = `{"path":"/b/oci-secrets","args":["oci-secrets","hook"],"timeout":150}`
	othersOne = `{"path":"/bin/true","n":9007199254740993}`
)

func TestWithHook(t *testing.T) {
	both := `{"prestart":[` + hookKept + `],"poststop":[` + hookKept + `]}`
	for name, tt := range map[string]struct{ doc, want string }{
		"no hooks":           {`{"a": 1, "process": {}}`, `{"a": 1, "process": {}, "hooks":` + both + `}`},
		"nothing at all":     {`{}`, `{"hooks":` + both + `}`},
		"null":               {`{"hooks": null, "z": -0}`, `{"hooks": ` + both + `, "z": -0}`},
		"empty":              {`{"hooks": { }}`, `{"hooks": ` + both + `}`},
		"another stage":      {`{"hooks": {"poststart": [1]}}`, `{"hooks": {"poststart": [1],"prestart":[` + hookKept + `],"poststop":[` + hookKept + `]}}`},
		"others first":       {`{"hooks": {"prestart": [` + othersOne + ` ]}}`, `{"hooks": {"prestart": [` + othersOne + `,` + hookKept + ` ],"poststop":[` + hookKept + `]}}`},
		"first at poststop":  {`{"hooks": {"prestart": [], "poststop": [` + "\n\t" + othersOne + `,7 ]}}`, `{"hooks": {"prestart": [` + hookKept + `], "poststop": [` + "\n\t" + hookKept + `,` + "\n\t" + othersOne + `,7 ]}}`},
		"empty stages":       {`{"hooks": {"prestart": [], "poststop": null}}`, `{"hooks": {"prestart": [` + hookKept + `], "poststop": [` + hookKept + `]}}`},
		"there already":      {`{"hooks": ` + both + `}`, `{"hooks": ` + both + `}`},
		"as createRuntime":   {`{"hooks": {"createRuntime": [` + hookKept + `]}}`, `{"hooks": {"createRuntime": [` + hookKept + `],"poststop":[` + hookKept + `]}}`},
		"without the flag":   {`{"hooks": {"prestart": [` + hookBare + `, ` + othersOne + `], "poststop": [` + hookBare + `]}}`, `{"hooks": {"prestart": [` + hookKept + `, ` + othersOne + `], "poststop": [` + hookKept + `]}}`},
		"a lookalike":        {`{"hooks": {"prestart": [{"path": "/b/oci-secrets", "args": ["oci-secrets", "explain"]}, {"path": "/b/oci-secrets", "args": 5}, 7]}}`, `{"hooks": {"prestart": [{"path": "/b/oci-secrets", "args": ["oci-secrets", "explain"]}, {"path": "/b/oci-secrets", "args": 5}, 7, ` + hookKept + `],"poststop":[` + hookKept + `]}}`},
		"not an object":      {`{"hooks": []}`, `! byte 10: hooks is not an object`},
		"a stage not a list": {`{"hooks": {"prestart": {}}}`, `! byte 23: hooks.prestart is not an array`},
		"twice":              {`{"hooks": {"prestart": [], "prestart": []}}`, `! byte 27: "prestart" is there twice`},
		"in another case":    {`{"hooks": {"prestart": [], "Prestart": []}}`, `! byte 27: a key differs from "prestart" only by letter case`},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := ParseDoc([]byte(tt.doc))
			if err != nil {
				t.Fatal(err)
			}
			b, err := d.WithHook("/b/oci-secrets", HookArgs("", "/s"), Prestart, Poststop)
			got := string(b)
			if err != nil {
				got = "! " + err.Error()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if err != nil {
				return
			}
			if !json.Valid(b) {
				t.Error("it is no JSON any more")
			}
			again, err := ParseDoc(b)
			if err != nil {
				t.Fatal(err)
			}
			if twice, err := again.WithHook("/b/oci-secrets", HookArgs("", "/s"), Prestart, Poststop); err != nil || string(twice) != got {
				t.Errorf("a second time it is %s, %v", twice, err)
			}
		})
	}
}

func TestWithoutHook(t *testing.T) {
	for doc, want := range map[string]string{
		`{"a": 1}`:       `{"a": 1}`,
		`{"hooks":null}`: `{"hooks":null}`,
		`{"hooks": {"prestart": [ ` + hookKept + `, ` + hookBare + ` ], "poststop": [` + othersOne + `, ` + hookBare + `, 7], "poststart": null}}`: `{"hooks": {"prestart": [  ], "poststop": [` + othersOne + `,7], "poststart": null}}`,
	} {
		d, err := ParseDoc([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := d.WithoutHook(); err != nil || string(got) != want {
			t.Errorf("%s\nbecomes %s, %v\nwant    %s", doc, got, err, want)
		}
	}
}

func TestWithAnnotation(t *testing.T) {
	for doc, want := range map[string]string{
		`{"annotations": {"a": "b"}, "z": 1}`: `{"annotations": {"a": "b","k":"v"}, "z": 1}`,
		`{"annotations": {"k": "w"}}`:         `{"annotations": {"k": "w"}}`,
		`{}`:                                  `{}`,
	} {
		d, err := ParseDoc([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := d.WithAnnotation("k", "v"); err != nil || string(got) != want {
			t.Errorf("%s\nbecomes %s, %v\nwant    %s", doc, got, err, want)
		}
	}
}
