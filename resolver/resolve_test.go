// SPDX-License-Identifier: Apache-2.0

package resolver_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/spec"
	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/spec/limit"
)

// fake is a source that has what it is given. A secret is "KEY=value" strings;
// one without any is answered with the error in errs.
type fake struct {
	name    string
	secrets map[string][]string
	errs    map[string]error
	hold    func() // called by every Get, if set

	mu    sync.Mutex
	reads []string
}

func (f *fake) Name() string { return f.name }

func (f *fake) Get(_ context.Context, name string, version int) (*resolver.Secret, error) {
	f.mu.Lock()
	f.reads = append(f.reads, fmt.Sprintf("%s@%d", name, version))
	f.mu.Unlock()
	if f.hold != nil {
		f.hold()
	}
	if err := f.errs[name]; err != nil {
		return nil, err
	}
	entries, ok := f.secrets[name]
	if !ok {
		return nil, fault.New(fault.Missing, "add "+name+" to "+f.name, "no %s in %s", name, f.name)
	}
	s := &resolver.Secret{Source: f.name, Version: version}
	for _, e := range entries {
		key, value, _ := strings.Cut(e, "=")
		s.Entries = append(s.Entries, resolver.Entry{Key: key, Value: resolver.NewValue(value)})
	}
	return s, nil
}

func parse(tb testing.TB, from, dict string) spec.Asked {
	tb.Helper()
	annotations := map[string]string{}
	if from != "" {
		annotations["secrets.oci/from"] = from
	}
	if dict != "" {
		annotations["secrets.oci/dict"] = dict
	}
	asked, err := spec.Parse(annotations)
	if err != nil {
		tb.Fatal(err)
	}
	return asked
}

func TestChain(t *testing.T) {
	a := &fake{name: "a", secrets: map[string][]string{"both": {"K=a"}}, errs: map[string]error{"down": fault.New(fault.Unreachable, "", "a is down")}}
	b := &fake{name: "b", secrets: map[string][]string{"both": {"K=b"}, "second": {"K=b"}, "down": {"K=b"}}}
	chain := resolver.Chain{a, b}
	if got := chain.Name(); got != "a, b" {
		t.Errorf("the name is %q", got)
	}
	tests := map[string]struct {
		source, err string
		class       fault.Class
	}{
		"both":    {source: "a"},
		"second":  {source: "b"},
		"down":    {err: "a is down", class: fault.Unreachable},
		"nowhere": {err: "no nowhere in a; no nowhere in b", class: fault.Missing},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := chain.Get(t.Context(), name, 0)
			if tt.err == "" {
				if err != nil || s.Source != tt.source {
					t.Fatalf("got %v, %v", s, err)
				}
				return
			}
			if err == nil || err.Error() != tt.err || !errors.Is(err, tt.class) {
				t.Fatalf("got %v, %v", s, err)
			}
			if errors.Is(err, resolver.ErrMiss) != (tt.class == fault.Missing) {
				t.Error("an outage looks like an absence, or the other way round")
			}
		})
	}
	_, err := resolver.Chain{chain, b}.Get(t.Context(), "nowhere", 0) // a chain is a source
	if !errors.Is(err, resolver.ErrMiss) {
		t.Errorf("the miss of a chain is no miss: %v", err)
	}
	if got := fault.Hints(err); !cmp.Equal(got, []string{"add nowhere to a", "add nowhere to b"}) {
		t.Errorf("hints %q", got)
	}
}

