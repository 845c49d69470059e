// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/test/rig"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// told is a delivery's line, as far as it is always the same.
type told struct {
	Container, Way, Outcome string
	Asked                   []string
	Secrets                 []map[string]any
	Notes                   []string
	Counts                  map[string]int
	MS                      map[string]float64
	Error                   string
}

// onlyDelivery gives the one delivery that was told since the last call, and
// wants the log's file to end with it.
func onlyDelivery(t *testing.T, log *rig.Log, file string) told {
	t.Helper()
	lines := log.Deliveries()
	if len(lines) != 1 {
		t.Fatalf("told: %q", lines)
	}
	_, text, _ := strings.Cut(lines[0], "]: ")
	if all := rig.ReadFile(t, file); !strings.HasSuffix(all, "\n"+text+"\n") && all != text+"\n" {
		t.Errorf("the file has %q, and not %s", all, text)
	}
	var d told
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	t.Log(text)
	return d
}

// counter is a sample in the file of the counters.
func counter(t *testing.T, file, name string) string {
	t.Helper()
	for line := range strings.Lines(rig.ReadFile(t, file)) {
		if key, value, _ := strings.Cut(strings.TrimSpace(line), " "); key == name {
			return value
		}
	}
	return ""
}

// logging gives the bundle's settings files for what is told.
func logging(t *testing.T, b *rig.Bundle) (log, metrics string) {
	t.Helper()
	dir := t.TempDir()
	log, metrics = filepath.Join(dir, "log"), filepath.Join(dir, "oci-secrets.prom")
	b.AddSettings(t, fmt.Sprintf("[log]\nfile = %q\nmetrics = %q\n", log, metrics))
	return log, metrics
}

