// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/test/rig"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// all are the faults, in the order of the document.
var all = []fault{
	{name: "nothing listens at the address", code: 13, outcome: "source-unreachable", wait: true, setUp: func(t *testing.T, s *site) string {
		t.Helper()
		return s.vault("https://"+closed(t), s.CAFile) + s.appRole(t, s.Server)
	}},
	{name: "the server does not answer", code: 13, outcome: "source-unreachable", wait: true, setUp: func(t *testing.T, s *site) string {
		t.Helper()
		return s.vault("https://"+silent(t), s.CAFile) + s.appRole(t, s.Server)
	}},
	{name: "Vault stops after the host has logged in", code: 13, outcome: "source-unreachable", wait: true, warm: true, setUp: own, after: stop},
	{name: "the same with the last known good answers", warm: true, outcome: "ok", setUp: func(t *testing.T, s *site) string {
		t.Helper()
		return own(t, s) + "[vault.outage]\nmode = \"last-known-good\"\ndirectory = \"answers\"\n"
	}, after: stop},
	{name: "Vault is sealed", code: 13, outcome: "sealed", wait: true, warm: true, setUp: own, after: func(t *testing.T, s *site) {
		t.Helper()
		s.own.Seal(t)
	}},
	{name: "no active server", code: 13, outcome: "standby", wait: true, setUp: answers(http.StatusInternalServerError, "application/json",
		`{"errors":["local node not active but active cluster node not found"]}`)},
	{name: "asked too often", code: 13, outcome: "throttled", setUp: func(t *testing.T, s *site) string {
		t.Helper()
		return s.fake(server(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "60")
			reply(w, http.StatusTooManyRequests, "application/json", `{"errors":["request path \"secret/data/db\": rate limit quota exceeded"]}`)
		}))
	}},
	{name: "an answer in HTML", code: 13, outcome: "malformed", setUp: answers(http.StatusOK, "text/html", "<html>welcome")},
	{name: "an answer that breaks off", code: 13, outcome: "source-unreachable", wait: true, setUp: func(t *testing.T, s *site) string {
		t.Helper()
		return s.fake(server(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			reply(w, http.StatusOK, "application/json", `{"data":`)
		}))
	}},
	{name: "an answer of 100 MiB", code: 13, outcome: "malformed", setUp: func(t *testing.T, s *site) string {
		t.Helper()
		blanks := bytes.Repeat([]byte(" "), 1<<20)
		return s.fake(server(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for range 100 {
				if _, err := w.Write(blanks); err != nil {
					return // the client has seen enough
				}
			}
		}))
	}},
	{name: "a redirect to another host", code: 13, outcome: "standby", setUp: func(t *testing.T, s *site) string {
		t.Helper()
		return s.fake(server(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://vault.invalid"+r.URL.Path, http.StatusTemporaryRedirect)
		}))
	}},
	{name: "a certificate of another CA", code: 12, outcome: "refused-by-the-source", setUp: func(t *testing.T, s *site) string {
		t.Helper()
		ca, _, _, err := vaulttest.WriteCertificates(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return s.vault(s.Address, ca) + s.appRole(t, s.Server)
	}},
	{name: "a clock an hour off: the certificate is not valid yet", code: 12, outcome: "refused-by-the-source", setUp: func(t *testing.T, s *site) string {
		t.Helper()
		ca := vaulttest.NewCA(t)
		certPEM, keyPEM := ca.Server(t, time.Now().Add(time.Hour), time.Now().Add(2*time.Hour))
		pair, err := tls.X509KeyPair([]byte(certPEM), []byte(keyPEM))
		if err != nil {
			t.Fatal(err)
		}
		v := httptest.NewUnstartedServer(http.NotFoundHandler())
		v.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
		v.StartTLS()
		t.Cleanup(v.Close)
		file := filepath.Join(t.TempDir(), "ca.pem")
		rig.WriteFile(t, file, ca.PEM, 0o644)
		return s.vault(v.URL, file) + s.appRole(t, s.Server)
	}},

	{name: "no such secret", code: 11, outcome: "not-found", names: "vault:absent", setUp: works},
	{name: "the version was destroyed", code: 11, outcome: "not-found", names: "vault:gone@1", setUp: func(t *testing.T, s *site) string {
		t.Helper()
		s.Put(t, 2, mount, "gone", map[string]any{variable: s.value})
		s.Write(t, mount+"/destroy/gone", map[string]any{"versions": []int{1}})
		return s.works(t)
	}},
	{name: "the policy does not allow it", code: 12, outcome: "denied", names: "vault:private", setUp: works},
	{name: "the secret id is not valid", code: 12, outcome: "denied", setUp: works, after: func(t *testing.T, s *site) {
		t.Helper()
		rig.WriteFile(t, filepath.Join(s.Dir(), "secret-id"), "5f3e0000-0000-0000-0000-000000000000", 0o600)
	}},
	{name: "the secret id is readable for others", code: 12, outcome: "refused-by-the-source", setUp: works, after: func(t *testing.T, s *site) {
		t.Helper()
		if err := os.Chmod(filepath.Join(s.Dir(), "secret-id"), 0o644); err != nil {
			t.Fatal(err)
		}
	}},
	{name: "the wrapped secret id was unwrapped before", code: 12, outcome: "denied", setUp: func(t *testing.T, s *site) string {
		t.Helper()
		table := s.works(t)
		wrapped := s.Write(t, "sys/wrapping/wrap", map[string]any{"secret_id": "x"})
		rig.WriteFile(t, filepath.Join(s.Dir(), "wrapped"), wrapped.WrapInfo.Token, 0o600)
		s.Write(t, "sys/wrapping/unwrap", map[string]any{"token": wrapped.WrapInfo.Token})
		return strings.ReplaceAll(table, `secret_id_file = "secret-id"`, `wrapped_secret_id_file = "wrapped"`)
	}},
	{name: "the role is missing", code: 15, setUp: func(_ *testing.T, s *site) string {
		return s.vault(s.Address, s.CAFile) + "[vault.auth]\nmethod = \"kubernetes\"\n"
	}},
	{name: "an unknown method", code: 15, setUp: func(_ *testing.T, s *site) string {
		return s.vault(s.Address, s.CAFile) + "[vault.auth]\nmethod = \"userpass\"\n"
	}},

	{name: "a name that leaves the prefix", code: 10, names: "vault:../private", setUp: works},
	{name: "the same, encoded", code: 10, names: "vault:..%2fprivate", setUp: works},
	{name: "an absolute name", code: 10, names: "vault:/secret/data/private", setUp: works},
	{name: "an empty part in a name", code: 10, names: "vault:a//private", setUp: works},
	{name: "a name that looks like another", code: 10, names: "vault:dｂ", setUp: works},

	{name: "the token was revoked from outside", outcome: "ok", warm: true, setUp: works, after: func(t *testing.T, s *site) {
		t.Helper()
		s.Write(t, "sys/leases/revoke-prefix/auth/"+mountOf(t, s)+"/login", nil)
	}},
	{name: "what is kept of the login is garbage", outcome: "ok", warm: true, setUp: works, after: func(t *testing.T, s *site) {
		t.Helper()
		s.Shell(t, `for f in "$STATE"/vault/*; do echo garbage >"$f"; done`)
	}},
	{name: "what is kept of the login belongs to another user", outcome: "ok", warm: true, setUp: works, after: func(t *testing.T, s *site) {
		t.Helper()
		s.Shell(t, `chown 7:7 "$STATE"/vault/*`)
	}},
	{name: "the state directory is full", outcome: "ok", setUp: works, after: func(t *testing.T, s *site) {
		t.Helper()
		s.Shell(t, `mkdir -p "$STATE"; mount -t tmpfs -o mode=0700,size=8k tmpfs "$STATE"; head -c 100k /dev/zero >"$STATE"/filler 2>/dev/null || :`)
	}},
	{name: "the state directory is open to others", code: 16, outcome: "cannot-deliver", setUp: works, after: func(t *testing.T, s *site) {
		t.Helper()
		s.Shell(t, `mkdir -p "$STATE"; mount -t tmpfs -o mode=0777 tmpfs "$STATE"`)
	}},
}

