// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// TestRenewal waits until a token is to be renewed, and sees that Vault did it.
func TestRenewal(t *testing.T) {
	t.Parallel()
	c := appRole(t, vaulttest.Tokens{TTL: 9 * time.Second, MaxTTL: time.Hour})
	succeed(t, c, "shared/db")
	before := tokenOf(t, c.StateDir)
	ttl := func() json.Number {
		got := server.Write(t, "auth/token/lookup", map[string]any{"token": before})
		return got.Data["ttl"].(json.Number)
	}
	if r := succeed(t, c, "shared/db").Counts(); r["vault_renewals"] != 0 || r["vault_logins"] != 0 {
		t.Errorf("renewed or got anew too early: %v", r)
	}
	edit(t, kept(t, c.StateDir, aToken), func(r map[string]any) {
		expires, err := r["Expires"].(json.Number).Int64()
		noError(t, err)
		time.Sleep(time.Duration(expires) - sinceBoot(t) - 2900*time.Millisecond) // less than a third, more than a sixth
	})
	var renewals, logins atomic.Int64
	together(10, func(int) {
		counts := succeed(t, c, "shared/db").Counts()
		renewals.Add(int64(counts["vault_renewals"]))
		logins.Add(int64(counts["vault_logins"]))
	})
	if renewals.Load() != 1 || logins.Load() != 0 {
		t.Errorf("%d renewals and %d logins, want one renewal", renewals.Load(), logins.Load())
	}
	if got := ttl(); got != "9" && got != "8" && got != "7" {
		t.Errorf("the ttl is %s", got)
	}
	if tokenOf(t, c.StateDir) != before {
		t.Error("it is another token")
	}
}

// TestTokensThatEnd has the ways in which a kept token stops being of use.
func TestTokensThatEnd(t *testing.T) {
	hour := vaulttest.Tokens{TTL: time.Hour, MaxTTL: 4 * time.Hour}
	short := vaulttest.Tokens{TTL: time.Minute, MaxTTL: time.Minute}
	for name, tt := range map[string]struct {
		tokens vaulttest.Tokens
		change func(t *testing.T, dir string)
		want   counts
		same   bool // token
	}{
		"new":                    {hour, func(*testing.T, string) {}, counts{reads: 1}, true},
		"a third is left":        {hour, func(t *testing.T, dir string) { endsIn(t, dir, 19*time.Minute) }, counts{renewals: 1, reads: 1}, true},
		"more than a third":      {hour, func(t *testing.T, dir string) { endsIn(t, dir, 21*time.Minute) }, counts{reads: 1}, true},
		"4 s are left":           {hour, func(t *testing.T, dir string) { endsIn(t, dir, 4*time.Second) }, counts{logins: 1, reads: 1}, false},
		"it has ended":           {hour, func(t *testing.T, dir string) { endsIn(t, dir, -time.Second) }, counts{logins: 1, reads: 1}, false},
		"max_ttl":                {short, func(t *testing.T, dir string) { longer(t, dir) }, counts{renewals: 1, logins: 1, reads: 1}, false},
		"revoked":                {hour, revoke, counts{logins: 1, mounts: 1, reads: 2}, false},
		"revoked, no mount":      {hour, func(t *testing.T, dir string) { revoke(t, dir); forgetMount(t, dir) }, counts{logins: 1, mounts: 2, reads: 1}, false},
		"revoked, to be renewed": {hour, func(t *testing.T, dir string) { revoke(t, dir); endsIn(t, dir, 19*time.Minute) }, counts{renewals: 1, logins: 1, reads: 1}, false},
		"batch":                  {vaulttest.Tokens{TTL: time.Hour, Batch: true}, func(t *testing.T, dir string) { endsIn(t, dir, 19*time.Minute) }, counts{reads: 1}, true},
		"batch, ends":            {vaulttest.Tokens{TTL: time.Hour, Batch: true}, func(t *testing.T, dir string) { endsIn(t, dir, 4*time.Second) }, counts{logins: 1, reads: 1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := appRole(t, tt.tokens)
			succeed(t, c, "shared/db")
			before := tokenOf(t, c.StateDir)
			if strings.HasPrefix(name, "batch") && !strings.HasPrefix(before, "hvb.") {
				t.Fatal("not a batch token")
			}
			tt.change(t, c.StateDir)
			wantCounts(t, "after that", counted(t, func() { succeed(t, c, "shared/db") }), tt.want)
			if same := tokenOf(t, c.StateDir) == before; same != tt.same {
				t.Errorf("the same token: %t", same)
			}
			wantCounts(t, "and then", counted(t, func() { succeed(t, c, "shared/db") }), counts{reads: 1})
		})
	}
}

// TestTokensForLeases has tokens that cannot be renewed, and that leases would end
// with: they are used for no longer than half of their time.
func TestTokensForLeases(t *testing.T) {
	for name, tt := range map[string]struct {
		tokens vaulttest.Tokens
		left   time.Duration
		logins int
	}{
		"batch":                {vaulttest.Tokens{TTL: time.Hour, Batch: true}, 31 * time.Minute, 0},
		"batch, after a while": {vaulttest.Tokens{TTL: time.Hour, Batch: true}, 29 * time.Minute, 1},
		"renewable":            {vaulttest.Tokens{TTL: time.Hour, MaxTTL: 4 * time.Hour}, 21 * time.Minute, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := appRole(t, tt.tokens)
			c.Dynamic = []string{"database/creds"}
			succeed(t, c, "shared/db")
			before := tokenOf(t, c.StateDir)
			endsIn(t, c.StateDir, tt.left)
			wantCounts(t, "after that", counted(t, func() { succeed(t, c, "shared/db") }), counts{logins: tt.logins, reads: 1})
			if tt.logins == 0 {
				return
			}
			id := sha256.Sum256([]byte(before))
			if !slices.ContainsFunc(files(t, c.StateDir), func(f string) bool { return strings.HasSuffix(f, "."+hex.EncodeToString(id[:8])) }) {
				t.Error("the one before, of earlier leases, is lost")
			}
			wantCounts(t, "and then", counted(t, func() { succeed(t, c, "shared/db") }), counts{reads: 1})
		})
	}
}

// A token that is revoked from outside costs one login, however many were about
// to use it: in one Source, and on the host.
func TestRevokedForMany(t *testing.T) {
	c := appRole(t, vaulttest.Tokens{TTL: time.Hour})
	succeed(t, c, "shared/db")
	revoke(t, c.StateDir)
	n := counted(t, func() {
		s := source(t, c)
		together(20, func(int) {
			if _, err := get(t, s, 30*time.Second, "shared/db", 0); err != nil {
				t.Error(err)
			}
		})
	})
	if n.logins != 1 {
		t.Errorf("one source: %+v", n)
	}
	revoke(t, c.StateDir)
	n = counted(t, func() { together(50, func(int) { succeed(t, c, "shared/db") }) })
	if n.logins != 1 || n.mounts > 50 {
		t.Errorf("many: %+v", n)
	}
}
