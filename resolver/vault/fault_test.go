// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"strings"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// What the real server can show of trouble. What it cannot is in fake_test.go.

func TestSealedAndStopped(t *testing.T) {
	own := vaulttest.Start(t, vaulttest.Options{})
	own.Mount(t, "secret", 2)
	own.Put(t, 2, "secret", "containers/db", map[string]any{"K": canary})
	c := config(own, "secret", own.RootToken)
	warm := source(t, c)
	if _, err := get(t, warm, 5*time.Second, "db", 0); err != nil {
		t.Fatal(err)
	}

	own.Seal(t)
	start := time.Now()
	_, err := get(t, source(t, c), time.Second, "db", 0)
	wantFault(t, err, fault.Unreachable, "last seen: sealed (HTTP 503)", own.Address)
	if d := time.Since(start); d < 900*time.Millisecond || d > 2*time.Second {
		t.Errorf("gave up after %s, the deadline was 1s", d)
	}
	_, err = get(t, warm, 300*time.Millisecond, "web", 0)
	wantFault(t, err, fault.Unreachable, "read secret/data/containers/web", "sealed")
	wantReason(t, err, fault.Sealed)

	// Unsealed in the middle of the retries: the start goes on.
	late := source(t, c)
	done := make(chan error)
	go func() {
		_, err := get(t, late, 20*time.Second, "db", 0)
		done <- err
	}()
	own.Unseal(t)
	if err := <-done; err != nil {
		t.Error(err)
	}

	own.Stop()
	_, err = get(t, source(t, c), 500*time.Millisecond, "db", 0)
	wantFault(t, err, fault.Unreachable, "last seen: connection refused", "check the address under [vault]")
	_, err = get(t, warm, 500*time.Millisecond, "web", 0)
	wantFault(t, err, fault.Unreachable, "last seen: connection refused")
	wantReason(t, err, "")
}

// An attempt that ended with its caller's deadline does not spoil the Source.
func TestLoginAfterDeadline(t *testing.T) {
	own := vaulttest.Start(t, vaulttest.Options{PlainHTTP: true})
	own.Mount(t, "secret", 2)
	own.Put(t, 2, "secret", "containers/db", map[string]any{"K": canary})
	s := source(t, config(own, "secret", own.RootToken))
	own.Seal(t)
	_, err := get(t, s, 300*time.Millisecond, "db", 0)
	wantFault(t, err, fault.Unreachable, "sealed")
	own.Unseal(t)
	if _, err := get(t, s, 5*time.Second, "db", 0); err != nil {
		t.Error(err)
	}
}

func TestTLS(t *testing.T) {
	plain := vaulttest.Start(t, vaulttest.Options{PlainHTTP: true})
	otherCA, _, _, err := vaulttest.WriteCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		address, ca string
		class       fault.Class
		texts       []string
	}{
		"other CA":      {server.Address, otherCA, fault.Refused, []string{"its certificate is not trusted", "ca_cert"}},
		"system's CAs":  {server.Address, "", fault.Refused, []string{"its certificate is not trusted", "ca_cert"}},
		"other name":    {strings.Replace(server.Address, "127.0.0.1", "127.0.0.2", 1), server.CAFile, fault.Refused, []string{"127.0.0.2"}},
		"absent CA":     {server.Address, "/nowhere/ca.pem", fault.Settings, []string{"ca_cert", "/nowhere/ca.pem"}},
		"CA not PEM":    {server.Address, file(t, canary), fault.Settings, []string{"no PEM certificate"}},
		"https to http": {strings.Replace(plain.Address, "http:", "https:", 1), server.CAFile, fault.Settings, []string{"does not speak TLS", "http://"}},
		"http to https": {strings.Replace(server.Address, "https:", "http:", 1), "", fault.Settings, []string{"speaks TLS", "https://"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(server, kv2, server.RootToken)
			c.Addresses, c.CACert = []string{tt.address}, tt.ca
			if name == "other name" {
				// The listener is on 127.0.0.1 alone; a name in the certificate's
				// place is enough.
				c.Addresses[0], _ = relay(t, "127.0.0.2", server.Address)
			}
			start := time.Now()
			_, err := get(t, source(t, c), 5*time.Second, "x", 0)
			wantFault(t, err, tt.class, tt.texts...)
			if d := time.Since(start); d > 2*time.Second {
				t.Errorf("retried what does not mend: %s", d)
			}
		})
	}
}

