// SPDX-License-Identifier: Apache-2.0

package start

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/config"
	"github.com/oci-secrets/oci-secrets/spec"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// settings writes a settings file and gives its path.
func settings(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestDeadline holds the deadline to begin before the settings are read, and
// with the settings' own length.
func TestDeadline(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"[dict]": config.DefaultDeadline, "deadline = \"3s\"\n[dict]": 3 * time.Second,
	} {
		s := &Start{Config: settings(t, text)}
		begun := time.Now()
		_, deadline, err := s.open(t.Context(), resolver.Container{})
		if err != nil {
			t.Fatal(err)
		}
		if d := deadline.Sub(begun) - want; d < 0 || d > time.Since(begun) {
			t.Errorf("%q: the deadline is %v too late", text, d)
		}
	}
}

// TestSettingsThatDoNotCome has a start that is over before there are settings.
func TestSettingsThatDoNotCome(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := (&Start{Config: settings(t, "[dict]")}).Resolve(ctx, resolver.Container{}, spec.Asked{})
	if !errors.Is(err, fault.Unreachable) || err.Error() != "settings: given up before there was an answer" {
		t.Errorf("got %v", err)
	}
}

// TestWarningsAreNoted holds what the settings warn of to be in the record of a
// start: of one that goes on, and of one that is refused before it needs them.
func TestWarningsAreNoted(t *testing.T) {
	s := &Start{Config: settings(t, "[vault]\naddress = \"http://127.0.0.1:1\"\n")}
	for name, start := range map[string]func(context.Context) error{
		"resolved": func(ctx context.Context) error {
			_, err := s.Resolve(ctx, resolver.Container{}, spec.Asked{})
			return err
		},
		"refused": func(ctx context.Context) error { return s.refuse(ctx, ErrVault) },
	} {
		record := &resolver.Record{}
		if err := start(resolver.WithRecord(t.Context(), record)); !errors.Is(err, ErrVault) {
			t.Errorf("%s: %v", name, err)
		}
		if notes := record.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "insecure_loopback = true") {
			t.Errorf("%s: the notes are %q", name, notes)
		}
	}
}

// TestParseState has what runtimes add, and do otherwise.
func TestParseState(t *testing.T) {
	st, annotations, err := parseState([]byte(`{"ociVersion": 2, "id": "c", "pid": 7, "status": "creating", "bundle": "/b",
		"owner": [1e999], "annotations": {"secrets.oci/from": "db", "n": 5, "o": {}, "z": null}}`))
	if err != nil {
		t.Fatal(err)
	}
	if st.ID != "c" || st.Pid != 7 || st.Status != "creating" || st.Bundle != "/b" || annotations["secrets.oci/from"] != "db" {
		t.Errorf("got %+v, %v", st, annotations)
	}
	for _, state := range []string{`{"id": 5}`, `{"pid": "7"}`, `{"status": null, "bundle": {}}`, `{"annotations": {"secrets.oci/from": 5}}`} {
		if _, _, err := parseState([]byte(state)); !errors.Is(err, fault.Document) {
			t.Errorf("%s: %v", state, err)
		}
	}
}

// TestNoPlaceToKeep has a state directory that cannot be made. That is told where
// something would be kept.
func TestNoPlaceToKeep(t *testing.T) {
	for name, tt := range map[string]struct {
		keep, more string
		noted      bool
	}{
		"exec":         {"/nowhere/oci-secrets", "[dict]", true},
		"a Vault":      {"", "[vault]\naddress = \"https://vault.example\"\n[vault.auth]\nmethod = \"token\"\ntoken = \"t\"", true},
		"nothing kept": {"", "[dict]", false},
	} {
		t.Run(name, func(t *testing.T) {
			record := &resolver.Record{}
			s := &Start{Config: settings(t, "state_dir = \"/nowhere/oci-secrets\"\n"+tt.more), Keep: tt.keep}
			if _, _, err := s.open(resolver.WithRecord(t.Context(), record), resolver.Container{}); err != nil && !errors.Is(err, ErrVault) {
				t.Fatal(err)
			}
			if notes := record.Notes(); (len(notes) == 1 && strings.HasPrefix(notes[0], "nothing is kept between starts")) != tt.noted {
				t.Errorf("notes %q", notes)
			}
		})
	}
}
