// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/spec/limit"
)

func TestParseItem(t *testing.T) {
	tests := []struct {
		item string
		want Request
	}{
		{"db", Request{Name: "db"}},
		{"db?", Request{Name: "db", Optional: true}},
		{"A-Z_a.z0/9", Request{Name: "A-Z_a.z0/9"}},
		{".../..a", Request{Name: ".../..a"}},
		{"dotenv:", Request{Scheme: "dotenv"}},
		{"dotenv:#A?", Request{Scheme: "dotenv", Keys: []Key{{"A", "A"}}, Optional: true}},
		{"dict:db@1", Request{Scheme: "dict", Name: "db", Version: 1}},
		{"vault:a/b@2147483647#k-1=_K#K", Request{Scheme: "vault", Name: "a/b", Version: 2147483647, Keys: []Key{{"k-1", "_K"}, {"K", "K"}}}},
		{"db#A=A", Request{Name: "db", Keys: []Key{{"A", "A"}}}},
		{"db#A#A=B", Request{Name: "db", Keys: []Key{{"A", "A"}, {"A", "B"}}}},
		{"user~40corp/~20@2", Request{Name: "user@corp/ ", Version: 2}},
		{strings.Repeat("~40", 64), Request{Name: strings.Repeat("@", 64)}},
		{strings.Repeat("x", 64) + "/y", Request{Name: strings.Repeat("x", 64) + "/y"}},
	}
	for _, test := range tests {
		got, err := parseItem(test.item)
		if err != nil {
			t.Errorf("%q: %v", test.item, err)
			continue
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%q: %s", test.item, diff)
		}
	}
}

func TestParseItemRefuses(t *testing.T) {
	for item, problem := range map[string]string{
		"":                        "names no secret",
		"?":                       "names no secret",
		"#A":                      "names no secret",
		"@1":                      "names no secret",
		"vault:":                  "names no secret",
		"dict:#A":                 "names no secret",
		":db":                     "no scheme",
		"Vault:db":                "no scheme",
		"http://x":                "no scheme",
		"vault:a:b":               "a character other",
		"db??":                    "a character other",
		"db$":                     "a character other",
		"dé":                      "a character other",
		"a\\b":                    "a character other",
		"/":                       "an empty part",
		"a/":                      "an empty part",
		"a//b":                    "an empty part",
		"vault:/a":                "an empty part",
		".":                       `a part "."`,
		"a/../b":                  `a part ".."`,
		"dotenv:..":               `a part ".."`,
		strings.Repeat("x", 65):   "longer than 64",
		strings.Repeat("~40", 65): "longer than 64",
		"db@":                     "the version",
		"db@0":                    "the version",
		"db@01":                   "the version",
		"db@-1":                   "the version",
		"db@+1":                   "the version",
		"db@1_0":                  "the version",
		"db@2147483648":           "the version",
		"db@99999999999999999999": "the version",
		"db@1@2":                  "the version",
		"db@3?#A":                 "the version",
		"db#":                     "no key follows",
		"db#A#":                   "no key follows",
		"db##A":                   "no key follows",
		"db#=A":                   "no key follows",
		"db#A=":                   "no variable follows",
		"db#A=a:b":                "not a variable name",
		"db#A=${B}":               "not a variable name",
		"db#A=B=C":                "not a variable name",
		"db#1A":                   "not a variable name",
		"db#a.b":                  "not a variable name",
		"db#A@3":                  "a character other",
		"db#A?#B":                 "a character other",
		"db#a/b=C":                "a character other",
		"db#A#A":                  "set twice",
		"db#A#B=A":                "set twice",
	} {
		if _, err := parseItem(item); !errors.Is(err, fault.Annotation) || !strings.Contains(err.Error(), problem) {
			t.Errorf("%q: error %v, want %q", item, err, problem)
		}
	}
}

func TestParseSizes(t *testing.T) {
	from := func(n int) string { return "db" + strings.Repeat(" ", n-2) }
	dict := func(n int) string { return "{}" + strings.Repeat(" ", n-2) }
	for _, test := range []struct {
		from, dict int
		ok         bool
	}{
		{limit.Annotations - 2, 2, true},
		{limit.Annotations - 1, 2, false},
		{2, limit.Annotations - 2, true},
		{limit.Annotations / 2, limit.Annotations/2 + 1, false},
	} {
		_, err := Parse(map[string]string{keyFrom: from(test.from), keyDict: dict(test.dict), "other": from(limit.Annotations)})
		if (err == nil) != test.ok || err != nil && !errors.Is(err, fault.Annotation) {
			t.Errorf("%d and %d bytes: %v", test.from, test.dict, err)
		}
	}
}

