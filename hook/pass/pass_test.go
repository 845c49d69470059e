// SPDX-License-Identifier: Apache-2.0

package pass

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oci-secrets/oci-secrets/resolver/memory/place"
	"github.com/oci-secrets/oci-secrets/spec"
)

// inputs are documents, and whether they ask for nothing beyond doubt as a
// config.json and as a state.
var inputs = []struct {
	text          string
	config, state bool
}{
	{`{"annotations":{"a":"b"}}`, true, true},
	{`{"annotations":{"secret.oci/from":"b"},"process":{"env":["S=secrets.oci/from"]}}`, true, true},
	{` {"annotations" : { } } `, true, false},
	{`{}`, true, false},
	{`{"annotations":{"secrets.oci/from":"db"}}`, false, false},
	{`{"annotations":{"secrets.oci\/from":"db"}}`, false, false},
	{`{"annotations":{"\u0073ecrets.oci/from":"db"}}`, false, false},
	{`{"annotations":{"Secrets.OCI/from":"db"}}`, false, false},
	{`{"annotations":{"` + "\u017f" + `ecrets.oci/from":"db"}}`, false, false},
	{`{"annotations":{"x.secrets.oci/from":"db"}}`, false, false},
	{`{"annotations":{"secrets.oci/from":"none:"}}`, false, false},
	{`{"annotations":{"db#K":"V"}}`, true, true},
	{`{"Annotations":{"secrets.oci/from":"db"}}`, false, false},
	{`{"annotation\u0073":{"secrets.oci/from":"db"}}`, false, false},
	{`{"annotations":{"a":"b"},"annotations":{"secrets.oci/from":"db"}}`, false, false},
	{`{"annotations":{"a":"b"},"annotations":{"a":"b"}}`, false, false},
	{`{"annotations":null}`, false, false},
	{`{"annotations":[]}`, false, false},
	{`{"annotations":{"a":"b"}}{}`, false, false},
	{`{"annotations":{"a":"b"}`, false, false},
	{"{\"annotations\":{\"a\":\"\xff\"}}", false, false},
	{`[]`, false, false},
	{``, false, false},
}

func TestAsksNothing(t *testing.T) {
	for _, in := range inputs {
		if got := asksNothing([]byte(in.text), false); got != in.config {
			t.Errorf("config.json %s: %v", in.text, got)
		}
		if got := asksNothing([]byte(in.text), true); got != in.state {
			t.Errorf("state %s: %v", in.text, got)
		}
	}
}

// FuzzAsksNothing holds the short cut to the contract: where it says that a
// document asks for nothing, the contract says so, too.
func FuzzAsksNothing(f *testing.F) {
	for _, in := range inputs {
		f.Add([]byte(in.text))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		if !asksNothing(input, false) {
			if asksNothing(input, true) {
				t.Fatal("a state passes that would not pass as a config.json")
			}
			return
		}
		doc, err := spec.ParseDoc(input)
		if err != nil {
			t.Fatalf("passed, and is no document: %v", err)
		}
		annotations, err := doc.Annotations()
		if err != nil {
			t.Fatalf("passed, and its annotations are not in order: %v", err)
		}
		if asked, err := spec.Parse(annotations); err != nil || !asked.None() {
			t.Fatalf("passed, and asks: %v, %v", asked, err)
		}
	})
}

func TestPlain(t *testing.T) {
	for _, c := range []struct {
		line    string
		command string
		config  string
		ok      bool
	}{
		{"oci-secrets hook", "hook", "", true},
		{"oci-secrets precreate", "precreate", "", true},
		{"oci-secrets hook --config /c", "hook", "/c", true},
		{"oci-secrets precreate --config=/c", "precreate", "/c", true},
		{"oci-secrets hook --config=", "", "", false},
		{"oci-secrets hook --config", "", "", false},
		{"oci-secrets hook --confi=x", "", "", false},
		{"oci-secrets hook --config --generate-bash-completion", "", "", false},
		{"oci-secrets hook --config=-x", "", "", false},
		{"oci-secrets hook --help", "", "", false},
		{"oci-secrets hook --keep /s", "hook", "", true},
		{"oci-secrets hook --keep /s --config /c", "hook", "/c", true},
		{"oci-secrets hook --config=/c --keep=/s", "hook", "/c", true},
		{"oci-secrets hook --keep /s --keep /s", "", "", false},
		{"oci-secrets hook --config /c --config /c", "", "", false},
		{"oci-secrets precreate --keep /s", "", "", false},
		{"oci-secrets hook --keep /s --config", "", "", false},
		{"oci-secrets hook --keep --config /c", "", "", false},
		{"oci-secrets hook --keep", "", "", false},
		{"oci-secrets hook a b c", "", "", false},
		{"oci-secrets explain", "", "", false},
		{"oci-secrets", "", "", false},
	} {
		command, config, keep, ok := plain(strings.Fields(c.line))
		if ok != c.ok || ok && (command != c.command || config != c.config || (keep == "/s") != strings.Contains(c.line, "--keep")) {
			t.Errorf("%s: %q, %q, %v, %v", c.line, command, config, keep, ok)
		}
	}
	if got := commandLine(); len(got) == 0 || !slices.ContainsFunc(got, func(a string) bool { return strings.HasPrefix(a, "-test.") }) {
		t.Errorf("the command line of this test is not %q", got)
	}
}

// TestForget has poststop end at once only where it is known that nothing was
// leased for the container.
func TestForget(t *testing.T) {
	dir := t.TempDir()
	put := func(path string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, path), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(place.Lease("leased") + "/record")
	defer func(keep string) { Keep = keep }(Keep)
	for name, tt := range map[string]struct {
		keep, state string
		want        bool
	}{
		"nothing":            {dir, `{"id":"none","status":"stopped"}`, true},
		"kept":               {dir, `{"id":"kept","status":"stopped"}`, true},
		"leased":             {dir, `{"id":"leased","status":"stopped"}`, false},
		"directory unknown":  {"", `{"id":"none","status":"stopped"}`, false},
		"no directory":       {dir + "/none", `{"id":"none","status":"stopped"}`, true},
		"it is not poststop": {dir, `{"id":"kept","status":"created"}`, false},
	} {
		put(place.Exec("kept"))
		put(place.Exec("leased"))
		Keep = tt.keep
		if got := forget([]byte(tt.state)); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
		for id, want := range map[string]bool{"kept": name != "kept", "leased": name != "leased"} {
			if _, err := os.Stat(filepath.Join(dir, place.Exec(id))); (err == nil) != want {
				t.Errorf("%s: what was kept for %s: %v", name, id, err)
			}
		}
	}
}
