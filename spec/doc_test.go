// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/spec/jsontext"
)

// scanCases are texts on both sides of every rule of RFC 8259; the reference
// is encoding/json.
var scanCases = []string{
	``, ` `, `{}`, ` {} `, `[]`, `[ ]`, `null`, `true`, `false`, `nul`, `nulll`, `True`, `"a"`, `"a`, `a`,
	`0`, `-0`, `-`, `01`, `-01`, `1.`, `.1`, `-.1`, `-e1`, `1.5`, `1e`, `1e+`, `1E400`, `1e-05`, `+1`, `18446744073709551615`, `0x1`, `1 2`,
	`{"a":1}`, `{"a":1,}`, `{"a":1 "b":2}`, `{"a" 1}`, `{"a"}`, `{a:1}`, `{1:1}`, `{,}`, `{"a":1}}`, `{"a":}`, `{"a":1`, `{`, `{"a`,
	`[1,]`, `[,]`, `[1 2]`, `[1`, `[`, `[1]]`, `[1}`, `{"a":[1}`,
	`"\"\\\/\b\f\n\r\t\u00Af"`, `"\x"`, `"\u12"`, `"\u12g4"`, `"\`, `"\u`, "\"\x00\"", "\"\x1f\"", "\"\x7f\"", "\"\n\"",
	`"\ud800"`, `"\ud83d\ude00"`, `"\udc00\ud800"`, "\f{}", "{}\v", "\u00a0{}", "\ufeff{}", "{}\x00", "\"\xff\"", "\xff", "\"\xed\xa0\x80\"",
	"\r\n\t [\r\n\t1\t,\n2 ]\n", `//c` + "\n{}", `{"a":1}{"b":2}`, `NaN`, `Infinity`, `'a'`,
}

func TestScan(t *testing.T) {
	for _, text := range scanCases {
		checkScan(t, []byte(text))
		_, err := ParseDoc([]byte(text))
		if err != nil && (!errors.Is(err, fault.Document) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%q: %q is not a one-line fault.Document", text, err)
		}
	}
	checkScan(t, []byte("["+strings.Repeat("[{}],", jsontext.MaxDepth)+"0]")) // wide is not deep
	for depth, ok := range map[int]bool{jsontext.MaxDepth: true, jsontext.MaxDepth + 1: false} {
		text := strings.Repeat("[", depth) + strings.Repeat("]", depth)
		if _, err := jsontext.Scan([]byte(text), nil); (err == nil) != ok {
			t.Errorf("depth %d: %v", depth, err)
		}
	}
}

// TestTruncated cuts a document at every byte: none of the pieces passes, and
// none of the errors gives away what the document holds.
func TestTruncated(t *testing.T) {
	whole := `{"process":{"env":["A=hunter2","B=\u0041\n"],"n":-1.5e+3,"t":true},"annotations":{"a":null}}`
	for i := range whole {
		_, err := ParseDoc([]byte(whole[:i]))
		if !errors.Is(err, fault.Document) {
			t.Fatalf("%q: %v", whole[:i], err)
		}
		if want := "ends too early"; !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q does not say %q", whole[:i], err, want)
		}
		for j := range len(whole) {
			broken := []byte(whole)
			broken[j] = 'q'
			if _, err := ParseDoc(broken); err != nil && strings.ContainsAny(err.Error(), "2") && strings.Contains(err.Error(), "hunter") {
				t.Errorf("%q quotes the document", err)
			}
		}
	}
}

