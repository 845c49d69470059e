// SPDX-License-Identifier: Apache-2.0

package dict

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/spec"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

func TestTypes(t *testing.T) {
	const mustBe = ", and must be a string"
	for file, cases := range map[string][]struct{ value, want string }{
		"f.toml": {
			{"5432", "an integer" + mustBe},
			{"1.5", "a float" + mustBe},
			{"true", "a boolean" + mustBe},
			{"2026-01-02T03:04:05Z", "a date or time" + mustBe},
			{"07:32:00", "a date or time" + mustBe},
			{"['" + canary + "']", "an array" + mustBe},
			{"[{A = '" + canary + "'}]", "an array" + mustBe},
			{"{A = '" + canary + "'}", "a table" + mustBe},
		},
		"f.yaml": {
			{"5432", "an integer" + mustBe},
			{"0x1F", "an integer" + mustBe},
			{"1.5", "a float" + mustBe},
			{".inf", "a float" + mustBe},
			{"true", "a boolean" + mustBe},
			{"2026-01-02", "a date or time" + mustBe},
			{"[" + canary + "]", "a sequence" + mustBe},
			{"{A: " + canary + "}", "a table" + mustBe},
			{"!!binary aHVudGVyMg==", "binary" + mustBe},
			{"!vault " + canary, "a tagged value" + mustBe},
			{"!!set {A: " + canary + "}", "a tagged value" + mustBe},
			{"!!int '5'", "an integer" + mustBe},
		},
		"f.json": {
			{"5432", "a number" + mustBe},
			{"1e999", "a number" + mustBe},
			{"true", "a boolean" + mustBe},
			{`["` + canary + `", {"a": [1]}]`, "an array" + mustBe},
			{`{"A": "` + canary + `"}`, "a table" + mustBe},
		},
	} {
		for _, c := range cases {
			t.Run(file+" "+strings.ReplaceAll(c.value, canary, "x"), func(t *testing.T) {
				text, line := "\ndb:\n  KEY: "+c.value+"\n", ":3"
				switch filepath.Ext(file) {
				case ".toml":
					text, line = "\n[db]\nKEY = "+c.value+"\n", ""
				case ".json":
					text = "\n{\"db\": {\n\"KEY\": " + c.value + "}}\n"
				}
				dir := directory(t, map[string]string{file: text})
				_, err := get(t, New(dir), "db")
				checkError(t, err, fault.Refused, "DIR/"+file+line+`: secret "db": key "KEY" is `+c.want, dir)
				if len(fault.Hints(err)) != 1 {
					t.Errorf("hints %q", fault.Hints(err))
				}
			})
		}
	}
}

// recorded is a context, and the notes that were made in it, which may not show
// what the files hold.
func recorded(t *testing.T) (context.Context, func(dir string) []string) {
	r := &resolver.Record{}
	return resolver.WithRecord(t.Context(), r), func(dir string) []string {
		text := strings.ReplaceAll(strings.Join(r.Notes(), "\n"), dir, "DIR")
		if strings.Contains(text, canary) {
			t.Errorf("a note shows a value: %s", text)
		}
		return strings.Split(text, "\n")
	}
}

