// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWarnings has settings that still work and that the next release refuses.
func TestWarnings(t *testing.T) {
	const loopback = "vault: an http:// address is whoever's has the port, which any user of this machine can take while the server is down; " +
		"use https:// or unix://, or write insecure_loopback = true under [vault], without which the next release refuses it"
	shared := func(source, prefix string) string {
		return fmt.Sprintf("every pod can read all of %[1]s, whatever its namespace: prefix %[2]q is Vault's alone; take [%[1]s] away, "+
			"or write allow_shared = [%[1]q], without which the next release refuses it", source, prefix)
	}
	tests := map[string]struct {
		text string
		want []string // behind "settings FILE: "
	}{
		"nothing to warn of":         {"[vault]\naddress = \"https://vault.example\"", nil},
		"without Vault":              {"[dict]", nil},
		"http on loopback":           {"[vault]\naddress = \"http://127.0.0.1:8200\"", []string{loopback}},
		"one of several, in capital": {"[vault]\naddresses = [\"https://a.example\", \"HTTP://[::1]:8200\"]", []string{loopback}},
		"http on loopback, meant":    {"[vault]\naddress = \"http://127.0.0.1:8200\"\ninsecure_loopback = true", nil},
		"shared beside namespaces": {
			"[vault]\nprefix = \"k8s/{namespace}\"\n[dict]\n[dotenv]", []string{shared("dict", "k8s/{namespace}"), shared("dotenv", "k8s/{namespace}")},
		},
		"by scheme alone":         {"chain = [\"vault\"]\n[vault]\nprefix = \"{service_account}\"\n[dict]", []string{shared("dict", "{service_account}")}},
		"shared, meant":           {"allow_shared = [\"dict\"]\n[vault]\nprefix = \"k8s/{namespace}\"\n[dict]", nil},
		"shared beside one's own": {"[vault]\nprefix = \"{user}/{host}\"\n[dict]", nil},
		"namespaces alone":        {"[vault]\nprefix = \"k8s/{namespace}\"", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := write(t, tt.text, 0o600)
			s, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, w := range tt.want {
				want = append(want, "settings "+path+": "+w)
			}
			if diff := cmp.Diff(want, s.Warnings); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