// A CA file that others can write decides whom the token goes to.
func TestCAFileOfOthers(t *testing.T) {
	c := config(server, kv2, server.RootToken)
	c.CACert = writable(t, server.CAFile)
	_, err := get(t, source(t, c), 5*time.Second, "x", 0)
	wantFault(t, err, fault.Refused, "ca_cert")
}

// The open-source server takes the namespace header for granted and answers as
// without it; Enterprise and OpenBao look it up. That it is sent is in
// fake_test.go.
func TestNamespaceOnServerWithout(t *testing.T) {
	server.Put(t, 2, kv2, "containers/ns", map[string]any{"K": canary})
	c := config(server, kv2, server.RootToken)
	c.Namespace = "team-a"
	if _, err := get(t, source(t, c), 5*time.Second, "ns", 0); err != nil {
		t.Error(err)
	}
}

// Nothing in the environment of a hook matters: not where it points, not whom
// it trusts, not what it breaks.
func TestEnvironment(t *testing.T) {
	server.Put(t, 2, kv2, "containers/env", map[string]any{"K": canary})
	trap := listen(t)
	for name, value := range map[string]string{
		"VAULT_ADDR": trap, "VAULT_AGENT_ADDR": trap, "VAULT_TOKEN": "hvs.environment", "VAULT_NAMESPACE": "elsewhere",
		"VAULT_HEADERS": "{", "VAULT_CACERT": "/nowhere", "VAULT_CAPATH": "/nowhere", "VAULT_CACERT_BYTES": "x",
		"VAULT_CLIENT_CERT": "/nowhere", "VAULT_CLIENT_KEY": "/nowhere", "VAULT_SKIP_VERIFY": "perhaps",
		"VAULT_CLIENT_TIMEOUT": "never", "VAULT_MAX_RETRIES": "-1", "VAULT_RATE_LIMIT": "x", "VAULT_SRV_LOOKUP": "x",
		"VAULT_TLS_SERVER_NAME": "elsewhere", "VAULT_HTTP_PROXY": trap, "VAULT_PROXY_ADDR": trap + "\x7f",
		"VAULT_DISABLE_REDIRECTS": "x", "VAULT_WRAP_TTL": "10m",
	} {
		t.Setenv(name, value)
	}
	c := config(server, kv2, server.RootToken)
	if _, err := get(t, source(t, c), 5*time.Second, "env", 0); err != nil {
		t.Error(err)
	}
	checkEnvironment(t, "VAULT_TOKEN", "hvs.environment") // it is put back
	checkEnvironment(t, "SSL_CERT_FILE", server.CAFile)   // set in TestMain

	c.CACert = ""
	t.Setenv("VAULT_SKIP_VERIFY", "true")
	t.Setenv("VAULT_CACERT", server.CAFile)
	_, err := get(t, source(t, c), 5*time.Second, "env", 0)
	wantFault(t, err, fault.Refused, "not trusted")

	// Nobody proxies a loopback address, so the proxy of TestMain shows only with
	// a name.
	c.Addresses[0] = "https://vault.invalid"
	_, err = get(t, source(t, c), 300*time.Millisecond, "env", 0)
	wantFault(t, err, fault.Unreachable)
	if n := proxied.Load(); n != 0 {
		t.Errorf("%d connections to the environment's proxy", n)
	}
}

// A certificate out of its time, or a clock.
func TestCertificateDates(t *testing.T) {
	for name, off := range map[string]time.Duration{"expired": -48 * time.Hour, "not yet valid": 48 * time.Hour} {
		address, ca, from, to := dated(t, time.Now().Add(off))
		c := config(server, kv2, server.RootToken)
		c.Addresses, c.CACert = []string{address}, ca
		_, err := get(t, source(t, c), 5*time.Second, "x", 0)
		utc := func(at time.Time) string { return at.UTC().Format(time.RFC3339) }
		wantFault(t, err, fault.Refused, "its certificate is not trusted",
			"this machine's clock says "+time.Now().UTC().Format("2006-01-02T15:"), "valid from "+utc(from)+" to "+utc(to))
		if t.Failed() {
			t.Fatal(name)
		}
	}
}