// TestTold has starts with secrets of a Vault, that go well and that do not, and
// one while Vault is not there.
func TestTold(t *testing.T) {
	t.Parallel()
	r := rig.NewRuntime(t, rig.Runc)
	v := vaulttest.Start(t, vaulttest.Options{})
	v.Mount(t, "secret", 2)
	value := rig.Canary()
	v.Put(t, 2, "secret", "db", map[string]any{"SECRET": "old"})
	v.Put(t, 2, "secret", "db", map[string]any{"SECRET": value, "OTHER": value})
	log := r.Log(t)
	b, report := marking(t, "createRuntime", value, "mark")
	b.StateDir(t)
	b.AddSettings(t, "deadline = \"2s\"\n")
	b.AddSettings(t, fmt.Sprintf("[vault]\naddress = %q\nca_cert = %q\n[vault.auth]\nmethod = \"token\"\ntoken = %q\n", v.Address, v.CAFile, v.RootToken))
	answers := filepath.Join(t.TempDir(), "lib", "answers")
	b.AddSettings(t, fmt.Sprintf("[vault.outage]\nmode = \"last-known-good\"\ndirectory = %q\n", answers))
	file, metrics := logging(t, b)
	var seen []string
	start := func(asks string, code int) told {
		t.Helper()
		b.Annotate(from, asks)
		b.Write(t)
		res := r.Run(t, b)
		if (res.Code != 0) != (code != 0) {
			t.Fatalf("exit code %d\n%s", res.Code, res.Stderr)
		}
		_, ran := rig.ReadReport(t, report)
		if ran != (code == 0) {
			t.Errorf("the program ran: %v", ran)
		}
		_ = os.Remove(report) // it may not have run
		d := onlyDelivery(t, log, file)
		if d.Container != b.ID || d.Way != "hook" || d.Asked[0] != strings.Fields(asks)[0] || d.MS["total"] <= 0 || d.MS["settings"] <= 0 {
			t.Errorf("told: %+v", d)
		}
		seen = append(seen, fmt.Sprint(d))
		return d
	}

	d := start("vault:db", 0)
	want := []map[string]any{{"source": "vault", "name": "db", "version": 2., "keys": []any{"OTHER", "SECRET"}}}
	if diff := cmp.Diff(want, d.Secrets); diff != "" || d.Outcome != "ok" || d.Error != "" || d.Notes != nil {
		t.Errorf("told: %+v\n%s", d, diff)
	}
	phases := slices.Sorted(maps.Keys(d.MS))
	for _, p := range []string{"deliver", "login", "read"} {
		if !slices.Contains(phases, p) {
			t.Errorf("no phase %s: %v", p, phases)
		}
	}

	d = start("vault:nowhere", 1)
	if d.Outcome != "not-found" || d.Secrets != nil || !strings.Contains(d.Error, `secret "vault:nowhere"`) {
		t.Errorf("told: %+v", d)
	}
	if lines := log.Lines(); len(lines) != 1 || !strings.Contains(lines[0], "container refused") {
		t.Errorf("logged: %q", lines)
	}

	v.Stop()
	d = start("vault:db", 0)
	if len(d.Secrets) != 1 || d.Outcome != "ok" || d.Counts["stale_answers"] != 1 || !strings.Contains(strings.Join(d.Notes, ""), "the answer for db is ") {
		t.Errorf("told: %+v", d)
	} else if age, _ := d.Secrets[0]["age_seconds"].(float64); age <= 0 {
		t.Errorf("told: %+v", d)
	}
	d = start("vault:db#OTHER vault:never", 1)
	if d.Outcome != "source-unreachable" || !strings.Contains(d.Error, "no answer from before can be used") {
		t.Errorf("told: %+v", d)
	}

	for name, n := range map[string]string{
		`oci_secrets_deliveries_total{way="hook",outcome="ok"}`:                 "2",
		`oci_secrets_deliveries_total{way="hook",outcome="not-found"}`:          "1",
		`oci_secrets_deliveries_total{way="hook",outcome="source-unreachable"}`: "1",
		`oci_secrets_delivery_seconds_count{way="hook"}`:                        "4",
		"oci_secrets_stale_answers_total":                                       "2",
	} {
		if got := counter(t, metrics, name); got != n {
			t.Errorf("%s is %q, want %s\n%s", name, got, n, rig.ReadFile(t, metrics))
		}
	}
	if strings.Contains(strings.Join(append(seen, log.Lines()...), ""), value) {
		t.Error("the value was told")
	}
	for _, f := range rig.Find(t, value, filepath.Dir(file), answers) {
		t.Errorf("the value is in %s", f)
	}
}

// TestToldByTheShim has the ways of the runtime shim, and an exec that has to ask
// again.
func TestToldByTheShim(t *testing.T) {
	t.Parallel()
	for name, table := range map[string]string{"hook": "", "shim-spec": "[runtime.delivery]\nrunc = \"spec\"\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rig.NewRuntime(t, rig.Runc)
			log := r.Log(t)
			value := rig.Canary()
			b, report := marking(t, "", value, "wait")
			state := b.StateDir(t)
			file, _ := logging(t, b)
			shim := r.Shim(t, b)
			b.AddSettings(t, table+"\n")
			pid := shim.Create(t, b)
			if d := onlyDelivery(t, log, file); d.Way != name || d.Container != b.ID || d.Outcome != "ok" || len(d.Secrets) != 1 || d.MS["deliver"] <= 0 {
				t.Errorf("told: %+v", d)
			}
			shim.Start(t, b)
			rig.AwaitReport(t, report)

			exec := shim.Argv("exec", b.ID, rig.PayloadPath, "report")
			if name == "shim-spec" { // where the process file is an engine's, or the runtime has them by itself
				process := filepath.Join(t.TempDir(), "process.json")
				rig.WriteFile(t, process, `{"args": ["`+rig.PayloadPath+`", "report"], "cwd": "/", "user": {"uid": 0, "gid": 0}}`, 0o600)
				exec = shim.Argv("exec", "--process", process, b.ID)
			}
			has(t, rig.ParseReport(t, rig.MustRun(t, exec...).Stdout).Env, "SECRET", value)
			if lines := log.Deliveries(); lines != nil {
				t.Errorf("an exec that asked nobody: %q", lines)
			}
			if err := os.RemoveAll(filepath.Join(state, "exec")); err != nil {
				t.Fatal(err)
			}
			has(t, rig.ParseReport(t, rig.MustRun(t, exec...).Stdout).Env, "SECRET", value)
			if d := onlyDelivery(t, log, file); d.Way != "exec" || d.Container != b.ID || d.Outcome != "ok" || len(d.Secrets) != 1 {
				t.Errorf("told: %+v", d)
			}
			b.WriteSettings(t, "secrets.json", "{}")
			if res := rig.Run(t, exec...); res.Code == 0 {
				t.Error("exec without its secret")
			}
			if d := onlyDelivery(t, log, file); d.Way != "exec" || d.Outcome != "not-found" {
				t.Errorf("told: %+v", d)
			}
			if strings.Contains(rig.ReadFile(t, file), value) {
				t.Error("the value was told")
			}
			rig.MustRun(t, shim.Argv("kill", b.ID, "KILL")...)
			rig.AwaitEnd(t, "the container", pid)
			shim.Delete(t, b)
		})
	}
}

