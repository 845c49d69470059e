// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/resolver/vault"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// TestOddNamesByProxy reads names with characters that annotations have escapes for
// through one of Vault's own proxies, which sends them on.
func TestOddNamesByProxy(t *testing.T) {
	roleID, secretID := server.AppRoleWith(t, "approle", "odd-names", reader(t, "odd/*"))
	proxy := server.StartAgent(t, "proxy", 0, roleID, secretID)
	c := config(server, kv2, "")
	c.Addresses, c.CACert, c.Auth = []string{"unix://" + proxy.Socket}, "", vault.Auth{Method: "none"}
	s := source(t, c)
	for i, name := range []string{
		"user@corp", "a b/c d", "größe", "秘密", "½", "a:b", "a+b", "a*b", "a=b,c&e$f!", "(a)[b]{c}<d>", "~a^b|c`d", `it's "so"`, "-", "data", "@/@",
	} {
		want := fmt.Sprint(canary, i)
		server.Put(t, 2, kv2, "containers/odd/"+name, map[string]any{"K": want})
		secret, err := get(t, s, 5*time.Second, "odd/"+name, 0)
		if err != nil {
			t.Errorf("%q: %v", name, err)
		} else if got := reveal(t, secret)["K"]; got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

// TestNamesThatLeave has what may not even be asked for, coded or not: of a prefix
// beside others.
func TestNamesThatLeave(t *testing.T) {
	server.Put(t, 2, kv2, "containers/other/db", map[string]any{"K": canary})
	c := config(server, kv2, server.RootToken)
	c.Prefix, c.Dynamic = "containers/one", []string{"database/creds"}
	s := source(t, c)
	for _, name := range []string{
		"..", ".", "../other/db", "a/../../other/db", "a/./b", "a//b", "/a", "a/", `..\other\db`, "%2e%2e/other/db", "..%2Fother%2Fdb", "%252e%252e/other/db", //nolint:misspell // 2f is a slash
		"a%", "..;/other/db", "a?list=true", "a#b", "a？b", "a\x00b", "a\nb", "a\u202eb", "a\u00a0b", "a\xff", "．．/other/db", "‥/other/db", "a／b", "．", "％2e％2e/other/db", "a＼b",
		"database/creds/../../sys/mounts", "database/creds/%2e%2e/x", "database/creds/．．/x",
	} {
		_, err := get(t, s, 5*time.Second, name, 0)
		wantFault(t, err, fault.Annotation, "not the name of a secret")
	}
}
