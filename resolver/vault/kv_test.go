// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/vault"
	"github.com/oci-secrets/oci-secrets/spec"
	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

func TestValues(t *testing.T) {
	stored := map[string]any{
		"TEXT":           canary,
		"EMPTY":          "",
		"UNICODE":        "пароль 🔑 <&> \u2028",
		"LINES":          "one\ntwo\n",
		"INT":            json.Number("9007199254740993"),
		"BIG":            json.Number("18446744073709551615"),
		"FLOAT":          json.Number("1.50"),
		"EXP":            json.Number("1e3"),
		"YES":            true,
		"NULL":           nil,
		"LIST":           []any{"a", json.Number("1"), nil},
		"NESTED":         map[string]any{"b": "<x> & y", "a": map[string]any{"n": json.Number("1.0")}},
		"not-a-variable": "kept as it is: names are for the merge to judge",
	}
	want := map[string]string{
		"TEXT":           canary,
		"EMPTY":          "",
		"UNICODE":        "пароль 🔑 <&> \u2028",
		"LINES":          "one\ntwo\n",
		"INT":            "9007199254740993",
		"BIG":            "18446744073709551615",
		"FLOAT":          "1.50",
		"EXP":            "1e3",
		"YES":            "true",
		"LIST":           `["a",1,null]`,
		"NESTED":         `{"a":{"n":1.0},"b":"<x> & y"}`,
		"not-a-variable": "kept as it is: names are for the merge to judge",
	}
	// KV v2 itself stores numbers as floats, and answers with what is left of
	// them; TestNumbersAsWritten has what this package does with an answer.
	v2 := maps.Clone(want)
	v2["INT"], v2["BIG"], v2["FLOAT"], v2["EXP"] = "9007199254740992", "18446744073709552000", "1.5", "1000"
	v2["NESTED"] = `{"a":{"n":1},"b":"<x> & y"}`

	for version, mount := range map[int]string{1: kv1, 2: kv2} {
		want := map[int]map[string]string{1: want, 2: v2}[version]
		t.Run(fmt.Sprintf("v%d", version), func(t *testing.T) {
			name := fmt.Sprintf("values/all.of_it-%d", runs.Add(1))
			server.Put(t, version, mount, "containers/"+name, stored)
			s, err := get(t, source(t, config(server, mount, server.RootToken)), 5*time.Second, name, 0)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, reveal(t, s)); diff != "" {
				t.Error(diff)
			}
			if s.Version != version-1 { // v1 has none, v2 has one write
				t.Errorf("version %d", s.Version)
			}
		})
	}
}

// TestOddNames reads secrets by all characters that an escape may stand for. The
// server is asked what it calls them, lest two mistakes cancel each other out.
func TestOddNames(t *testing.T) {
	var names []string
	for c := byte(' '); c < 0x7f; c++ {
		if name := "a" + string(c); !strings.ContainsRune("/?#", rune(c)) && spec.IsName(name) {
			names = append(names, name, string(c)+"x")
		}
	}
	names = append(names, "user@corp", " ", "é", "🔑", "&+=,:")
	dir := fmt.Sprintf("containers/odd-%d", runs.Add(1))
	for version, mount := range map[int]string{1: kv1, 2: kv2} {
		listed := mount + "/" + dir
		if version == 2 {
			listed = mount + "/metadata/" + dir
		}
		s := source(t, config(server, mount, server.RootToken))
		for _, name := range names {
			server.Put(t, version, mount, dir+"/"+name, map[string]any{"NAME": name})
			got, err := get(t, s, 5*time.Second, strings.TrimPrefix(dir, "containers/")+"/"+name, 0)
			if err != nil {
				t.Fatalf("%q: %v", name, err)
			}
			if reveal(t, got)["NAME"] != name {
				t.Errorf("%q: %v", name, reveal(t, got))
			}
			if list, err := server.Client.Logical().ListWithContext(t.Context(), listed); err != nil || list == nil || !slices.Contains(list.Data["keys"].([]any), any(name)) {
				t.Errorf("%q is not what the server calls it: %v, %v", name, list, err)
			}
		}
	}
	for _, name := range []string{"..", "a/../b", "a//b", "/a", "a/", "%2e%2e", "..;", `a\b`, "a\x00", "a\nb", "\xff", "\u202e"} {
		_, err := get(t, source(t, config(server, kv2, server.RootToken)), 5*time.Second, name, 0)
		wantFault(t, err, fault.Annotation, "not the name of a secret")
	}
}

// runs makes names that no run of a test before has used.
var runs atomic.Int64

