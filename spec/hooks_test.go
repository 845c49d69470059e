// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
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
		if got, err := d.WithoutHook("/b/oci-secrets"); err != nil || string(got) != want {
			t.Errorf("%s\nbecomes %s, %v\nwant    %s", doc, got, err, want)
		}
	}
}

// TestIsHook has programs that are ours, by whatever name, and others that are
// called as if they were.
func TestIsHook(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"oci-secrets", "oci-secrets-x", "other/oci-secrets"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755), os.WriteFile(filepath.Join(dir, name), nil, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(os.Link(dir+"/oci-secrets", dir+"/linked"), os.Symlink("oci-secrets", dir+"/symlink"), os.Symlink(self, dir+"/self"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct{ file, name bool }{
		"oci-secrets":          {true, true},
		"linked":               {true, false},
		"symlink":              {true, false},
		"self":                 {true, false},
		"oci-secrets-x":        {false, true},
		"other/oci-secrets":    {false, true},
		"nowhere/oci-secrets":  {true, true},
		"nowhere/oci-secrets2": {false, true},
		"nowhere/other":        {false, false},
	} {
		args := []string{"oci-secrets-x", "hook", "--verbose"}
		if got := IsHook(dir+"/"+name, args, dir+"/oci-secrets"); got != want.file {
			t.Errorf("%s: %v", name, got)
		}
		if got := IsHook(dir+"/"+name, args, ""); got != want.name {
			t.Errorf("%s, by name: %v", name, got)
		}
		if IsHook(dir+"/"+name, args[:1], dir+"/oci-secrets") || IsHook(dir+"/"+name, []string{"hook", "explain"}, "") {
			t.Errorf("%s with other arguments is the hook", name)
		}
	}
	// A foreign one is no reason to leave ours out.
	doc, err := ParseDoc([]byte(`{"hooks":{"prestart":[{"path":"` + dir + `/oci-secrets-x","args":["oci-secrets-x","hook"]}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	b, err := doc.WithHook(dir+"/oci-secrets", HookArgs("", ""), Prestart)
	if err != nil || strings.Count(string(b), `"path"`) != 2 {
		t.Errorf("got %s, %v", b, err)
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