// TestParseManyProblems checks that hopeless annotations do not flood a log.
func TestParseManyProblems(t *testing.T) {
	_, err := Parse(map[string]string{keyFrom: strings.Repeat("! ", 1000), keyDict: strings.Repeat("x", 100)})
	lines := strings.Split(err.Error(), "\n")
	told := len(lines) - 1
	if told < 50 || len(err.Error()) > limit.ErrorText || lines[told] != fmt.Sprintf("and %d more", 1001-told) {
		t.Fatalf("%d bytes in %d lines, the last is %q", len(err.Error()), len(lines), lines[told])
	}
	_, err = Parse(map[string]string{keyFrom: strings.Repeat("é", 1000), "secrets.oci/" + strings.Repeat("x\n", 1000): "", keyFrom + "/" + long(1000): long(63)})
	checkFault(t, err)
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if len(line) > 1000 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
}

func TestParseManyItems(t *testing.T) {
	items := strings.Repeat("db ", limit.Names)
	for list, want := range map[string]string{
		items:                            "",
		items + "db":                     "annotation secrets.oci/from.web: the list has more than 1000 items",
		items + "!":                      "annotation secrets.oci/from.web: the list has more than 1000 items",
		strings.Repeat("db,", 50_000):    "annotation secrets.oci/from.web: the list has more than 1000 items",
		items[:len(items)-1] + ",":       "annotation secrets.oci/from.web: item 1001 is empty",
		items + strings.Repeat("\t", 10): "",
	} {
		asked, err := Parse(map[string]string{"secrets.oci/from.web": list, criName: "web"})
		switch {
		case want == "" && (err != nil || len(asked.Requests) != limit.Names):
			t.Errorf("%d requests, error %v", len(asked.Requests), err)
		case want != "" && (err == nil || err.Error() != want || !errors.Is(err, fault.Annotation)):
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// TestParseManyKeys refuses keys that cannot all be meant, before anything is made
// of them.
func TestParseManyKeys(t *testing.T) {
	keys := func(item string, n int) string {
		var b strings.Builder
		b.WriteString(item)
		for i := range n {
			fmt.Fprintf(&b, "#K%d", i)
		}
		return b.String()
	}
	members := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf("%q:\"\"", fmt.Sprint("K", i)))
		}
		return "{" + strings.Join(all, ",") + "}"
	}
	const half = limit.Keys / 2
	for name, test := range map[string]struct{ key, value, want string }{
		"as many as may be":   {keyFrom, keys("db", limit.Keys), ""},
		"one more":            {keyFrom, keys("db", limit.Keys+1), "annotation secrets.oci/from: the list picks more than 1000 keys"},
		"of two secrets":      {keyFrom, keys("db", half) + " " + keys("web", half+1), "annotation secrets.oci/from: the list picks more than 1000 keys"},
		"of 8000 keys":        {keyFrom, keys("db", 8000), "annotation secrets.oci/from: the list picks more than 1000 keys"},
		"hashes alone":        {keyFrom, "db" + strings.Repeat("#", 200_000), "annotation secrets.oci/from: the list picks more than 1000 keys"},
		"of another's list":   {"secrets.oci/from.other", keys("db", 8000), "annotation secrets.oci/from.other: the list picks more than 1000 keys"},
		"dict":                {keyDict, members(limit.Keys), ""},
		"dict with one more":  {keyDict, members(limit.Keys + 1), "annotation secrets.oci/dict: it has more than 1000 keys"},
		"keys of annotations": {"secrets.oci/from." + strings.Repeat("x", limit.Annotations), "db", "the keys of all secrets.oci/ annotations are 262161 bytes together, more than 262144"},
	} {
		_, err := Parse(map[string]string{test.key: test.value, criName: "web"})
		if test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want || !errors.Is(err, fault.Annotation)) {
			t.Errorf("%s: %.200v", name, err)
		}
	}
}

func TestParseDict(t *testing.T) {
	for value, want := range map[string]string{
		`{}`:                           "[]",
		" {} \n":                       "[]",
		`{"A":null}`:                   "[]",
		`{"B":"","A":"x","a":"y"}`:     "[{A x} {B } {a y}]",
		`{"A":"` + "\u2028" + `\/"}`:   "[{A \u2028/}]",
		`{"\u0041":"\u0001"}`:          "[{A \x01}]",
		``:                             "not JSON: byte 0: ends too early",
		`null`:                         "not a JSON object",
		`"A=x"`:                        "not a JSON object",
		`{"A":"x",}`:                   "not JSON: byte 9",
		"{\"A\":\"\xff\"}":             "not JSON: byte 6: not UTF-8",
		"{\"A\":\"a\nb\"}":             "not JSON: byte 7",
		`{"A":null,"\u0041":"x"}`:      "the key A is there twice",
		`{"A":true}`:                   "the value of A is not a string",
		`{"A":["x"]}`:                  "the value of A is not a string",
		`{"":"x"}`:                     `the key "" is not a variable name`,
		`{"A=B":"x"}`:                  `the key "A=B" is not a variable name`,
		`{"A\n":null}`:                 `the key "A\n" is not a variable name`,
		`{"1a.b-c/d":"x"}`:             "[{1a.b-c/d x}]",
		`{"A":"x\u0000"}`:              "variable A: the value has a NUL",
		`{"A":"` + long(131069) + `"}`: "[{A " + long(131069) + "}]",
		`{"A":"` + long(131070) + `"}`: "variable A: NAME=value is 131073 bytes",
	} {
		asked, err := Parse(map[string]string{keyDict: value})
		got := fmt.Sprint(asked.Dict)
		if err != nil {
			got = err.Error()
		}
		if err == nil && got != want || err != nil && !strings.HasPrefix(got, "annotation secrets.oci/dict: "+want) {
			t.Errorf("%.60q: %.200s, want %.60s", value, got, want)
		}
		if err != nil && strings.Contains(got, "x") && !strings.Contains(want, "x") {
			t.Errorf("%.60q: %q gives the value away", value, got)
		}
	}
}