func TestVersions(t *testing.T) {
	name := fmt.Sprintf("versions-%d", runs.Add(1))
	for i := 1; i <= 4; i++ {
		server.Put(t, 2, kv2, "containers/"+name, map[string]any{"N": fmt.Sprint(i)})
	}
	versions := "secret/%s/containers/" + name
	server.Write(t, fmt.Sprintf(versions, "delete"), map[string]any{"versions": []int{2, 4}})
	server.Write(t, fmt.Sprintf(versions, "destroy"), map[string]any{"versions": []int{3}})
	s := source(t, config(server, kv2, server.RootToken))

	got, err := get(t, s, 5*time.Second, name, 1)
	if err != nil {
		t.Fatal(err)
	}
	if reveal(t, got)["N"] != "1" || got.Version != 1 {
		t.Errorf("version %d: %v", got.Version, reveal(t, got))
	}
	_, err = get(t, s, 5*time.Second, name, 2)
	wantFault(t, err, fault.Missing, "version 2 was deleted at 20")
	_, err = get(t, s, 5*time.Second, name, 3)
	wantFault(t, err, fault.Missing, "version 3 was destroyed")
	_, err = get(t, s, 5*time.Second, name, 0)
	wantFault(t, err, fault.Missing, "version 4 was deleted at 20")
	_, err = get(t, s, 5*time.Second, name, 9)
	wantFault(t, err, fault.Missing, "in version 9")
	if !errors.Is(err, resolver.ErrMiss) {
		t.Error("not a miss")
	}

	server.Write(t, fmt.Sprintf(versions, "undelete"), map[string]any{"versions": []int{2, 4}})
	s = source(t, config(server, kv2, server.RootToken)) // the other one keeps to what it was told
	for asked, want := range map[int]string{2: "2", 0: "4"} {
		got, err := get(t, s, 5*time.Second, name, asked)
		if err != nil {
			t.Fatal(err)
		}
		if reveal(t, got)["N"] != want {
			t.Errorf("version %d gives %v", asked, reveal(t, got))
		}
	}

	server.Put(t, 1, kv1, "containers/"+name, map[string]any{"N": "1"})
	_, err = get(t, source(t, config(server, kv1, server.RootToken)), 5*time.Second, name, 1)
	wantFault(t, err, fault.Missing, "KV v1", "no versions", "team/old/containers/"+name)
}

func TestNames(t *testing.T) {
	server.Put(t, 2, kv2, "outside", map[string]any{"K": canary})
	server.Put(t, 1, kv1, "outside", map[string]any{"K": canary})
	for _, mount := range []string{kv1, kv2} {
		s := source(t, config(server, mount, server.RootToken))
		for _, tt := range []struct {
			name  string
			class fault.Class
		}{
			{"", fault.Missing},
			{"absent", fault.Missing},
			{"outside", fault.Missing}, // it is, but not below the prefix
			{"../outside", fault.Annotation},
			{"a/../../outside", fault.Annotation},
			{"./outside", fault.Annotation},
			{"/outside", fault.Annotation},
			{"a//outside", fault.Annotation},
			{"..%2foutside", fault.Annotation},
			{"%2e%2e/outside", fault.Annotation},
			{"outside?version=1", fault.Annotation},
			{"outside#", fault.Annotation},
			{"outside/", fault.Annotation},
			{"a\n", fault.Annotation},
			{"．．/outside", fault.Annotation},
		} {
			t.Run(mount+" "+tt.name, func(t *testing.T) {
				_, err := get(t, s, 5*time.Second, tt.name, 0)
				wantFault(t, err, tt.class)
			})
		}
		if _, err := get(t, s, 5*time.Second, "absent", -1); !errors.Is(err, fault.Annotation) {
			t.Errorf("version -1: %v", err)
		}
	}
}

