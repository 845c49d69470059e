// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"bytes"
	"testing"

	"github.com/oci-secrets/oci-secrets/resolver/config"
	"github.com/oci-secrets/oci-secrets/spec"
)

// TestPoststopOfSpec has containers whose values are in a copy of the spec: the
// hook is listed only where there is something to do at poststop.
func TestPoststopOfSpec(t *testing.T) {
	for name, tt := range map[string]struct {
		exec    string
		dynamic []string
		want    bool
	}{
		"kept": {"on", nil, true}, "nothing": {"off", nil, false}, "leased": {"off", []string{"database/creds"}, true},
	} {
		doc, err := spec.ParseDoc([]byte(`{"process":{"env":[]},"annotations":{"secrets.oci/from":"db"}}`))
		if err != nil {
			t.Fatal(err)
		}
		b, err := withValues(doc, []string{"A=b"}, &config.Settings{
			StateDir: "/s", Runtime: config.Runtime{Exec: tt.exec}, Vault: &config.Vault{Dynamic: tt.dynamic},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(b, []byte(`"poststop":[{`)); got != tt.want || bytes.Contains(b, []byte("prestart")) {
			t.Errorf("%s: %s", name, b)
		}
	}
}
