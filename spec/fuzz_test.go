// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/spec/jsontext"
	"github.com/oci-secrets/oci-secrets/spec/limit"
)

// FuzzParse checks that no annotations panic, that errors are faults in single
// printable lines, and that what is accepted means the same written out.
func FuzzParse(f *testing.F) {
	f.Add("db stripe, dotenv:web", "vault:team/api@3#a-b=C#D?", `{"A":"1","B":null}`, "web", "x")
	f.Add("a,,b", "dotenv:", `{"A":1}`, "", "from.")
	f.Add("db+stripe#API_KEY=KEY", "none:", "{}", "web", "from/worker")
	f.Add("\u00a0", "db#A#A", `{"A":"\ud800"}`, "worker", "form")
	f.Fuzz(func(t *testing.T, from, fromWeb, dict, container, other string) {
		annotations := map[string]string{keyFrom: from, keyContainer + "web": fromWeb, keyDict: dict, criName: container}
		if other != "" {
			annotations["secrets.oci/"+other] = from
		}
		asked, err := Parse(annotations)
		if err != nil {
			checkFault(t, err)
			if !asked.None() {
				t.Fatalf("%v with an error", asked)
			}
			// The other annotations must not be what decides about this one.
			if asked, err = Parse(map[string]string{keyFrom: from}); err != nil {
				return
			}
		}
		items := make([]string, len(asked.Requests))
		for i, r := range asked.Requests {
			items[i] = r.String()
		}
		if len(items) == 0 {
			items = []string{none}
		}
		pairs := map[string]string{}
		for _, p := range asked.Dict {
			pairs[p.Name] = p.Value
		}
		object, err := json.Marshal(pairs)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(map[string]string{keyFrom: strings.Join(items, "+"), keyDict: string(object)})
		if err != nil {
			t.Fatalf("%q does not parse again: %v", items, err)
		}
		if diff := cmp.Diff(asked.Requests, again.Requests); diff != "" {
			t.Fatal(diff)
		}
		if len(object) < limit.Annotations && len(asked.Dict)+len(again.Dict) > 0 {
			if diff := cmp.Diff(asked.Dict, again.Dict); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

// FuzzItem checks that an item means the same written out, that its name has one
// spelling and stays where it is looked up, and that what a front end cuts off
// before it shows.
func FuzzItem(f *testing.F) {
	for _, item := range []string{
		"db", "dotenv:?", "vault:team/api@3#a-b=C#D?", "user~40corp/a~20b", "~C3~A9", "a~FF", "~2E~2E", "~2F", "a~00", "~7E~0A", "..~3B", "none:",
	} {
		f.Add(item)
	}
	f.Fuzz(func(t *testing.T, item string) {
		r, err := parseItem(item)
		if err != nil {
			return
		}
		again, err := parseItem(r.String())
		if diff := cmp.Diff(r, again); err != nil || diff != "" {
			t.Fatalf("%q became %q: %v\n%s", item, r.String(), err, diff)
		}
		name, _, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(item, r.Scheme+":"), "?"), "#")
		if name, _, _ = strings.Cut(name, "@"); name != EscapeName(r.Name) {
			t.Fatalf("%q has the name %q, whose spelling is %q", item, r.Name, EscapeName(r.Name))
		}
		if r.Name != "" && (!fs.ValidPath(r.Name) || r.Name == "." || !utf8.ValidString(r.Name) ||
			strings.ContainsAny(r.Name, never) || strings.ContainsFunc(r.Name, unicode.IsControl)) {
			t.Fatalf("%q has the name %q", item, r.Name)
		}
		if rest, _, _ := strings.Cut(item, "="); (r.Scheme != "" || r.Keys != nil) && !isCut(rest) {
			t.Fatalf("the annotation %q shows nothing", rest)
		}
	})
}

// checkFault checks what holds for every error of Parse.
func checkFault(t *testing.T, err error) {
	t.Helper()
	var many interface{ Unwrap() []error }
	lines := strings.Split(err.Error(), "\n")
	if !errors.As(err, &many) || errors.Is(err, fault.Document) {
		t.Fatalf("%#v is no list of fault.Annotation", err)
	}
	for _, line := range lines {
		if line == "" || len(line) > 1000 || !utf8.ValidString(line) || strings.ContainsFunc(line, isControl) {
			t.Fatalf("a line for the user is %q", line)
		}
	}
	for _, hint := range fault.Hints(err) {
		if strings.Contains(hint, "\n") || len(hint) > 300 {
			t.Fatalf("a hint is %q", hint)
		}
	}
}

// FuzzDoc checks the scanner against encoding/json, and that an edit does to
// the environment what [Merge] says and to the rest nothing.
func FuzzDoc(f *testing.F) {
	for _, text := range scanCases {
		f.Add([]byte(text), "A=1", "B=2")
	}
	for _, text := range []string{
		`{"process":{"env":["A=1","B=2","A=3"],"n":18446744073709551615},"x":[9007199254740993,1E400,-0]}`,
		`{"process":{},"annotations":{"secrets.oci/from":"db"}}`,
		`{"process":{"cwd":"/"}}`,
		"{\n\t\"process\": {\n\t\t\"env\": [\n\t\t\t\"\\u0041=1\",\n\t\t\t\"C=\\ud800\"\n\t\t]\n\t}\n}\n",
		`{"process":{"env":null},"process2":{"env":[]}}`,
		`{"process":{"env":[],"Env":[]},"annotations":{},"annotations":{}}`,
		`{"process":{},"mounts":[{"destination":"/a","source":"\ud800"},{"type":"bind","Type":1},2]}`,
	} {
		f.Add([]byte(text), "A=1", "B=\"\\\n\x01é")
	}
	f.Fuzz(func(t *testing.T, b []byte, v1, v2 string) {
		if bytes.Count(b, []byte("["))+bytes.Count(b, []byte("{")) > jsontext.MaxDepth {
			return // here the two scanners differ
		}
		checkScan(t, b)
		d, err := ParseDoc(b)
		if err != nil {
			if !errors.Is(err, fault.Document) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%q is not a one-line fault.Document", err)
			}
			return
		}
		_, _ = d.Annotations()
		mounts, errMounts := d.Mounts()
		vars := []string{v1, v2}
		old, errEnv := d.Env()
		out, err := d.WithEnv(vars)
		if err != nil {
			return
		}
		if errEnv != nil {
			t.Fatalf("no env but an edit: %v", errEnv)
		}
		edited, err := ParseDoc(out)
		if err != nil {
			t.Fatalf("%q came out as %q: %v", b, out, err)
		}
		again, err := edited.Mounts()
		if (err == nil) != (errMounts == nil) || !slices.Equal(again, mounts) {
			t.Fatalf("mounts %v, %v became %v, %v", mounts, errMounts, again, err)
		}
		env, err := edited.Env()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(Merge(old, vars), env); diff != "" {
			t.Fatal(diff)
		}
		checkLiterals(t, d, edited, vars)
		before, after := decode(t, b), decode(t, out)
		var list []string
		for _, e := range takeEnv(after) {
			list = append(list, e.(string))
		}
		takeEnv(before)
		if diff := cmp.Diff(env, list); diff != "" {
			t.Fatalf("encoding/json reads another env\n%s", diff)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatalf("more than env changed\n%s", diff)
		}
		if again, err := edited.WithEnv(vars); err != nil || len(Merge(env, vars)) != len(env) {
			t.Fatalf("a second edit: %q, %v", again, err)
		}
	})
}

// checkLiterals checks the bytes: what stands before and after the elements,
// and every element that no variable replaces.
func checkLiterals(t *testing.T, d, edited *Doc, vars []string) {
	t.Helper()
	before, err := d.env()
	if err != nil {
		t.Fatal(err)
	}
	after, err := edited.env()
	if err != nil {
		t.Fatal(err)
	}
	head := before.insert
	if len(before.elements) > 0 {
		head = before.elements[0].Start
	}
	if !bytes.HasPrefix(edited.b, d.b[:head]) || !bytes.HasSuffix(edited.b, d.b[before.resume:]) {
		t.Fatalf("%q came out as %q", d.b, edited.b)
	}
	for i, e := range before.elements {
		literal := d.b[e.Start:e.End]
		text, _ := jsontext.Unquote(literal)
		now := edited.b[after.elements[i].Start:after.elements[i].End]
		if _, replaced := planMerge(vars).replacement(text); !replaced && !bytes.Equal(literal, now) {
			t.Fatalf("the element %q became %q", literal, now)
		}
	}
}

// isJSON is the reference for the scanner.
func isJSON(b []byte) bool { return utf8.Valid(b) && json.Valid(b) }

// decode keeps numbers as they are written.
func decode(t *testing.T, b []byte) map[string]any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		t.Fatal(err)
	}
	return object
}