func TestResolve(t *testing.T) {
	const big = 131072
	vault := &fake{name: "vault", secrets: map[string][]string{
		"db":    {"URL=v1", "PASSWORD=v2"},
		"api":   {"TOKEN=v3", "URL=v4"},
		"odd":   {"user-name=v5", "OK=v6"},
		"bad":   {"LD_PRELOAD=v7", "NUL=a\x00hunter2", "BIG=" + strings.Repeat("hunter2", big), "1A=hunter2"},
		"swap":  {"hunter2/SUPERSECRET+=KEY", strings.Repeat("hunter2", 10) + "-zz=KEY"}, // values for keys
		"rest":  {"1A=v9", "user-name=v8"},
		"many":  {"a.0=", "a.1=", "a.2=", "a.3=", "a.4=", "a.5=", "a.6=", "OK=v", "a.7=", "a.8=", "a.9="},
		"trust": {"HTTPS_PROXY=p", "SSL_CERT_FILE=c"},
		"full":  {"FULL=" + strings.Repeat("x", big-len("FULL=")-1)},
	}, errs: map[string]error{
		"denied": fault.New(fault.Refused, "ask for a policy", "denied is refused by vault"),
	}}
	dict := &fake{name: "dict", secrets: map[string][]string{"db": {"URL=d1"}, "only": {"ONLY=d2"}}}
	r := &resolver.Resolver{
		Chain:  resolver.Chain{vault, dict},
		Pinned: map[string]resolver.Source{"vault": vault, "dict": dict},
	}
	tests := map[string]struct {
		from, dict string
		names      spec.Names
		want       []string // NAME=value source secret version overrides
		notes      []string
		errs       []string
		hints      []string
		class      fault.Class
	}{
		"the order is the list's": {
			from: "api db",
			want: []string{"TOKEN=v3 vault:api@0", "URL=v1 vault:db@0 over vault:api", "PASSWORD=v2 vault:db@0"},
		},
		"the other order": {
			from: "db api",
			want: []string{"URL=v4 vault:api@0 over vault:db", "PASSWORD=v2 vault:db@0", "TOKEN=v3 vault:api@0"},
		},
		"pinned, and the inline dict last": {
			from: "db api dict:db", dict: `{"URL": "i1", "MORE": "i2"}`,
			want: []string{"URL=i1 annotation:@0 over vault:db, vault:api, dict:db", "PASSWORD=v2 vault:db@0", "TOKEN=v3 vault:api@0", "MORE=i2 annotation:@0"},
		},
		"a miss moves on":   {from: "only", want: []string{"ONLY=d2 dict:only@0"}},
		"a version":         {from: "db@3#URL", want: []string{"URL=v1 vault:db@3"}},
		"selected, renamed": {from: "odd#user-name=USER#user-name=ALSO", want: []string{"USER=v5 vault:odd@0", "ALSO=v5 vault:odd@0"}},
		"optional":          {from: "nope? db#URL#NOPE? dict:nope?", want: []string{"URL=v1 vault:db@0"}},
		"all misses at once": {
			from: "nope db#NOPE#NEIN dict:nada db", errs: []string{
				`secret "nope": no nope in vault; no nope in dict`,
				`secret "db#NOPE#NEIN": it is in vault, but it has no key "NOPE"`,
				`secret "db#NOPE#NEIN": it is in vault, but it has no key "NEIN"`,
				`secret "dict:nada": no nada in dict`,
			},
			hints: []string{"add nope to vault", "add nope to dict", "add nada to dict"}, class: fault.Missing,
		},
		"a refusal is not optional": {
			from: "denied? nope", errs: []string{`secret "denied?": denied is refused by vault`, `secret "nope": no nope in vault; no nope in dict`},
			hints: []string{"ask for a policy", "add nope to vault", "add nope to dict"}, class: fault.Refused,
		},
		"a source that is not configured": {
			from: "dotenv:web?", errs: []string{`secret "dotenv:web?": the source dotenv is not configured`},
			hints: []string{"add a [dotenv] table to the settings"}, class: fault.Settings,
		},
		"variables that may not be": {
			from: "bad odd", errs: []string{
				`secret "bad" in vault: variable LD_PRELOAD is reserved: it changes how a process finds or runs code`,
				`secret "bad" in vault: variable NUL: the value has a NUL byte, which no environment can carry`,
				`secret "bad" in vault: variable BIG: NAME=value is 917509 bytes with its NUL, and the kernel takes at most 131072`,
			},
			notes: []string{
				`secret "bad" in vault: left out, for they are no shell names: "1A"; request them with #KEY=NAME, or set allow_any_name`,
				`secret "odd" in vault: left out, for they are no shell names: "user-name"; request them with #KEY=NAME, or set allow_any_name`,
			},
			hints: []string{
				"give the key another name, or let the operator add it to allow_names", "keep binary values in base64",
			}, class: fault.Annotation,
		},
		"nothing but names that are no shell's": {
			from: "rest", errs: []string{
				`secret "rest" in vault: 1A is not a variable name, which is letters, digits and _`,
				`secret "rest" in vault: user-name is not a variable name, which is letters, digits and _`,
			},
			hints: []string{"a request can rename it: #1A=_1A", "a request can rename it: #user-name=USER_NAME"}, class: fault.Annotation,
		},
		"names that are no shell's, requested": {
			from: "rest#user-name=user-name#1A=1.A", dict: `{"discovery.type": "x"}`,
			want: []string{"user-name=v8 vault:rest@0", "1.A=v9 vault:rest@0", "discovery.type=x annotation:@0"},
		},
		"names that are no shell's, allowed": {
			from: "rest odd", names: spec.Names{Any: true},
			want: []string{"1A=v9 vault:rest@0", "user-name=v5 vault:odd@0 over vault:rest", "OK=v6 vault:odd@0"},
		},
		"many keys left out": {
			from: "many", want: []string{"OK=v vault:many@0"},
			notes: []string{`secret "many" in vault: left out, for they are no shell names: "a.0", "a.1", "a.2", "a.3", "a.4", "a.5", "a.6", "a.7" and 2 more; request them with #KEY=NAME, or set allow_any_name`},
		},
		"whom it trusts, unasked": {
			from: "trust", want: []string{"HTTPS_PROXY=p vault:trust@0", "SSL_CERT_FILE=c vault:trust@0"},
			notes: []string{`secret "trust" in vault: the next release refuses what nobody has requested by name: "HTTPS_PROXY", "SSL_CERT_FILE"; request it with #KEY, or list it in allow_names`},
		},
		"whom it trusts, requested":    {from: "trust#HTTPS_PROXY#HTTPS_PROXY=NO_PROXY", dict: `{"HOME": "/"}`, want: []string{"HTTPS_PROXY=p vault:trust@0", "NO_PROXY=p vault:trust@0", "HOME=/ annotation:@0"}},
		"reserved stays so on request": {from: "db#URL=LD_AUDIT", errs: []string{`secret "db" in vault: variable LD_AUDIT is reserved: it changes how a process finds or runs code`}, hints: []string{"give the key another name, or let the operator add it to allow_names"}, class: fault.Annotation},
		"whom it trusts, allowed":      {from: "trust", names: spec.Names{Allow: []string{"HTTPS_PROXY", "SSL_CERT_FILE"}}, want: []string{"HTTPS_PROXY=p vault:trust@0", "SSL_CERT_FILE=c vault:trust@0"}},
		"the only names":               {from: "db", names: spec.Names{Only: []string{"URL", "PASS*"}}, want: []string{"URL=v1 vault:db@0", "PASSWORD=v2 vault:db@0"}},
		"another than the only names": {
			from: "db api#TOKEN=T", dict: `{"A": "x"}`, names: spec.Names{Only: []string{"PASS*"}}, errs: []string{
				`secret "db" in vault: variable URL is none of those that the operator lets secrets set`,
				`secret "api" in vault: variable T is none of those that the operator lets secrets set`,
				`the annotation's dict: variable A is none of those that the operator lets secrets set`,
			}, hints: []string{"select keys with #KEY, or let the operator add it to only_names"}, class: fault.Annotation,
		},
		"values in the place of keys": {
			from: "swap", errs: []string{
				`secret "swap" in vault: a key of 20 bytes is not a variable name, which is letters, digits and _`,
				`secret "swap" in vault: a key of 73 bytes is not a variable name, which is letters, digits and _`,
			},
			class: fault.Annotation,
		},
		"reserved, from the annotation": {
			dict: `{"PATH": "/x"}`, errs: []string{`the annotation's dict: variable PATH is reserved: it changes how a process finds or runs code`},
			hints: []string{"give the key another name, or let the operator add it to allow_names"}, class: fault.Annotation,
		},
		"reserved and allowed": {from: "bad#LD_PRELOAD", names: spec.Names{Allow: []string{"LD_PRELOAD"}}, want: []string{"LD_PRELOAD=v7 vault:bad@0"}},
		"as long as can be":    {from: "full", want: []string{"FULL=" + strings.Repeat("x", big-len("FULL=")-1) + " vault:full@0"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := *r
			r.Names = tt.names
			record := &resolver.Record{}
			vars, err := r.Resolve(resolver.WithRecord(t.Context(), record), parse(t, tt.from, tt.dict))
			var got []string
			for _, v := range vars {
				line := fmt.Sprintf("%s=%s %s:%s@%d", v.Name, v.Value.Reveal(), v.Source, v.Secret, v.Version)
				if len(v.Overrides) > 0 {
					line += " over " + strings.Join(v.Overrides, ", ")
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("variables (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(tt.notes, record.Notes()); diff != "" {
				t.Errorf("notes (-want +got)\n%s", diff)
			}
			if tt.errs == nil {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(tt.errs, strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("errors (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(tt.hints, fault.Hints(err)); diff != "" {
				t.Errorf("hints (-want +got)\n%s", diff)
			}
			if c, _ := fault.ClassOf(err); c != tt.class {
				t.Errorf("class %v, want %v", c, tt.class)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("the error has a value in it")
			}
		})
	}
}

func TestNoSource(t *testing.T) {
	_, err := (&resolver.Resolver{}).Resolve(t.Context(), parse(t, "db?", ""))
	if c, _ := fault.ClassOf(err); c != fault.Settings {
		t.Errorf("got %v", err)
	}
}

// TestParallel proves that all reads are under way at once: none returns before
// all have begun.
func TestParallel(t *testing.T) {
	const n = 32
	var begun sync.WaitGroup
	begun.Add(n)
	source := &fake{name: "vault", secrets: map[string][]string{}}
	all := make(chan struct{})
	go func() { begun.Wait(); close(all) }()
	source.hold = func() {
		begun.Done()
		select {
		case <-all:
		case <-time.After(10 * time.Second):
			t.Error("the reads wait for each other")
		}
	}
	var from []string
	for i := range n {
		name := fmt.Sprintf("s%d", i)
		from = append(from, name)
		source.secrets[name] = []string{"LAST=" + name, fmt.Sprintf("V%d=x", i)}
	}
	r := &resolver.Resolver{Chain: resolver.Chain{source}}
	vars, err := r.Resolve(t.Context(), parse(t, strings.Join(from, " "), ""))
	if err != nil {
		t.Fatal(err)
	}
	var before []string // the last eight
	for _, name := range from[n-9 : n-1] {
		before = append(before, "vault:"+name)
	}
	if len(vars) != n+1 || vars[0].Value.Reveal() != from[n-1] || !slices.Equal(vars[0].Overrides, before) {
		t.Errorf("the order of answers is not the list's: %d variables, the first is %v", len(vars), vars[0])
	}
	for i, v := range vars[1:] {
		if v.Secret != from[i] {
			t.Errorf("variable %d is of %s", i, v.Secret)
		}
	}
}

// TestDeadline has a source that does not come back, as one whose file is on a
// server that went away.
func TestDeadline(t *testing.T) {
	never := make(chan struct{})
	defer close(never)
	stuck := &fake{name: "stuck", hold: func() { <-never }}
	fine := &fake{name: "fine", secrets: map[string][]string{"db": {"K=v"}}}
	late := &fake{name: "late", errs: map[string]error{"db": fault.New(fault.Unreachable, "", "what it saw last")}}
	for name, tt := range map[string]struct {
		from   string
		end    error
		errs   []string
		stucks int // reads that were begun of the source that does not come back
	}{
		"pinned": {from: "dict:db dotenv:db?", errs: []string{`secret "dict:db": stuck: no answer before the deadline`}, stucks: 1},
		"in the chain": {
			from: "db dotenv:db", errs: []string{`secret "db": stuck: no answer before the deadline`}, stucks: 1,
		},
		"optional":      {from: "dict:db?", errs: []string{`secret "dict:db?": stuck: no answer before the deadline`}, stucks: 1},
		"given up":      {from: "dict:db", end: context.Canceled, errs: []string{`secret "dict:db": stuck: given up before there was an answer`}, stucks: 1},
		"its own words": {from: "vault:db", errs: []string{`secret "vault:db": what it saw last`}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if tt.end != nil {
				cancel()
				ctx, cancel = context.WithCancel(t.Context())
				time.AfterFunc(100*time.Millisecond, cancel)
			}
			stuck.reads = nil
			late.hold = func() { <-ctx.Done() }
			r := &resolver.Resolver{
				Chain:  resolver.Chain{&fake{name: "empty"}, stuck, fine},
				Pinned: map[string]resolver.Source{"dict": stuck, "dotenv": fine, "vault": late},
			}
			begun := time.Now()
			_, err := r.Resolve(ctx, parse(t, tt.from, ""))
			if d := time.Since(begun); d > 5*time.Second {
				t.Errorf("it took %v", d)
			}
			if !errors.Is(err, fault.Unreachable) {
				t.Fatalf("got %v", err)
			}
			if diff := cmp.Diff(tt.errs, strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if stuck.mu.Lock(); len(stuck.reads) != tt.stucks {
				t.Errorf("%d reads were begun", len(stuck.reads))
			}
			stuck.mu.Unlock()
		})
	}
}

// TestManyMissing asks for as much as can be asked for: what is reported is
// bounded, and so are the reads under way, also when none comes back.
func TestManyMissing(t *testing.T) {
	var from strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&from, "s%d ", i)
	}
	asked := parse(t, from.String(), "")
	_, err := (&resolver.Resolver{Chain: resolver.Chain{&fake{name: "dict"}}}).Resolve(t.Context(), asked)
	lines := strings.Split(err.Error(), "\n")
	told := len(lines) - 1
	if told < 200 || !strings.Contains(lines[told-1], fmt.Sprintf(`"s%d"`, told-1)) || lines[told] != fmt.Sprintf("and %d more", 1000-told) {
		t.Errorf("%d lines, the last is %q", len(lines), lines[told])
	}

	never := make(chan struct{})
	defer close(never)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	var goroutines atomic.Int64
	time.AfterFunc(100*time.Millisecond, func() { goroutines.Store(int64(runtime.NumGoroutine())) })
	stuck := &fake{name: "stuck", hold: func() { <-never }}
	begun := time.Now()
	_, err = (&resolver.Resolver{Chain: resolver.Chain{stuck}}).Resolve(ctx, asked)
	if d := time.Since(begun); d > 5*time.Second || !errors.Is(err, fault.Unreachable) {
		t.Errorf("after %v: %v", d, err)
	}
	if stuck.mu.Lock(); len(stuck.reads) != 32 || goroutines.Load() == 0 || goroutines.Load() > 200 {
		t.Errorf("%d reads and %d goroutines", len(stuck.reads), goroutines.Load())
	}
	stuck.mu.Unlock()
}

// TestCheck finds without a source what the settings alone decide.
func TestCheck(t *testing.T) {
	source := &fake{name: "dict"}
	r := &resolver.Resolver{Pinned: map[string]resolver.Source{"dict": source}, Names: spec.Names{Allow: []string{"PATH"}}}
	err := r.Check(parse(t, "dict:db#P=LD_PRELOAD#PATH#OK dict:db#IFS? vault:x", `{"PATH": "/x", "ENV": "x", "A": "x"}`))
	want := []string{
		`secret "dict:db#P=LD_PRELOAD#PATH#OK": variable LD_PRELOAD is reserved: it changes how a process finds or runs code`,
		`secret "dict:db#IFS?": variable IFS is reserved: it changes how a process finds or runs code`,
		`secret "vault:x": the source vault is not configured`,
		`the annotation's dict: variable ENV is reserved: it changes how a process finds or runs code`,
	}
	if err == nil {
		t.Fatal("no error")
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if err := r.Check(parse(t, "dict:db#P=Q dict:all", "")); err != nil || len(source.reads) > 0 {
		t.Errorf("got %v, %d reads", err, len(source.reads))
	}
}

// TestReadOnce counts reads: one for each scheme, name and version.
func TestReadOnce(t *testing.T) {
	vault := &fake{name: "vault", secrets: map[string][]string{"db": {"A=1", "B=2"}}}
	r := &resolver.Resolver{Chain: resolver.Chain{vault}, Pinned: map[string]resolver.Source{"vault": vault}}
	vars, err := r.Resolve(t.Context(), parse(t, "db#A db#B db db? vault:db db@1 db@1#A gone? gone?", ""))
	if err != nil || len(vars) != 2 {
		t.Fatalf("got %v, %v", vars, err)
	}
	reads := map[string]int{}
	for _, read := range vault.reads {
		reads[read]++
	}
	// db@0 is asked for by the chain and by the pinned request.
	if diff := cmp.Diff(map[string]int{"db@0": 2, "db@1": 1, "gone@0": 1}, reads); diff != "" {
		t.Errorf("reads (-want +got)\n%s", diff)
	}
}

func TestEnv(t *testing.T) {
	got := resolver.Env([]resolver.Variable{{Name: "A", Value: resolver.NewValue("x=y")}, {Name: "B"}})
	if diff := cmp.Diff([]string{"A=x=y", "B="}, got); diff != "" {
		t.Error(diff)
	}
}

// TestReserved has names that are looked up in one place only, whatever else
// there is, and sources that see nothing of it.
func TestReserved(t *testing.T) {
	own := &fake{name: "own", secrets: map[string][]string{"x.a": {"K=own"}}}
	other := &fake{name: "other", secrets: map[string][]string{"x.a": {"K=other"}, "x.b": {"K=other"}, "x": {"L=other"}}}
	r := &resolver.Resolver{
		Chain: resolver.Chain{other}, Pinned: map[string]resolver.Source{"dict": other}, Reserved: map[string]resolver.Source{"x.": own},
	}
	for from, want := range map[string]string{"x.a": "K=own", "dict:x.a": "K=other", "x": "L=other", "x.b?": ""} {
		vars, err := r.Resolve(t.Context(), parse(t, from, ""))
		if got := strings.Join(resolver.Env(vars), " "); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", from, got, err, want)
		}
	}
	if _, err := r.Resolve(t.Context(), parse(t, "x.b", "")); !errors.Is(err, resolver.ErrMiss) {
		t.Errorf("a miss is %v", err)
	}
	slices.Sort(other.reads)
	if diff := cmp.Diff([]string{"x.a@0", "x@0"}, other.reads); diff != "" {
		t.Errorf("the other source is asked for\n%s", diff)
	}
}

// TestTooMuch stops at what no process can have, before much is made of it, and at
// sources that answer more than a start needs.
func TestTooMuch(t *testing.T) {
	const value = 130_000
	source := &fake{name: "dict", secrets: map[string][]string{
		"big": {"B=" + strings.Repeat("v", value)}, "bad": {"LD_PRELOAD=x"},
	}}
	r := &resolver.Resolver{Chain: resolver.Chain{source}}
	renames := func(n int) string {
		var b strings.Builder
		b.WriteString("big")
		for i := range n {
			fmt.Fprintf(&b, "#B=V%d", i)
		}
		return b.String()
	}
	fit := limit.Variables / limit.Variable("V10", strings.Repeat("v", value))
	for name, tt := range map[string]struct{ from, err string }{
		"as many as fit":       {from: renames(fit)},
		"one more":             {renames(fit + 1), "the variables are more than 6291456 bytes together, and no process can have more"},
		"a thousand":           {renames(1000), "the variables are more than 6291456 bytes together, and no process can have more"},
		"a thousand items":     {strings.Repeat("big ", 1000), ""},
		"and what is wrong":    {"bad " + renames(1000), "the variables are more than 6291456 bytes together, and no process can have more"},
		"what is wrong, small": {"bad big", `secret "bad" in dict: variable LD_PRELOAD is reserved: it changes how a process finds or runs code`},
	} {
		vars, err := r.Resolve(t.Context(), parse(t, tt.from, ""))
		if tt.err == "" && err != nil || tt.err != "" && (err == nil || err.Error() != tt.err || !errors.Is(err, fault.Annotation)) {
			t.Errorf("%s: %v", name, err)
		}
		if n := len(resolver.Env(vars)); n > fit {
			t.Errorf("%s: %d variables", name, n)
		}
	}

	if err := resolver.Spend(t.Context(), limit.Answers+1); err != nil {
		t.Errorf("outside of a start: %v", err)
	}
	var reads atomic.Int64
	r.Chain = resolver.Chain{spender{func(ctx context.Context) error {
		reads.Add(1)
		return resolver.Spend(ctx, limit.Answers/4)
	}}}
	var from strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&from, "n%d ", i)
	}
	_, err := r.Resolve(t.Context(), parse(t, from.String(), ""))
	if err == nil || err.Error() != "what the sources answer is more than 16777216 bytes together" || !errors.Is(err, fault.Annotation) {
		t.Errorf("got %v", err)
	}
	if n := reads.Load(); n > 100 { // those that were under way
		t.Errorf("%d reads", n)
	}
	if _, err := r.Resolve(t.Context(), parse(t, "n1 n2 n3 n4", "")); err != nil {
		t.Errorf("another start: %v", err)
	}
}

// spender is a source that reads what it is told to.
type spender struct{ spend func(context.Context) error }

func (spender) Name() string { return "spender" }

func (s spender) Get(ctx context.Context, _ string, _ int) (*resolver.Secret, error) {
	if err := s.spend(ctx); err != nil {
		return nil, err
	}
	return &resolver.Secret{Source: "spender"}, nil
}
