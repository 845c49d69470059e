// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"A": "", "_": "", "a1_": "", "LD": "", "LDAP_PASSWORD": "", "PATHS": "", "path": "", "MY_PATH": "", "LUA": "",
		"OPENSSL_CONFIG": "", "ld_preload": "", "HTTPS_PROXY": "",
		"1A": "", "a-b": "", "discovery.type": "", "é": "", "A ": "", "a/b:c": "", "HOME": "",
		"": "invalid", "A=B": "invalid", "A\x00": "invalid", "A\n": "invalid", "A\u0085": "invalid", "A\x7f": "invalid", "\xff": "invalid",
		"PATH": "reserved", "LD_": "reserved", "LD_PRELOAD": "reserved", "BASH_ENV": "reserved", "NODE_OPTIONS": "reserved", "BASH_FUNC_ls%%": "reserved",
		"LUA_INIT": "reserved", "LUA_PATH_5_4": "reserved", "CORECLR_PROFILER_PATH_64": "reserved", "_JAVA_OPTIONS": "reserved",
	} {
		err := Names{Allow: []string{"LD_AUDIT", "LD_*", "a-b", ""}}.Check(name)
		got := ""
		if err != nil {
			got = "invalid"
			if strings.Contains(err.Error(), "is reserved") {
				got = "reserved"
			}
			if c, _ := fault.ClassOf(err); c != fault.Annotation {
				t.Errorf("%q: class %v", name, c)
			}
		}
		if got != want {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
	if err := (Names{Allow: []string{"PATH", "LD_AUDIT"}}).Check("LD_AUDIT"); err != nil {
		t.Errorf("allowed: %v", err)
	}
}

// TestOnlyNames has an operator who names all that may be set. A reserved name
// that is in that list needs to be allowed as well.
func TestOnlyNames(t *testing.T) {
	n := Names{Only: []string{"DB_*", "TOKEN", "LD_*", "PATH"}, Allow: []string{"PATH", "IFS"}}
	for name, want := range map[string]string{
		"DB_URL": "", "DB_": "", "TOKEN": "", "PATH": "",
		"TOKENS": "none of those", "db_url": "none of those", "XDB_URL": "none of those", "IFS": "none of those", "a.b": "none of those",
		"LD_PRELOAD": "reserved", "": "not a variable name",
	} {
		err := n.Check(name)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
}

// TestWhole has the keys of a secret that is taken whole.
func TestWhole(t *testing.T) {
	for name, want := range map[string]struct{ leaves, anyLeaves, unasked bool }{
		"A": {}, "NO_PROX": {}, "PROXY": {}, "GEM_HOST_API_KEY": {}, "CARGO_REGISTRY_TOKEN": {}, "home": {}, "BUNDLE_ID": {}, "SSL_CERT": {},
		"a.b": {leaves: true}, "1": {leaves: true}, "a b": {leaves: true},
		"a=b": {leaves: true, anyLeaves: true}, "": {leaves: true, anyLeaves: true}, "a\nb": {leaves: true, anyLeaves: true},
		"HTTPS_PROXY": {unasked: true}, "https_proxy": {unasked: true}, "Http_Proxy": {unasked: true}, "NO_PROXY": {unasked: true}, "_PROXY": {unasked: true},
		"SSL_CERT_FILE": {unasked: true}, "npm_config_registry": {unasked: true}, "NPM_CONFIG_": {unasked: true}, "GIT_CONFIG": {unasked: true},
		"GIT_CONFIG_KEY_0": {unasked: true}, "MAVEN_OPTS": {unasked: true}, "ES_JAVA_OPTS": {unasked: true}, "HOME": {unasked: true},
		"a-b_proxy":           {leaves: true, unasked: true},
		"NODE_EXTRA_CA_CERTS": {},
	} {
		n := Names{Allow: []string{"NODE_EXTRA_CA_CERTS"}}
		got := []bool{n.Leaves(name), Names{Any: true}.Leaves(name), n.Unasked(name)}
		if diff := cmp.Diff([]bool{want.leaves, want.anyLeaves, want.unasked}, got); diff != "" {
			t.Errorf("%q: leaves, leaves where any may be set, warns: %s", name, diff)
		}
	}
}

// TestRenameHint checks that what the hint proposes works.
func TestRenameHint(t *testing.T) {
	for name, want := range map[string]string{
		"user-name": "#user-name=USER_NAME", "1.a": "#1.a=_1_A", "-": "#-=_", "é": "", "a b": "", "": "",
	} {
		hint := ""
		if hints := fault.Hints(NotVariable(name)); len(hints) > 0 {
			hint = hints[0]
		}
		if !strings.HasSuffix(hint, want) || (want == "") != (hint == "") {
			t.Errorf("%q: hint %q, want %q", name, hint, want)
		}
		if want != "" {
			if _, err := parseItem("db" + want); err != nil {
				t.Errorf("%q: %v", want, err)
			}
		}
	}
}

func TestCheckVariable(t *testing.T) {
	for _, test := range []struct {
		name, value, want string
	}{
		{"A", "", ""},
		{"A", "\xff\n\x7f=é", ""},
		{"A", strings.Repeat("x", 131072-3), ""},
		{"AB", strings.Repeat("x", 131072-3), "variable AB: NAME=value is 131073 bytes with its NUL, and the kernel takes at most 131072"},
		{"A", "\x00", "variable A: the value has a NUL byte, which no environment can carry"},
	} {
		got := ""
		if err := CheckVariable(test.name, test.value); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s, %d bytes: %q, want %q", test.name, len(test.value), got, test.want)
		}
	}
}

// TestKernelLimit asks the kernel itself.
func TestKernelLimit(t *testing.T) {
	for n, ok := range map[int]bool{131072 - 3: true, 131072 - 2: false} {
		value := strings.Repeat("x", n)
		cmd := exec.Command("/bin/true")
		cmd.Env = []string{"A=" + value}
		if err := cmd.Run(); (err == nil) != ok {
			t.Errorf("%d bytes: execve says %v", n, err)
		}
		if err := CheckVariable("A", value); (err == nil) != ok {
			t.Errorf("%d bytes: CheckVariable says %v", n, err)
		}
	}
}

func TestMerge(t *testing.T) {
	for _, test := range []struct{ name, env, vars, want string }{
		{"nothing", "", "", ""},
		{"no vars", "A=1 B", "", "A=1 B"},
		{"no env", "", "B=1 A=2", "B=1 A=2"},
		{"in place", "A=1 B=2 C=3", "C=c A=a", "A=a B=2 C=c"},
		{"every occurrence", "A=1 B=2 A=3", "A=a", "A=a B=2 A=a"},
		{"order of the new", "A=1", "Z=1 A=a Y=2", "A=a Z=1 Y=2"},
		{"letter case", "a=1", "A=2", "a=1 A=2"},
		{"no prefix match", "AB=1 A", "A=2", "AB=1 A A=2"},
		{"value with =", "A=1=2", "A=3=4", "A=3=4"},
		{"later wins", "A=0", "A=1 B=1 A=2 B=2", "A=2 B=2"},
		{"no name", "=1 =", "A=1", "=1 = A=1"},
		{"duplicates stay", "X=1 X=1 Y", "A=1", "X=1 X=1 Y A=1"},
	} {
		env := strings.Fields(test.env)
		got := Merge(env, strings.Fields(test.vars))
		if diff := cmp.Diff(strings.Fields(test.want), got); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
		if diff := cmp.Diff(strings.Fields(test.env), env); diff != "" {
			t.Errorf("%s: Merge changed its argument: %s", test.name, diff)
		}
	}
}
