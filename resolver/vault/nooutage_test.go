// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// TestNoOutage has a server that answers, with anything but a secret: no answer
// from before comes in its place.
func TestNoOutage(t *testing.T) {
	own := vaulttest.Start(t, vaulttest.Options{})
	own.Mount(t, kv2, 2)
	own.Put(t, 2, kv2, "containers/db", map[string]any{"K": canary})
	c := remembering(t, own, own.RootToken)
	wantValue(t, c, "db", 0, "", false)
	own.Stop()
	wantValue(t, c, "db", 0, "", true)

	address := strings.TrimPrefix(own.Address, "https://")
	load := func(cert, key string) *tls.Certificate {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		return &pair
	}
	dir := filepath.Dir(own.CAFile)
	pair := load(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	var answer http.HandlerFunc
	l, err := tls.Listen("tcp", address, &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair, nil }, MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, r) }), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	says := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://elsewhere.example/")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		class  fault.Class
	}{
		"throttled":  {says(429, `{"errors":["rate limit quota exceeded"]}`), fault.Unreachable},
		"a web page": {says(200, `<html>login</html>`), fault.Unreachable},
		"too large":  {says(200, strings.Repeat("x", 9<<20)), fault.Unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			answer = tt.answer
			secret, _, err := begin(t, c, "db", 0)
			wantFault(t, err, tt.class)
			if secret != nil || strings.Contains(fmt.Sprint(err), "from before") {
				t.Errorf("it looked: %v", err)
			}
		})
	}
	ours := pair
	_, cert, key, err := vaulttest.WriteCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pair = load(cert, key)
	_, _, err = begin(t, c, "db", 0)
	wantFault(t, err, fault.Refused, "not trusted")
	pair = ours
	// None of it removed the answer, which these bring back.
	for name, away := range map[string]http.HandlerFunc{
		"sealed": says(503, `{"errors":["Vault is sealed"]}`), "a standby that knows an active node elsewhere": says(307, ``),
		"broken": says(500, `{"errors":["internal error"]}`),
	} {
		t.Run(name, func(t *testing.T) {
			answer = away
			wantValue(t, c, "db", 0, "", true)
		})
	}
}