// TestOtherEncodings has documents that are fine but for their encoding: the
// message says so.
func TestOtherEncodings(t *testing.T) {
	for text, want := range map[string]string{
		"\ufeff{}":           "byte 0: a byte order mark",
		"{\"a\":\"\xe9\"}":   "byte 6: not UTF-8",
		"\xff\xfe{\x00}\x00": "byte 0: not UTF-8",
	} {
		if _, err := ParseDoc([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

func TestUnquote(t *testing.T) {
	for literal, want := range map[string]string{
		`""`:                         "",
		`"a"`:                        "a",
		`"\"\\\/\b\f\n\r\t"`:         "\"\\/\b\f\n\r\t",
		`"\u0041\u00e9\u20AC\u0000"`: "Aé€\x00",
		`"x\ud83d\ude00y"`:           "x😀y",
	} {
		if got, whole := jsontext.Unquote([]byte(literal)); got != want || !whole {
			t.Errorf("%s: %q, %v", literal, got, whole)
		}
	}
	for _, literal := range []string{`"\ud800"`, `"\udc00x"`, `"\ud800\u0041"`, `"\ud800\ud83d\ude00"`, `"\ud800\n"`, `"\ude00\ud83d"`} {
		var want string
		if err := json.Unmarshal([]byte(literal), &want); err != nil {
			t.Fatal(err)
		}
		if got, whole := jsontext.Unquote([]byte(literal)); got != want || whole {
			t.Errorf("%s: %q, %v; want %q", literal, got, whole, want)
		}
	}
}

func TestAppendQuoted(t *testing.T) {
	var all strings.Builder
	for r := range rune(0x3000) {
		all.WriteRune(r)
	}
	all.WriteString("😀\U0010ffff")
	literal := jsontext.AppendQuoted(nil, all.String())
	var got string
	if err := json.Unmarshal(literal, &got); err != nil {
		t.Fatal(err)
	}
	if got != all.String() {
		t.Error("encoding/json reads another text")
	}
	if got, whole := jsontext.Unquote(literal); got != all.String() || !whole {
		t.Error("unquote reads another text")
	}
}

func TestAnnotations(t *testing.T) {
	const asks = `"secrets.oci/from":"db"`
	tests := []struct {
		name, document string
		want           map[string]string
		problem        string
	}{
		{"absent", `{}`, nil, ""},
		{"null", `{"annotations":null}`, nil, ""},
		{"empty", `{"annotations":{}}`, map[string]string{}, ""},
		{"strings", `{"annotations":{"a\u002fb":"\n"}}`, map[string]string{"a/b": "\n"}, ""},
		{"others that are no strings", `{"annotations":{"a":1,"b":null,"c":{"secrets.oci/from":"db"},"d":"x"}}`, map[string]string{"d": "x"}, ""},
		{"others that are there twice", `{"annotations":{"a":"1","a":"2"}}`, map[string]string{"a": "2"}, ""},
		{"array", `{"annotations":[]}`, nil, "annotations is not an object"},
		{"string", `{"annotations":"x"}`, nil, "annotations is not an object"},
		{"twice", `{"annotations":null,"annotations":{}}`, nil, `"annotations" is there twice`},
		{"letter case", `{"Annotations":{}}`, nil, "only by letter case"},
		{"letter case beyond ASCII", `{"annotation\u017f":{}}`, nil, "only by letter case"},
		{"ours is null", `{"annotations":{"secrets.oci/dict":null}}`, nil, "is not a string"},
		{"ours in another case", `{"annotations":{"Secrets.oci/x":0}}`, nil, "is not a string"},
		{"ours has half a pair", `{"annotations":{"secrets.oci/dict":"\ud800"}}`, nil, "has half a surrogate pair"},
		{"container name twice", `{"annotations":{"io.kubernetes.cri.container-name":"a","io.kubernetes.cri.container-name":"b",` + asks + `}}`, nil, "is there twice"},
		{"container type no string", `{"annotations":{` + asks + `,"io.kubernetes.cri-o.ContainerType":1}}`, nil, "is not a string"},
		{"the same without a request", `{"annotations":{"io.kubernetes.cri-o.ContainerType":1}}`, map[string]string{}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d, err := ParseDoc([]byte(test.document))
			if err != nil {
				t.Fatal(err)
			}
			got, err := d.Annotations()
			if test.problem != "" {
				if !errors.Is(err, fault.Document) || !strings.Contains(err.Error(), test.problem) {
					t.Errorf("error %v, want %q", err, test.problem)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWithEnvRefuses(t *testing.T) {
	tests := []struct {
		name, document, variable string
		class                    fault.Class
	}{
		{"process is null", `{"process":null}`, "A=1", fault.Document},
		{"process is an array", `{"process":[]}`, "A=1", fault.Document},
		{"process in another case", `{"Process":{}}`, "A=1", fault.Document},
		{"env is a string", `{"process":{"env":"A=1"}}`, "A=1", fault.Document},
		{"env is false", `{"process":{"env":false}}`, "A=1", fault.Document},
		{"env twice, once null", `{"process":{"env":null,"env":[]}}`, "A=1", fault.Document},
		{"env has null", `{"process":{"env":["B=1",null]}}`, "A=1", fault.Document},
		{"env has an array", `{"process":{"env":[["B=1"]]}}`, "A=1", fault.Document},
		{"no name", `{"process":{}}`, "=hunter2", fault.Annotation},
		{"no value", `{"process":{}}`, "hunter2", fault.Annotation},
		{"NUL", `{"process":{}}`, "A=hunter2\x00", fault.Annotation},
		{"too long", `{"process":{}}`, "A=" + strings.Repeat("hunter2", maxVariable), fault.Annotation},
		{"not UTF-8", `{"process":{}}`, "A=hunter2\xff", fault.Delivery},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			out, err := edit([]byte(test.document), []string{test.variable})
			if c, _ := fault.ClassOf(err); c != test.class || out != nil {
				t.Fatalf("%q, %v", out, err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%q gives the value away", err)
			}
			if out, err := edit([]byte(test.document), nil); err != nil || string(out) != test.document {
				t.Errorf("with no variables: %q, %v", out, err)
			}
		})
	}
}

// TestWithEnvIndented checks that new elements look like their neighbours.
func TestWithEnvIndented(t *testing.T) {
	for before, after := range map[string]string{
		"{\n\t\"process\": {\r\n\t\t\"env\": [\r\n\t\t\t\"A=1\"\r\n\t\t]\r\n\t}\n}\n": "{\n\t\"process\": {\r\n\t\t\"env\": [\r\n\t\t\t\"A=1\",\r\n\t\t\t\"B=2\",\r\n\t\t\t\"C=3\"\r\n\t\t]\r\n\t}\n}\n",
		"{\"process\": {\n  \"cwd\": \"/\"\n}}\n":                                     "{\"process\": {\n  \"cwd\": \"/\",\n  \"env\":[\"B=2\",\"C=3\"]\n}}\n",
	} {
		if out, err := edit([]byte(before), []string{"B=2", "C=3"}); err != nil || string(out) != after {
			t.Errorf("%q, %v; want %q", out, err, after)
		}
	}
}

// TestWithEnvLeavesDoc edits a document twice: the first must not show in it.
func TestWithEnvLeavesDoc(t *testing.T) {
	b := []byte(`{"process":{"env":["A=1"]}}`)
	d, err := ParseDoc(b)
	if err != nil {
		t.Fatal(err)
	}
	keep := bytes.Clone(b)
	for range 2 {
		out, err := d.WithEnv([]string{"A=2", "B=3"})
		if err != nil || string(out) != `{"process":{"env":["A=2","B=3"]}}` {
			t.Fatalf("%s, %v", out, err)
		}
	}
	if env, err := d.Env(); err != nil || !cmp.Equal(env, []string{"A=1"}) || !bytes.Equal(b, keep) {
		t.Errorf("the document changed: %q, %v", env, err)
	}
}

func checkScan(t *testing.T, b []byte) {
	t.Helper()
	_, err := jsontext.Scan(b, nil)
	if want := isJSON(b); (err == nil) != want {
		t.Errorf("%q: %v, but encoding/json says %v", b, err, want)
	}
}
