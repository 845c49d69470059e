// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

func TestRuntimePath(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "",
		"[runtime]\npath = \"/usr/bin/crun\"": "/usr/bin/crun",
		"chain = []\n[runtime] # the shim\nexec = \"on\"\n  path='/a b' # here\n[dict]\npath = \"/secrets\"": "/a b",
		"[dict]\npath = \"/secrets\"\n":                           "",
		"[dict]\npath = \"/secrets\"\n[ runtime ]\npath = \"/r\"": "/r",
		"[runtime]\npath = \"/r\"\n[vault\nbroken":                "/r",
		"[runtime]\npath = /r":                                    "",
		"[runtime]\npath =":                                       "",
	} {
		got, err := RuntimePath(write(t, text, 0o644))
		if err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
	if got, err := RuntimePath(filepath.Join(t.TempDir(), "absent")); got != "" || err != nil {
		t.Errorf("without a file: %q, %v", got, err)
	}
	if _, err := RuntimePath(write(t, "", 0o666)); !errors.Is(err, fault.Settings) {
		t.Errorf("settings that others can write: %v", err)
	}
}

// TestRuntimePathElsewhere has settings whose runtime.path the shim does not see.
func TestRuntimePathElsewhere(t *testing.T) {
	for _, text := range []string{"runtime.path = \"/r\"", "runtime = { path = \"/r\" }", "[runtime]\n\"path\" = \"/r\"", "[runtime]\npath = \"\"\"/r\"\"\""} {
		if _, err := Load(write(t, text, 0o600)); !errors.Is(err, fault.Settings) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