// takeEnv takes process.env out of a document.
func takeEnv(document map[string]any) []any {
	process := document["process"].(map[string]any)
	env, _ := process["env"].([]any)
	delete(process, "env")
	return env
}

// FuzzHooks checks that the hook comes into a document once and for all, that
// runtimes find it there, and that nothing else changes.
func FuzzHooks(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"hooks":null,"x":[9007199254740993,1E400,-0]}`, `{"hooks":{ }}`, `{"a":1}`,
		`{"hooks":{"prestart":[{"path":"/bin/true"}],"poststop":null,"createRuntime":[]}}`,
		`{"hooks":{"createRuntime":[{"path":"/oci-secrets","args":["oci-secrets","hook"]},7]}}`,
		`{"hooks":{"prestart":[` + hookKept + `],"poststop":[` + hookBare + `,` + othersOne + `]}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseDoc(b)
		if err != nil {
			return
		}
		const program = "/b/oci-secrets"
		out, err := d.WithHook(program, HookArgs("", "/s"), Prestart, Poststop)
		if err != nil {
			if !errors.Is(err, fault.Document) {
				t.Fatalf("%v is no fault.Document", err)
			}
			return
		}
		edited, err := ParseDoc(out)
		if err != nil {
			t.Fatalf("%q came out as %q: %v", b, out, err)
		}
		ours, _, err := edited.hooks(program)
		if err != nil {
			t.Fatal(err)
		}
		stages := map[string]bool{}
		for _, h := range ours {
			stages[h.stage] = true
			if !slices.Contains(h.args, KeepFlag) {
				t.Fatalf("a hook of ours in %q has no %s", out, KeepFlag)
			}
		}
		if !stages[Prestart] && !stages["createRuntime"] || !stages[Poststop] {
			t.Fatalf("%q has the hook under %v", out, stages)
		}
		if again, err := edited.WithHook(program, HookArgs("", "/s"), Prestart, Poststop); err != nil || !bytes.Equal(again, out) {
			t.Fatalf("a second time %q becomes %q, %v", out, again, err)
		}
		// Without ours, what is left is what was there without ours.
		was, err := d.WithoutHook(program)
		if err != nil {
			t.Fatal(err)
		}
		is, err := edited.WithoutHook(program)
		if err != nil {
			t.Fatal(err)
		}
		before, after := decode(t, was), decode(t, is)
		dropEmpty(before)
		dropEmpty(after)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatalf("more than the hook changed\n%s", diff)
		}
	})
}

// dropEmpty takes out of a document's hooks the stages without any, and the
// hooks where nothing is left.
func dropEmpty(document map[string]any) {
	hooks, _ := document["hooks"].(map[string]any)
	for stage, list := range hooks {
		if list, ok := list.([]any); list == nil || ok && len(list) == 0 {
			delete(hooks, stage)
		}
	}
	if len(hooks) == 0 {
		delete(document, "hooks")
	}
}