// TestToldNowhere has places that cannot be written, or are not ours to write: the
// container starts, and the system log says so.
func TestToldNowhere(t *testing.T) {
	t.Parallel()
	r := rig.NewRuntime(t, rig.Runc)
	log := r.Log(t)
	b := bundle(t, "createRuntime", "x")
	file := filepath.Join(t.TempDir(), "theirs")
	rig.WriteFile(t, file, "# theirs\n", 0o600)
	b.AddSettings(t, fmt.Sprintf("[log]\nfile = %q\nmetrics = %q\n", filepath.Dir(file), file))
	if res := r.Run(t, b); res.Code != 0 {
		t.Errorf("exit code %d\n%s", res.Code, res.Stderr)
	}
	lines := log.Lines()
	if len(lines) != 2 || !strings.Contains(lines[0], "hook of container "+b.ID+" is not in the log's file: ") ||
		!strings.Contains(lines[1], "hook of container "+b.ID+" is not counted: "+file+" is not, or not wholly, what oci-secrets writes") {
		t.Errorf("logged: %q", lines)
	}
	if text := rig.ReadFile(t, file); text != "# theirs\n" {
		t.Errorf("it is now %q", text)
	}
	if n := len(log.Deliveries()); n != 1 {
		t.Errorf("%d deliveries", n)
	}
}

// TestToldAtOnce has many starts that are counted at once.
func TestToldAtOnce(t *testing.T) {
	t.Parallel()
	r := rig.NewRuntime(t, rig.Runc)
	metrics := filepath.Join(t.TempDir(), "oci-secrets.prom")
	var wg sync.WaitGroup
	const n = 12
	for range n {
		b := bundle(t, "createRuntime", "x")
		b.AddSettings(t, fmt.Sprintf("[log]\nfile = %q\nmetrics = %q\n", metrics+".log", metrics))
		wg.Go(func() {
			if res := r.Run(t, b); res.Code != 0 {
				t.Errorf("exit code %d\n%s", res.Code, res.Stderr)
			}
		})
	}
	wg.Wait()
	file := rig.ReadFile(t, metrics+".log")
	if lines := strings.Count(file, "\n"); lines != n || strings.Count(file, "{\"time\"") != n {
		t.Errorf("%d lines\n%s", lines, file)
	}
	if got := counter(t, metrics, `oci_secrets_deliveries_total{way="hook",outcome="ok"}`); got != fmt.Sprint(n) {
		t.Errorf("counted %s\n%s", got, rig.ReadFile(t, metrics))
	}
}
