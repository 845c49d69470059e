// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

func TestUserName(t *testing.T) {
	t.Setenv("USER", "mallory") // what os/user would believe
	passwd := filepath.Join(t.TempDir(), "passwd")
	if err := os.WriteFile(passwd, []byte("toor:x:0:0::/:\nann:x:1000:1000:Ann:/home/ann:/bin/sh\nbroken\nbob:x:1001\n:\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for uid, want := range map[int]string{0: "root", 1000: "ann", 1001: "", 1002: "", -1: "", 10: ""} {
		got, err := userIn(passwd, uid)
		if got != want {
			t.Errorf("uid %d: %q, want %q", uid, got, want)
		}
		if class, _ := fault.ClassOf(err); want == "" && class != fault.Refused {
			t.Errorf("uid %d: %v", uid, err)
		}
	}
}

// TestOver has what this machine's clock makes of a token.
func TestOver(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for text, want := range map[string]string{
		`{}`:                            "",
		`{"exp":1000001,"nbf":1000000}`: "",
		`{"exp":1000000}`:               "has expired 0s ago; check who renews it, and this machine's clock",
		`{"exp":996400.5}`:              "has expired 1h0m0s ago; check who renews it, and this machine's clock",
		`{"nbf":1003600}`:               "is valid only in 1h0m0s; check who renews it, and this machine's clock",
		`{"exp":"never","nbf":null}`:    "",
	} {
		c, err := claimsOf("a." + base64.RawURLEncoding.EncodeToString([]byte(text)) + ".c")
		if err != nil {
			t.Error(err)
		}
		if got := c.over(now); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// TestPrefixIsExpandedOnTheSide has a secret that needs no prefix read at the
// same time: nothing changes the settings, which it goes by. It takes -race to
// see the worst of it.
func TestPrefixIsExpandedOnTheSide(t *testing.T) {
	s, err := New(Config{
		Addresses: []string{"https://vault.example"}, Prefix: "hosts/{host}", Auth: Auth{Method: "approle", RoleID: "r"},
	}, resolver.Container{})
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		if got, err := s.prefix(); err != nil || got != "hosts/"+host {
			t.Errorf("%q, %v", got, err)
		}
	})
	all.Go(func() {
		if got := s.config.home(); got.Method != "approle" {
			t.Errorf("%+v", got)
		}
	})
	all.Wait()
	if s.config.Prefix != "hosts/{host}" {
		t.Errorf("the settings have the prefix %q now", s.config.Prefix)
	}
}