func long(n int) string { return strings.Repeat("x", n) }

// TestParseOwnList covers what decides which list counts.
func TestParseOwnList(t *testing.T) {
	const here = "4f1d" // the container's id
	with := func(more ...string) map[string]string {
		m := map[string]string{keyFrom: "pod", keyContainer + "web": "own", keyDict: `{"A":"1"}`}
		for i := 0; i < len(more); i += 2 {
			m[more[i]] = more[i+1]
		}
		return m
	}
	for _, test := range []struct {
		name        string
		annotations map[string]string
		want        string
	}{
		{"containerd, this one", with(criName, "web"), "own"},
		{"CRI-O, this one", with(crioName, "web"), "own"},
		{"both", with(criName, "web", crioName, "web"), "own"},
		{"another one", with(criName, "Web"), "pod"},
		{"dotted name", with(criName, "a.b", keyContainer+"a.b", "dotted"), "dotted"},
		{"container, not sandbox", with(criName, "web", criType, "container"), "own"},
		{"no name", with(), "error"},
		{"empty name", with(criName, ""), "error"},
		{"two names", with(criName, "web", crioName, "worker"), "error"},
		{"own list empty", with(criName, "web", keyContainer+"web", ""), "error"},
		{"pod list wrong", with(criName, "web", keyFrom, ","), "error"},
		{"key without a container", with(criName, "web", keyContainer, "db"), "error"},
		{"key with no container's name", with(criName, "web", keyContainer+"a b", "db"), "error"},
		{"before the domain", with(criName, "web", keyContainer+"web", "pod", "a.b."+keyFrom, "other", criName, "a.b"), "other"},
		{"before the domain, none in front", with(criName, "web", "."+keyFrom, "db"), "error"},
		{"before the domain, no name", map[string]string{"web." + keyFrom: "own"}, "error"},
		{"twice", with(criName, "web", "web."+keyFrom, "own"), "error"},
		{"generated", map[string]string{keyFrom + "/web": "own", keyDict + "/web": `{"A":"1"}`, crioName: "web"}, "own"},
		{"generated, another one", with(criName, "c", keyFrom+"/worker", "own"), "pod"},
		{"generated, no name", map[string]string{keyFrom + "/web": "own"}, "error"},
		{"generated, no container", with(criName, "web", keyFrom+"/", "db"), "error"},
		{"generated, for a part of a pod", with(criName, "web", keyContainer+"web/web", "db"), "error"},
		{"cut in two", with(criName, "web", "db#K", "V"), "error"},
		{"sandbox", with(criType, "sandbox", criSandbox, here, keyFrom, ",,"), "nothing"},
		{"sandbox of CRI-O", with(crioType, "sandbox", crioSandbox, here), "nothing"},
		{"sandbox of another id", with(criName, "web", criType, "sandbox", criSandbox, "27aa", crioSandbox, here), "own"},
		{"sandbox of no id", with(criName, "web", criType, "sandbox", crioType, "sandbox"), "own"},
		{"container of the id", with(criName, "web", criType, "container", criSandbox, here), "own"},
	} {
		asked, err := Parse(test.annotations)
		got := "nothing"
		if IsSandbox(test.annotations, here) {
			asked, err = Asked{}, nil
		}
		if IsSandbox(test.annotations, "") {
			t.Errorf("%s: a container without an id is a sandbox", test.name)
		}
		if err != nil {
			got = "error"
		} else if len(asked.Requests) == 1 && len(asked.Dict) == 1 {
			got = asked.Requests[0].String()
		}
		if got != test.want {
			t.Errorf("%s: %s (%v), want %s", test.name, got, err, test.want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "from", 4},
		{"from", "", 4},
		{"from", "from", 0},
		{"form", "from", 2},
		{"rom", "from", 1},
		{"froms", "from", 1},
		{"frim", "from", 1},
		{"kitten", "sitting", 3},
	} {
		if got := distance(test.a, test.b); got != test.want {
			t.Errorf("%q, %q: %d, want %d", test.a, test.b, got, test.want)
		}
	}
}
