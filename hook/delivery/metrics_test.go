// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/spec"
)

func TestCounters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "oci-secrets.prom")
	ctx, d := Begin(t.Context(), Hook, "c", spec.Asked{})
	resolver.RecordOf(ctx).Count("vault_requests")
	resolver.RecordOf(ctx).Count("vault_requests")
	resolver.RecordOf(ctx).Count("stale_answers")
	for _, outcome := range []string{"ok", "ok", "sealed"} {
		if err := add(path, d.counters(outcome, 250*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const want = `# HELP oci_secrets_deliveries_total Starts of containers that ask for secrets.
# TYPE oci_secrets_deliveries_total counter
oci_secrets_deliveries_total{way="hook",outcome="ok"} 2
oci_secrets_deliveries_total{way="hook",outcome="sealed"} 1
# HELP oci_secrets_delivery_seconds How long they took.
# TYPE oci_secrets_delivery_seconds summary
oci_secrets_delivery_seconds_count{way="hook"} 3
oci_secrets_delivery_seconds_sum{way="hook"} 0.75
# HELP oci_secrets_vault_requests_total Requests that were sent to Vault.
# TYPE oci_secrets_vault_requests_total counter
oci_secrets_vault_requests_total 6
# HELP oci_secrets_vault_logins_total Logins at Vault that were tried.
# TYPE oci_secrets_vault_logins_total counter
oci_secrets_vault_logins_total 0
# HELP oci_secrets_vault_renewals_total Renewals of tokens and leases.
# TYPE oci_secrets_vault_renewals_total counter
oci_secrets_vault_renewals_total 0
# HELP oci_secrets_vault_retries_total Requests that were sent again.
# TYPE oci_secrets_vault_retries_total counter
oci_secrets_vault_retries_total 0
# HELP oci_secrets_vault_failovers_total Changes to another server of the cluster.
# TYPE oci_secrets_vault_failovers_total counter
oci_secrets_vault_failovers_total 0
# HELP oci_secrets_stale_answers_total Answers from before that were used while Vault was not there.
# TYPE oci_secrets_stale_answers_total counter
oci_secrets_stale_answers_total 3
# HELP oci_secrets_leases_total Leases that were taken for containers.
# TYPE oci_secrets_leases_total counter
oci_secrets_leases_total 0
`
	if diff := cmp.Diff(want, string(b)); diff != "" {
		t.Error(diff)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	names, _ := filepath.Glob(filepath.Dir(path) + "/*.prom")
	if len(names) != 1 {
		t.Errorf("the collector sees %q", names)
	}
}

// TestOfAnotherVersion carries on what this one does not know.
func TestOfAnotherVersion(t *testing.T) {
	c, ok := parseCounters("# HELP oci_secrets_new_total x\noci_secrets_new_total{a=\"b\"} 7\n")
	if !ok || !strings.Contains(c.text(), "\noci_secrets_new_total{a=\"b\"} 7\n") {
		t.Errorf("got %v, %v", c, ok)
	}
}

// TestNotOurs has files that are left as they are.
func TestNotOurs(t *testing.T) {
	whole := counters{`oci_secrets_deliveries_total{way="hook",outcome="ok"}`: 3}.text()
	for name, text := range map[string]string{
		"another program's": "# HELP node_x y\nnode_x 1\n",
		"a comment":         "# mine\n" + whole,
		"cut off":           whole[:len(whole)-2],
		"not a number":      "oci_secrets_leases_total x\n",
		"less than nothing": "oci_secrets_leases_total -1\n",
		"no end":            "oci_secrets_leases_total +Inf\n",
		"twice":             "oci_secrets_leases_total 1\noci_secrets_leases_total 1\n",
		"a name":            "oci_secrets_Leases 1\n",
		"a broken label":    "oci_secrets_leases_total{a 1\n",
		"an empty line":     whole + "\n",
		"settings":          "[vault]\naddress = \"x\"\n",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "m.prom")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			err := add(path, counters{"oci_secrets_leases_total": 1})
			if err == nil || !strings.Contains(err.Error(), "left as it is") {
				t.Errorf("got %v", err)
			}
			if b, err := os.ReadFile(path); string(b) != text {
				t.Errorf("it is now %q, %v", b, err)
			}
		})
	}
}

