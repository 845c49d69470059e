// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"strings"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// A token that works a few times is no use to others: each start gets its own.
func TestTokensOfFewUses(t *testing.T) {
	c := appRole(t, vaulttest.Tokens{TTL: time.Hour, Uses: 3})
	const starts = 12
	n := counted(t, func() {
		together(starts, func(int) {
			record := succeed(t, c, "shared/db")
			if notes := strings.Join(record.Notes(), "\n"); !strings.Contains(notes, "the login is not shared with other containers: its token works 3 times") {
				t.Errorf("notes: %s", notes)
			}
		})
	})
	if n.logins != starts || n.reads != starts {
		t.Errorf("%+v", n)
	}
	for _, f := range files(t, c.StateDir) {
		if len(f) == 64 {
			t.Errorf("kept: %s", f)
		}
	}
}
