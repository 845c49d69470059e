// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"encoding/pem"
	"os"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/resolver/vault"
	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

func TestCert(t *testing.T) {
	t.Setenv("GODEBUG", "x509keypairleaf=0") // which leaves no certificate to look at
	tokens := reader(t, "cert")
	ca := vaulttest.NewCA(t)
	server.CertAuth(t, "cert", "web", ca.PEM, tokens)
	server.CertAuth(t, "cert", "other", vaulttest.NewCA(t).PEM, tokens)
	server.CertAuth(t, "tls/clients", "web", ca.PEM, tokens)
	pair := func(ca *vaulttest.CA, ttl time.Duration) vault.Auth {
		cert, key := ca.Client(t, "web", ttl)
		return vault.Auth{Method: "cert", ClientCert: file(t, cert), ClientKey: file(t, key)}
	}
	with := func(edit func(*vault.Auth)) vault.Auth {
		a := pair(ca, time.Hour)
		edit(&a)
		return a
	}
	public := with(func(a *vault.Auth) {
		if err := os.Chmod(a.ClientCert, 0o644); err != nil {
			t.Fatal(err)
		}
	})
	for name, tt := range map[string]struct {
		auth  vault.Auth
		class fault.Class // 0 for success
		texts []string
	}{
		"good":      {auth: pair(ca, time.Hour)},
		"public":    {auth: public},
		"a role":    {auth: with(func(a *vault.Auth) { a.Role = "web" })},
		"elsewhere": {auth: with(func(a *vault.Auth) { a.Mount = "tls/clients" })},

		"wrong CA":      {pair(vaulttest.NewCA(t), time.Hour), fault.Refused, []string{"certificate login at auth/cert/login was refused"}},
		"wrong role":    {with(func(a *vault.Auth) { a.Role = "other" }), fault.Refused, []string{"auth/cert/login was refused", "the CA of client_cert"}},
		"wrong mount":   {with(func(a *vault.Auth) { a.Mount = "nowhere" }), fault.Refused, []string{"auth/nowhere/login"}},
		"expired":       {pair(ca, -time.Minute), fault.Refused, []string{"client_cert", "has expired at", "clock"}},
		"another's key": {with(func(a *vault.Auth) { a.ClientKey = pair(ca, time.Hour).ClientKey }), fault.Settings, []string{"private key does not match"}},
		"swapped":       {with(func(a *vault.Auth) { a.ClientCert, a.ClientKey = a.ClientKey, a.ClientCert }), fault.Settings, []string{"client_cert"}},
		"an open key":   {with(func(a *vault.Auth) { a.ClientKey = tooOpen(t, canary) }), fault.Refused, []string{"client_key", "others can read it"}},
		"no PEM":        {with(func(a *vault.Auth) { a.ClientKey = file(t, canary) }), fault.Settings, []string{"client_key"}},
		"a passphrase": {
			with(func(a *vault.Auth) {
				a.ClientKey = file(t, string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte(canary)})))
			}), fault.Settings, []string{"client_key", "the key has a passphrase"},
		},
		"an absent key":    {with(func(a *vault.Auth) { a.ClientKey = "/absent" }), fault.Settings, []string{"client_key: /absent does not exist"}},
		"an absent holder": {with(func(a *vault.Auth) { a.ClientCert = "/absent" }), fault.Settings, []string{"client_cert: /absent does not exist"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := logIn(t, tt.auth, "cert")
			if tt.class == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantFault(t, err, tt.class, tt.texts...)
		})
	}
	t.Run("without TLS", func(t *testing.T) {
		c := config(server, kv2, "")
		c.Auth, c.Addresses = pair(ca, time.Hour), []string{"http://127.0.0.1:1"}
		_, err := get(t, source(t, c), time.Second, "cert", 0)
		wantFault(t, err, fault.Settings, "without TLS there is no client certificate")
	})
	t.Run("for others", func(t *testing.T) {
		// Only the method cert shows a certificate.
		_, err := vault.New(vault.Config{Addresses: []string{server.Address}, Auth: with(func(a *vault.Auth) { a.Method = "jwt" })}, containerOf(nil))
		wantFault(t, err, fault.Settings, "does not use client_cert")
	})
}