// TestLinks has a directory of somebody who wants another file written.
func TestLinks(t *testing.T) {
	for name, link := range map[string]func(string, string) error{"hard": os.Link, "symbolic": os.Symlink} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path, other := filepath.Join(dir, "m.prom"), filepath.Join(dir, "other")
			if err := os.WriteFile(other, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := link(other, beside(path, ".new")); err != nil {
				t.Fatal(err)
			}
			if err := add(path, counters{"oci_secrets_leases_total": 1}); err != nil {
				t.Error(err)
			}
			if c, err := readCounters(path); err != nil || c["oci_secrets_leases_total"] != 1 {
				t.Errorf("got %v, %v", c, err)
			}
			b, err := os.ReadFile(other)
			if err != nil || string(b) != "x" {
				t.Errorf("the other file has %q, %v", b, err)
			}
			if info, err := os.Stat(other); err != nil || info.Mode() != 0o600 {
				t.Errorf("the other file is %v, %v", info, err)
			}
		})
	}
}

// TestLockHeld has somebody who counts and does not come to an end.
func TestLockHeld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.prom")
	unlock, err := lock(beside(path, ".lock"))
	if err != nil {
		t.Fatal(err)
	}
	more := counters{"oci_secrets_leases_total": 1}
	begun := time.Now()
	if err := add(path, more); err == nil || !strings.Contains(err.Error(), "is held by others") {
		t.Errorf("got %v", err)
	}
	if d := time.Since(begun); d < lockPatience || d > 10*lockPatience {
		t.Errorf("waited %v", d)
	}
	unlock()
	if err := add(path, more); err != nil { // who gave up holds nothing
		t.Error(err)
	}
}

// TestParallel has many starts that count at once. On a busy machine one may wait
// for too long, and has then counted nothing.
func TestParallel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.prom")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 10 {
				more := counters{"oci_secrets_leases_total": 1, fmt.Sprintf(`oci_secrets_x{a="%d"}`, i): 1}
				err := add(path, more)
				for err != nil && strings.Contains(err.Error(), "is held by others") {
					err = add(path, more)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	c, err := readCounters(path)
	if err != nil || c["oci_secrets_leases_total"] != 80 || c[`oci_secrets_x{a="9"}`] != 8 {
		t.Errorf("got %v, %v", c, err)
	}
}

func BenchmarkEnd(b *testing.B) {
	dir := b.TempDir()
	_, d := Begin(b.Context(), Hook, "c", spec.Asked{})
	d.Resolved([]resolver.Variable{{Name: "A", Source: "dict", Secret: "db"}})
	b.Run("syslog", func(b *testing.B) {
		for b.Loop() {
			d.End(nil)
		}
	})
	d.log.File = filepath.Join(dir, "log")
	b.Run("and file", func(b *testing.B) {
		for b.Loop() {
			d.End(nil)
		}
	})
	d.log.Metrics = filepath.Join(dir, "m.prom")
	b.Run("and metrics", func(b *testing.B) {
		for b.Loop() {
			d.End(nil)
		}
	})
}

// TestDirectoryOfOthers has a directory on the way to the files that is another
// user's link; and a second name of a file for the log.
func TestDirectoryOfOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("gives files away: run it as root")
	}
	theirs, target := t.TempDir(), t.TempDir()
	other := filepath.Join(target, "other")
	if err := errors.Join(os.WriteFile(other, []byte("x"), 0o600), os.Chown(theirs, 12345, 12345),
		os.Symlink(target, filepath.Join(theirs, "logs")), os.Link(other, filepath.Join(theirs, "log"))); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"log":     appendLine(filepath.Join(theirs, "logs", "log"), "x\n"),
		"metrics": add(filepath.Join(theirs, "logs", "m.prom"), counters{"oci_secrets_leases_total": 1}),
		"a name":  appendLine(filepath.Join(theirs, "log"), "x\n"),
	} {
		if err == nil {
			t.Errorf("%s: written", name)
		}
	}
	if left, err := os.ReadDir(target); len(left) != 1 || err != nil {
		t.Errorf("where the link leads there is %v, %v", left, err)
	}
	if b, err := os.ReadFile(other); string(b) != "x" || err != nil {
		t.Errorf("the other file has %q, %v", b, err)
	}
	if err := add(filepath.Join(theirs, "m.prom"), counters{"oci_secrets_leases_total": 1}); err != nil {
		t.Errorf("in their directory: %v", err)
	}
}