// TestBroken has files that are wrong as a whole, and ones in which one secret
// is, the one called of. It never costs the secret of another file.
func TestBroken(t *testing.T) {
	for _, c := range []struct{ name, of, file, text, want string }{
		{"toml: syntax", "", "f.toml", "\n[db]\nKEY = " + canary, "DIR/f.toml:3: not valid TOML"},
		{"toml: open string", "", "f.toml", "\n[db]\nKEY = '" + canary + "\n", "DIR/f.toml:3: not valid TOML"},
		{"toml: bad escape", "", "f.toml", "\n[db]\nKEY = \"\\" + canary + "\"", "DIR/f.toml:3: not valid TOML"},
		{"toml: key twice", "", "f.toml", "\n[db]\nKEY = '" + canary + "'\nKEY = '" + canary + "'", "DIR/f.toml:4: a key or table is there twice"},
		{"toml: table twice", "", "f.toml", "[db]\nKEY = '" + canary + "'\n[db]\nA = ''", "DIR/f.toml:3: a key or table is there twice"},
		{"toml: name with a dot", "team", "f.toml", "[team.api]\nKEY = '" + canary + "'", `DIR/f.toml: secret "team": key "api" is a table, and must be a string`},
		{"toml: number at the top", "PORT", "f.toml", "PORT = 5432", `DIR/f.toml: secret "PORT" is an integer, and must be a string or a table of strings`},
		{"yaml: syntax", "", "f.yaml", "db:\n  KEY: [" + canary + "\n", "DIR/f.yaml:1: not valid YAML, near this line"},
		{"yaml: tab", "", "f.yaml", "db:\n\tKEY: " + canary + "\n", "DIR/f.yaml:2: not valid YAML, near this line"},
		{"yaml: unknown anchor", "", "f.yaml", "db:\n  KEY: *" + canary + "\n", "DIR/f.yaml: not valid YAML"},
		{"yaml: bad escape", "", "f.yaml", "db:\n  KEY: \"\\" + canary + "\"\n", "DIR/f.yaml:2: not valid YAML, near this line"},
		{"yaml: control character", "", "f.yaml", "db:\n  KEY: " + canary + "\x01\n", "DIR/f.yaml: not valid YAML"},
		{"yaml: key twice", "db", "f.yaml", "db:\n  KEY: " + canary + "\n  KEY: " + canary + "\n", `DIR/f.yaml:3: secret "db": key "KEY" is there twice`},
		{"yaml: dropped key twice", "db", "f.yaml", "db:\n  KEY: " + canary + "\n  KEY:\n", `DIR/f.yaml:3: secret "db": key "KEY" is there twice`},
		{"yaml: secret twice", "db", "f.yaml", "db:\n  KEY: " + canary + "\n'db':\n", `DIR/f.yaml:3: secret "db" is there twice`},
		{"yaml: alias", "b", "f.yaml", "db: &a\n  KEY: " + canary + "\nb: *a\n", "DIR/f.yaml:3: YAML aliases are not supported"},
		{"yaml: merge", "b", "f.yaml", "db: &a\n  KEY: " + canary + "\nb:\n  <<: *a\n", "DIR/f.yaml:4: YAML merge keys (<<) are not supported"},
		{"yaml: merge of all", "", "f.yaml", "x: &a\n  db: " + canary + "\n<<: *a\n", "DIR/f.yaml:3: YAML merge keys (<<) are not supported"},
		{"yaml: table as name", "", "f.yaml", "x: y\n? {A: " + canary + "}\n: z\n", "DIR/f.yaml:2: a name that is not a string"},
		{"yaml: number as a secret's name", "1", "f.yaml", "1: " + canary + "\n", "DIR/f.yaml:1: a name that is not a string"},
		{"yaml: null as name", "db", "f.yaml", "db:\n  NULL: " + canary, "DIR/f.yaml:2: a name that is not a string"},
		{"yaml: number as name", "db", "f.yaml", "db:\n  1: " + canary, "DIR/f.yaml:2: a name that is not a string"},
		{"yaml: two documents", "", "f.yaml", "db: " + canary + "\n---\nother: x\n", "DIR/f.yaml:2: a second YAML document"},
		{"yaml: second document broken", "", "f.yaml", "db: " + canary + "\n---\n[" + canary, "DIR/f.yaml:2: not valid YAML, near this line"},
		{"yaml: sequence", "", "f.yaml", "- " + canary, "DIR/f.yaml:1: the file is a sequence, and must be a table of secrets"},
		{"yaml: string", "", "f.yaml", canary, "DIR/f.yaml:1: the file is a string, and must be a table of secrets"},
		{"json: syntax", "", "f.json", "{\n\"db\": {\n\"KEY\": " + canary + "}}", "DIR/f.json:3: not valid JSON"},
		{"json: cut off", "", "f.json", "{\n\"db\": {\n\"KEY\": \"" + canary, "DIR/f.json:3: not valid JSON"},
		{"json: trailing comma", "", "f.json", "{\"db\": \"" + canary + "\",}", "DIR/f.json:1: not valid JSON"},
		{"json: nothing", "", "f.json", "", "DIR/f.json:1: not valid JSON"},
		{"json: two documents", "", "f.json", "{}\n{\"db\": \"" + canary + "\"}", "DIR/f.json:2: not valid JSON"},
		{"json: key twice", "db", "f.json", "{\n\"db\": {\"KEY\": \"" + canary + "\",\n\"K\\u0045Y\": \"x\"}}", `DIR/f.json:3: secret "db": key "KEY" is there twice`},
		{"json: secret twice", "db", "f.json", "{\n\"db\": \"" + canary + "\",\n\"db\": null}", `DIR/f.json:3: secret "db" is there twice`},
		{"json: array", "", "f.json", "[\"" + canary + "\"]", "DIR/f.json:1: the file is an array, and must be an object of secrets"},
		{"json: null", "", "f.json", "null", "DIR/f.json:1: the file is null, and must be an object of secrets"},
		{"json as yaml is not tried", "", "f.json", "db: " + canary, "DIR/f.json:1: not valid JSON"},
		{"yaml as toml is not tried", "", "f.toml", "db: " + canary, "DIR/f.toml:1: not valid TOML"},
		{"not UTF-8", "", "f.json", "{\"db\": \"" + canary + "\xff\"}", "DIR/f.json: not UTF-8 text"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := directory(t, map[string]string{c.file: c.text, "good.json": `{"good": "G"}`})
			for _, path := range []string{dir, dir + "/" + c.file} {
				_, err := get(t, New(path), cmp.Or(c.of, "something else"))
				checkError(t, err, fault.Refused, c.want, dir)
				if _, err := get(t, New(path), "something else"); c.of != "" && !errors.Is(err, fault.Missing) {
					t.Errorf("another secret: %v", err)
				}
			}
			ctx, notes := recorded(t)
			if _, err := New(dir).Get(ctx, "good", 0); err != nil {
				t.Errorf("a secret of another file: %v", err)
			}
			if d := gocmp.Diff([]string{"dict: " + c.want}, notes(dir)); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestShown has values where names and keys should be, in a file that is broken
// and in one that is not, whose keys then are not variable names.
func TestShown(t *testing.T) {
	const swapped = "canary+hunter2/SUPERSECRET="
	for file, format := range map[string]string{
		"f.toml": "[db]\n\"NAME\" = VALUE\n",
		"f.yaml": "db:\n  \"NAME\": VALUE\n",
		"f.json": "{\"db\": {\"NAME\": VALUE}}",
	} {
		for value, want := range map[string]string{
			"5":       "secret \"db\": key of 27 bytes is ",
			`"KEY"`:   "a key of 27 bytes is not a variable name",
			`["KEY"]`: "secret \"db\": key of 27 bytes is ",
		} {
			t.Run(file+" "+value, func(t *testing.T) {
				text := strings.NewReplacer("NAME", swapped, "VALUE", value).Replace(format)
				source := New(directory(t, map[string]string{file: text}))
				r := &resolver.Resolver{Chain: resolver.Chain{source}}
				_, err := r.Resolve(t.Context(), spec.Asked{Requests: []spec.Request{{Name: "db"}}})
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Fatalf("error %v, want %q", err, want)
				}
				if all := err.Error() + strings.Join(fault.Hints(err), ""); strings.Contains(all, "hunter2") || strings.Contains(all, "SUPERSECRET") {
					t.Errorf("the error shows a value: %s", all)
				}
			})
		}
	}
	t.Run("name", func(t *testing.T) {
		_, err := get(t, New(directory(t, map[string]string{"f.json": `{"` + swapped + `": 5}`})), swapped)
		if err == nil || !strings.HasSuffix(err.Error(), "f.json:1: secret of 27 bytes is a number, and must be a string or a table of strings") {
			t.Errorf("error %v", err)
		}
	})
}