func works(t *testing.T, s *site) string {
	t.Helper()
	return s.works(t)
}

// own are settings for a server that no other fault has.
func own(t *testing.T, s *site) string {
	t.Helper()
	s.own = vaulttest.Start(t, vaulttest.Options{})
	s.fill(t, s.own)
	return s.vault(s.own.Address, s.own.CAFile) + s.appRole(t, s.own)
}

func stop(t *testing.T, s *site) {
	t.Helper()
	s.own.Stop()
}

// mountOf is the mount of the AppRole in the settings.
func mountOf(t *testing.T, s *site) string {
	t.Helper()
	_, rest, _ := strings.Cut(rig.ReadFile(t, filepath.Join(s.Dir(), "config.toml")), "\nmethod = \"approle\"\nmount = \"")
	name, _, ok := strings.Cut(rest, `"`)
	if !ok {
		t.Fatal("the settings have no AppRole")
	}
	return name
}

// closed is an address at which nothing listens.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close() // it had no connection
	return l.Addr().String()
}

// silent is the address of a server that takes connections and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String() // the kernel takes connections, up to its backlog
}

func server(t *testing.T, serve http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(serve)
	t.Cleanup(s.Close)
	return s.URL
}

// answers is a server with one answer to everything.
func answers(status int, media, body string) func(*testing.T, *site) string {
	return func(t *testing.T, s *site) string {
		t.Helper()
		return s.fake(server(t, func(w http.ResponseWriter, _ *http.Request) { reply(w, status, media, body) }))
	}
}

func reply(w http.ResponseWriter, status int, media, body string) {
	w.Header().Set("Content-Type", media)
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body)) // the client goes when it has seen enough
}