// What is put before a prefix and before names is repeated in them by many who
// come from paths of policies or of `vault kv`. A policy for such a path would not help.
func TestTwice(t *testing.T) {
	server.Policy(t, "narrow", `path "secret/data/containers/*" { capabilities = ["read"] }`)
	root, narrow := server.RootToken, server.Token(t, "narrow")
	for name, tt := range map[string]struct {
		mount, prefix, token, ask string
		class                     fault.Class
		hint                      string // "" for none
	}{
		"nothing":               {kv2, "containers", root, "db-x", fault.Missing, ""},
		"alike":                 {kv2, "containers", root, "containers-db", fault.Missing, ""},
		"as in the policy":      {kv2, "containers", root, "secret/data/containers/db-x", fault.Missing, "ask for db-x, unless secret/data/containers is meant"},
		"as vault kv has it":    {kv2, "containers", root, "secret/containers/db-x", fault.Missing, "ask for db-x, unless secret/containers is meant"},
		"the prefix":            {kv2, "containers", root, "containers/db-x", fault.Missing, "ask for db-x, unless containers is meant"},
		"no prefix":             {kv2, "", root, "data/db-x", fault.Missing, "ask for db-x, unless data is meant"},
		"data, version 1":       {kv1, "containers", root, "data/db-x", fault.Missing, ""},
		"the mount, version 1":  {kv1, "containers", root, kv1 + "/containers/db-x", fault.Missing, "ask for db-x, unless " + kv1 + "/containers is meant"},
		"data in prefix":        {kv2, "data/containers", root, "db-x", fault.Missing, "take data away from prefix"},
		"the mount in prefix":   {kv2, "secret/containers", root, "db-x", fault.Missing, "take secret away from prefix"},
		"both in prefix":        {kv2, "secret/data/containers", narrow, "db-x", fault.Refused, "take secret/data away from prefix, unless it is meant twice: it is put before it; or else, a policy"},
		"the name, not allowed": {kv2, "", narrow, "secret/data/db-x", fault.Refused, "ask for db-x, unless secret/data is meant twice: it is put before names; or else, a policy"},
		"an odd name":           {kv2, "containers", root, "containers/db@x", fault.Missing, "ask for db~40x, unless containers is meant"},
		"not allowed":           {kv2, "", narrow, "db-x", fault.Refused, "a policy that allows it"},
		"a policy's own signs":  {kv2, "", narrow, "db*", fault.Refused, "a policy has to allow it; in one * + and { stand for more"},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(server, tt.mount, tt.token)
			c.Prefix = tt.prefix
			_, err := get(t, source(t, c), 5*time.Second, tt.ask, 0)
			wantFault(t, err, tt.class)
			if hint := strings.Join(fault.Hints(err), "\n"); !strings.HasPrefix(hint, tt.hint) || tt.hint == "" && hint != "" {
				t.Errorf("hint %q, want %q", hint, tt.hint)
			}
		})
	}
}

// A container that names a hundred secrets costs one login, one look at the
// mount and a hundred reads, over one connection.
func TestHundredNames(t *testing.T) {
	own := vaulttest.Start(t, vaulttest.Options{})
	own.Mount(t, "secret", 2)
	own.Policy(t, "reader", `path "secret/data/containers/*" { capabilities = ["read"] }`)
	const names = 300 // more than the server's limit of streams per connection
	for i := range names {
		own.Put(t, 2, "secret", fmt.Sprintf("containers/n%d", i), map[string]any{"N": fmt.Sprint(i)})
	}
	c := config(own, "secret", "")
	roleID, secretID := own.AppRole(t, "approle", "web", "reader")
	c.Auth.Method, c.Auth.RoleID, c.Auth.SecretIDFile = "approle", roleID, file(t, secretID+"\n")
	c.StateDir = sharedDir(t)
	// The next start on the host has only to read, and no connection to begin with.
	to, connections := relay(t, "127.0.0.1", own.Address)
	c.Addresses = []string{to}
	for _, logins := range []int{1, 0} {
		connections.Store(0)
		s := source(t, c)
		calls := own.Calls(t, func() {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			var wg sync.WaitGroup
			for i := range names {
				wg.Go(func() {
					got, err := s.Get(ctx, fmt.Sprintf("n%d", i), 0)
					if err != nil {
						t.Error(err)
					} else if got.Entries[0].Value.Reveal() != fmt.Sprint(i) {
						t.Errorf("n%d is another", i)
					}
				})
			}
			wg.Wait()
		})
		paths := map[string]int{}
		for _, c := range calls {
			paths[c.Path]++
		}
		if len(calls) != names+2*logins || paths["auth/approle/login"] != logins || paths["sys/internal/ui/mounts/secret"] != logins {
			t.Errorf("%d calls, %d logins, %d mount lookups", len(calls), paths["auth/approle/login"], paths["sys/internal/ui/mounts/secret"])
		}
		if n := connections.Load(); n != 1 {
			t.Errorf("%d connections", n)
		}
	}
}

func BenchmarkGetCold(b *testing.B) {
	server.Put(b, 2, kv2, "containers/bench", map[string]any{"K": "v"})
	for b.Loop() {
		s, err := vault.New(config(server, kv2, server.RootToken), resolver.Container{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Get(b.Context(), "bench", 0); err != nil {
			b.Fatal(err)
		}
	}
}
