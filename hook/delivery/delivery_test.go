// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/config"
	"github.com/oci-secrets/oci-secrets/spec"
	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/spec/limit"
)

// canary is the value of every variable.
const canary = "canary-91c3"

// asked is what the annotations of a container ask for.
func asked(t *testing.T, from string) spec.Asked {
	t.Helper()
	a, err := spec.Parse(map[string]string{"secrets.oci/from": from, "secrets.oci/dict": `{"MODE": "` + canary + `"}`})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func variable(name, source, secret string, version int) resolver.Variable {
	return resolver.Variable{Name: name, Value: resolver.NewValue(canary), Source: source, Secret: secret, Version: version}
}

func TestLine(t *testing.T) {
	ctx, d := Begin(t.Context(), Hook, "c1", asked(t, "vault:db#A vault:db#B=C dict:web vault:pg"))
	d.begun = time.Date(2030, 1, 2, 3, 4, 5, 6789e3, time.FixedZone("", 3600))
	r := resolver.RecordOf(ctx)
	r.Phase("login")()
	r.Count("vault_requests")
	r.Count("vault_requests")
	r.Note("went to <b>")
	leased, old := variable("PG", "vault", "pg", 0), variable("OLD", "vault", "old", 0)
	leased.Lease, old.Age = "database/creds/web/Xy", 12*time.Minute
	d.Resolved([]resolver.Variable{
		variable("A", "vault", "db", 3), variable("W", "dict", "web", 0), variable("C", "vault", "db", 3), leased, old,
		variable("MODE", resolver.Inline, "", 0),
	})
	const want = `{"time":"2030-01-02T02:04:05.006Z","container":"c1","way":"hook","outcome":"ok",` +
		`"asked":["vault:db#A","vault:db#B=C","dict:web","vault:pg"],"secrets":[` +
		`{"source":"vault","name":"db","version":3,"keys":["A","C"]},{"source":"dict","name":"web","keys":["W"]},` +
		`{"source":"vault","name":"pg","keys":["PG"],"leases":["database/creds/web/Xy"]},` +
		`{"source":"vault","name":"old","keys":["OLD"],"age_seconds":720},{"source":"annotation","keys":["MODE"]}],` +
		`"notes":["went to <b>"],"counts":{"vault_requests":2},"ms":{"login":LOGIN,"total":12.345}}`
	l := d.line(nil, 12345*time.Microsecond)
	login, _ := json.Marshal(l.Milliseconds["login"])
	if diff := cmp.Diff(strings.Replace(want, "LOGIN", string(login), 1), l.text()); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(l.text(), canary) {
		t.Error("the value is in it")
	}
}

// TestLineOfFailure has an error of several lines with what no line may have.
func TestLineOfFailure(t *testing.T) {
	_, d := Begin(t.Context(), Precreate, "", spec.Asked{})
	err := errors.Join(
		fault.New(fault.Missing, "look elsewhere", "nothing at a\x1b[2J"),
		fault.New(fault.Unreachable, "", "it is sealed").Because(fault.Sealed), os.ErrPermission)
	var got struct{ Way, Outcome, Error string }
	text := d.line(err, 0).text()
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	got2 := got
	if got2.Way, got2.Outcome, got2.Error = "precreate", "sealed", `nothing at a\u001b[2J; it is sealed; access denied`; got != got2 {
		t.Errorf("got %+v", got)
	}
	if strings.Contains(text, "container") || strings.Contains(text, "\n") {
		t.Errorf("got %s", text)
	}
}

// tell ends a delivery that logs to the given files.
func tell(t *testing.T, log config.Log, err error) {
	t.Helper()
	_, d := Begin(t.Context(), Hook, "c1", spec.Asked{})
	d.Configure(log)
	d.End(err)
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	tell(t, config.Log{File: log}, nil)
	tell(t, config.Log{File: log}, fault.New(fault.Missing, "", "no db"))
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(b), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], `"outcome":"ok"`) || !strings.Contains(lines[1], `"outcome":"not-found"`) || lines[2] != "" {
		t.Errorf("got %q", lines)
	}
	if info, err := os.Stat(log); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}

	// What cannot be written is no reason to fail, or to wait.
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	// A directory that belongs to another user may have links to what is not theirs.
	there, absent := filepath.Join(dir, "there"), filepath.Join(dir, "absent")
	links := []string{there + ".link", absent + ".link"}
	if err := errors.Join(os.WriteFile(there, nil, 0o600), os.Symlink(there, links[0]), os.Symlink(absent, links[1])); err != nil {
		t.Fatal(err)
	}
	for _, path := range append(links, pipe, dir, filepath.Join(dir, "none", "log"), "/dev/full") {
		if err := appendLine(path, "x\n"); err == nil {
			t.Errorf("written to %s", path)
		}
		begun := time.Now()
		tell(t, config.Log{File: path, Metrics: path}, nil)
		if d := time.Since(begun); d > patience {
			t.Errorf("%s: took %v", path, d)
		}
	}
	if b, err := os.ReadFile(there); len(b) != 0 || err != nil {
		t.Errorf("written through a link: %q, %v", b, err)
	}
	if _, err := os.Lstat(absent); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("made through a link: %v", err)
	}
}

// TestFit has lines that are too long for a log: what is left is JSON, and says
// what came of the start.
func TestFit(t *testing.T) {
	var list strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&list, "n%d%s#KEY ", i, strings.Repeat("x", 60))
	}
	_, d := Begin(t.Context(), Hook, "c1", asked(t, list.String()))
	for i := range 1000 {
		d.vars = append(d.vars, variable("KEY", "vault", strings.Repeat("x", 60)+fmt.Sprint(i), 0))
		d.record.Note("%s", strings.Repeat("y", 60)+fmt.Sprint(i))
	}
	log := filepath.Join(t.TempDir(), "log")
	for name, tt := range map[string]struct {
		err     error
		most    int
		secrets int
		cut     bool
	}{
		"it failed":    {errors.New(strings.Repeat("z", 1<<20)), limit.ErrorText, 100, true},
		"it went well": {nil, limit.Output, 1000, false},
	} {
		d.Configure(config.Log{File: log})
		d.End(tt.err)
		b, err := os.ReadFile(log)
		if err := errors.Join(err, os.Remove(log)); err != nil {
			t.Fatal(err)
		}
		var got line
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(b) > tt.most || got.Outcome == "" || got.Cut != tt.cut || len(got.Secrets) > tt.secrets || !tt.cut && len(got.Secrets) != tt.secrets {
			t.Errorf("%s: %d bytes, %d secrets, cut %v", name, len(b), len(got.Secrets), got.Cut)
		}
	}
}

// TestNobodyIsTold has what happens to a start that is only explained.
func TestNobodyIsTold(*testing.T) {
	var d *Delivery
	d.Configure(config.Log{File: "/dev/null"})
	d.Resolved(nil)
}
