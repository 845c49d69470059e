// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/vault"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// What the real server cannot be made to do.

const (
	mountAnswer = `{"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}`
	readAnswer  = `{"data":{"data":{"K":"` + canary + `"},"metadata":{"version":1}}}`
	token       = "hvs.token-of-the-fakes"
)

// fake is a server that answers the mount lookup as Vault would, and the nth
// read (from 1) as read does. It counts the reads.
func fake(t *testing.T, read func(n int, w http.ResponseWriter, r *http.Request)) (vault.Config, *atomic.Int64) {
	t.Helper()
	reads := new(atomic.Int64)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/sys/internal/ui/mounts/") {
			_, _ = io.WriteString(w, mountAnswer)
			return
		}
		read(int(reads.Add(1)), w, r)
	}))
	t.Cleanup(srv.Close)
	return vault.Config{
		Addresses: []string{srv.URL}, Prefix: "containers",
		Auth: vault.Auth{Method: "token", Token: resolver.NewValue(token)},
	}, reads
}

func answer(status int, media, body string) func(int, http.ResponseWriter, *http.Request) {
	return func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", media)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// Answers that no retry mends: one read, one clear line.
func TestAnswers(t *testing.T) {
	const json = "application/json"
	for name, tt := range map[string]struct {
		status      int
		media, body string
		class       fault.Class
		text        string
	}{
		"HTML":                {200, "text/html; charset=utf-8", "<html>" + canary, fault.Unreachable, "not Vault's: HTTP 200, text/html, "},
		"garbage":             {200, "application/octet-stream", "\x00\xff" + canary, fault.Unreachable, "application/octet-stream"},
		"nothing":             {200, "", "", fault.Unreachable, "0 bytes"},
		"cut JSON":            {200, json, readAnswer[:len(readAnswer)-3], fault.Unreachable, "not Vault's"},
		"no data":             {200, json, `{"K":"` + canary + `"}`, fault.Unreachable, "not Vault's"},
		"null":                {200, json, `{"data":null}`, fault.Unreachable, "not Vault's"},
		"v1 data":             {200, json, `{"data":{"K":"` + canary + `"}}`, fault.Unreachable, "not Vault's"},
		"list":                {200, json, `{"data":{"data":["` + canary + `"],"metadata":{"version":1}}}`, fault.Unreachable, "not Vault's"},
		"HTML 404":            {404, "text/html", "<h1>Not Found " + canary, fault.Unreachable, "not Vault's: HTTP 404, text/html"},
		"JSON 404":            {404, json, `{"message":"` + canary + `"}`, fault.Unreachable, "not Vault's: HTTP 404"},
		"Vault's 404":         {404, json, `{"errors":[]}`, fault.Missing, "nothing at secret/data/containers/db"},
		"404 with a reason":   {404, json, `{"errors":["no handler for route"]}`, fault.Refused, "no handler for route"},
		"HTML 403":            {403, "text/html", "<h1>Blocked " + canary, fault.Unreachable, "not Vault's: HTTP 403"},
		"400":                 {400, json, `{"errors":["bad\n\u001b[31mthing"]}`, fault.Refused, "HTTP 400: bad [31mthing"},
		"405, token echoed":   {405, json, `{"errors":["what is ` + token + `?"]}`, fault.Refused, "what is [secret]?"},
		"400, token in parts": {400, json, `{"errors":["hvs . ` + token[4:] + `"]}`, fault.Refused, "HTTP 400: hvs . [secret]"},
		"400, long":           {400, json, `{"errors":["` + strings.Repeat("x", 10000) + `"]}`, fault.Refused, "xxx..."},
		"huge":                {200, json, strings.Repeat(" ", 100<<20) + readAnswer, fault.Unreachable, "answer larger than 8 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			c, reads := fake(t, answer(tt.status, tt.media, tt.body))
			_, err := get(t, source(t, c), 10*time.Second, "db", 0)
			wantFault(t, err, tt.class, tt.text)
			if tt.class == fault.Unreachable {
				wantReason(t, err, fault.Malformed)
			}
			harmless(t, err, token)
			if n := reads.Load(); n != 1 {
				t.Errorf("%d reads", n)
			}
			if len(err.Error()) > 500 {
				t.Errorf("%d bytes of error", len(err.Error()))
			}
		})
	}
}

// Of an answer that is too large no more is taken in than the limit.
func TestHugeAnswerIsNotRead(t *testing.T) {
	const mib = 1 << 20
	sent := make(chan int, 1)
	c, _ := fake(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		n := 0
		for ; n < 200; n++ {
			if _, err := w.Write(make([]byte, mib)); err != nil {
				break
			}
		}
		sent <- n
	})
	_, err := get(t, source(t, c), 10*time.Second, "db", 0)
	wantFault(t, err, fault.Unreachable, "answer larger than 8 MiB")
	if n := <-sent; n > 50 {
		t.Errorf("took in %d MiB", n)
	}
}

// A server that wants to speak another protocol, and says nothing more, holds
// nobody beyond the deadline: of such a connection net/http lets go.
func TestSwitchedProtocol(t *testing.T) {
	end := make(chan struct{})
	defer close(end)
	c, _ := fake(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n")
		<-end
		_ = conn.Close()
	})
	done := make(chan error, 1)
	go func() {
		_, err := get(t, source(t, c), time.Second, "db", 0)
		done <- err
	}()
	select {
	case err := <-done:
		wantFault(t, err, fault.Unreachable, "it wants to speak another protocol")
		wantReason(t, err, fault.Malformed)
	case <-time.After(5 * time.Second):
		t.Error("it hangs")
	}
}

// Trouble that passes, and trouble that does not before the deadline.
func TestRetries(t *testing.T) {
	reset := func(_ int, w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = conn.(*net.TCPConn).SetLinger(0) // a reset, not an end
			_ = conn.Close()
		}
	}
	truncate := func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(readAnswer)))
		_, _ = io.WriteString(w, readAnswer[:20])
	}
	silent := func(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	slow := func(_ int, w http.ResponseWriter, r *http.Request) {
		for i := range readAnswer {
			_, _ = w.Write([]byte{readAnswer[i]})
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(time.Second):
			}
		}
	}
	echo := func(_ int, w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n"+r.Header.Get("X-Vault-Token")+"\r\n\r\n")
			_ = conn.Close()
		}
	}
	const json = "application/json"
	for name, tt := range map[string]struct {
		trouble func(int, http.ResponseWriter, *http.Request)
		last    string
		once    bool // one read takes all the time there is
	}{
		"412":        {answer(412, json, `{"errors":["required index state not present"]}`), "HTTP 412: required index", false},
		"429":        {answer(429, json, `{"errors":["request path \"x\": rate limit quota exceeded"]}`), "HTTP 429: request path", false},
		"500":        {answer(500, json, `{"errors":["internal error, `+token+`"]}`), "HTTP 500: internal error, [secret]", false},
		"502 HTML":   {answer(502, "text/html", "<h1>"+canary), "HTTP 502", false},
		"sealed":     {answer(503, json, `{"errors":["Vault is sealed"]}`), "sealed (HTTP 503)", false},
		"upgrading":  {answer(400, json, `{"errors":["Upgrading from non-versioned to versioned data."]}`), "HTTP 400: Upgrading", false},
		"reset":      {reset, "connection reset by peer", false},
		"echo":       {echo, `net/http: HTTP/1.x transport connection broken: malformed MIME header: missing colon: "[secret]"`, false},
		"truncated":  {truncate, "the connection broke off", false},
		"no answer":  {silent, "no answer at all", true},
		"slow drips": {slow, "no answer at all", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, reads := fake(t, tt.trouble)
			start := time.Now()
			_, err := get(t, source(t, c), time.Second, "db", 0)
			wantFault(t, err, fault.Unreachable, "last seen: "+tt.last, c.Addresses[0], "secret/data/containers/db")
			hint := strings.Join(fault.Hints(err), "\n")
			for text, of := range map[string]string{"wants TLS": "reset", "vault operator unseal": "sealed", "check the address": ""} {
				if strings.Contains(hint, text) != (name == of) {
					t.Errorf("hint: %s", hint)
				}
			}
			wantReason(t, err, map[string]fault.Reason{"429": fault.Throttled, "sealed": fault.Sealed}[name])
			harmless(t, err, token)
			if d := time.Since(start); d < 900*time.Millisecond || d > 2*time.Second {
				t.Errorf("gave up after %s, the deadline was 1s", d)
			}
			// 50, 100, 200, 400 ms and so on, each cut by up to half.
			if n := reads.Load(); tt.once && n != 1 || !tt.once && (n < 4 || n > 8) {
				t.Errorf("%d reads", n)
			}
			if tt.once {
				return
			}
			c, reads = fake(t, func(n int, w http.ResponseWriter, r *http.Request) {
				if n < 3 {
					tt.trouble(n, w, r)
					return
				}
				_, _ = io.WriteString(w, readAnswer)
			})
			got, err := get(t, source(t, c), 5*time.Second, "db", 0)
			if err != nil {
				t.Fatal(err)
			}
			if reveal(t, got)["K"] != canary || reads.Load() != 3 {
				t.Errorf("%v after %d reads", got, reads.Load())
			}
		})
	}
}

func TestRedirects(t *testing.T) {
	trap := listen(t)
	for _, status := range []int{301, 302, 303, 307, 308} {
		c, reads := fake(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", strings.Replace(trap, "://", "://user:"+canary+"@", 1)+"/v1/x?token="+canary)
			w.WriteHeader(status)
		})
		deadline, text, most, reason := 5*time.Second, "not followed", int64(1), fault.Malformed // somebody who is there, and not Vault
		if status == http.StatusTemporaryRedirect {                                              // a standby that is wrong for a moment
			deadline, text, most, reason = time.Second, "none of the addresses", 8, fault.Standby
		}
		_, err := get(t, source(t, c), deadline, "db", 0)
		wantFault(t, err, fault.Unreachable, "redirected to "+trap+" ", text, "addresses")
		wantReason(t, err, reason)
		if n := reads.Load(); n > most {
			t.Errorf("%d reads", n)
		}
	}
}

func TestNumbersAsWritten(t *testing.T) {
	c, _ := fake(t, answer(200, "application/json", `{"data":{"data":{
		"INT": 9007199254740993, "BIG": 18446744073709551615, "EXP": 1e3, "FLOAT": 1.50, "DEEP": {"b": [1.0, "<\u003c"], "a": null}, "NULL": null
	},"metadata":{"version":7}}}`))
	got, err := get(t, source(t, c), 5*time.Second, "db", 0)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"INT": "9007199254740993", "BIG": "18446744073709551615", "EXP": "1e3", "FLOAT": "1.50", "DEEP": `{"a":null,"b":[1.0,"<<"]}`,
	}
	if diff := cmp.Diff(want, reveal(t, got)); diff != "" {
		t.Error(diff)
	}
	if got.Version != 7 {
		t.Errorf("version %d", got.Version)
	}
}

func TestHeaders(t *testing.T) {
	t.Setenv("VAULT_NAMESPACE", "environment")
	t.Setenv("VAULT_HEADERS", `{"X-Environment":"1"}`)
	t.Setenv("VAULT_WRAP_TTL", "10m")
	var got http.Header
	c, _ := fake(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		_, _ = io.WriteString(w, readAnswer)
	})
	c.Namespace = "team-a"
	if _, err := get(t, source(t, c), 5*time.Second, "db", 0); err != nil {
		t.Fatal(err)
	}
	for header, want := range map[string]string{
		"X-Vault-Namespace": "team-a", "X-Vault-Token": token, "X-Vault-Request": "true",
		"X-Vault-Wrap-Ttl": "", "X-Environment": "",
	} {
		if got.Get(header) != want {
			t.Errorf("%s is %q, want %q", header, got.Get(header), want)
		}
	}
}

func TestCanceled(t *testing.T) {
	c, _ := fake(t, answer(503, "application/json", `{"errors":["Vault is sealed"]}`))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	_, err := source(t, c).Get(ctx, "db", 0)
	wantFault(t, err, fault.Unreachable, "given up")
	harmless(t, err, token)
}

// relay passes connections to host on to a listener, and counts them. 127.0.0.2
// is a host that the listener's certificate is not for.
func relay(t *testing.T, host, address string) (to string, connections *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	connections = new(atomic.Int64)
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return // closed
			}
			connections.Add(1)
			out, err := net.Dial("tcp", strings.TrimPrefix(address, "https://"))
			if err != nil {
				_ = in.Close()
				continue
			}
			go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
			go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
		}
	}()
	return "https://" + l.Addr().String(), connections
}

// listen is an address that must not be connected to.
func listen(t *testing.T) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s went astray", r.Method, r.URL.Path)
	}))
	srv.Config.ConnState = func(net.Conn, http.ConnState) { t.Error("a connection went astray") }
	t.Cleanup(srv.Close)
	return srv.URL
}

// dated is a server whose certificate, its own CA's, is good for an hour before
// and after a time.
func dated(t *testing.T, at time.Time) (address, ca string, from, to time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	from, to = at.Add(-time.Hour), at.Add(time.Hour)
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: to, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(wellAnswered))
	srv.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv.URL, file(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))), from, to
}

// A server that refuses us is no outage, and is not asked again.
func TestRefusedHandshake(t *testing.T) {
	t.Setenv("GODEBUG", "tlsrsakex=1") // the caller's, with which the first one would be spoken to
	for text, config := range map[string]*tls.Config{
		"handshake failure":    {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}, //nolint:gosec // that is the point
		"certificate required": {MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAnyClientCert},
	} {
		srv := httptest.NewUnstartedServer(http.HandlerFunc(wellAnswered))
		srv.Config.ErrorLog = log.New(io.Discard, "", 0)
		srv.TLS = config
		srv.StartTLS()
		t.Cleanup(srv.Close)
		c := at(srv.URL)
		c.CACert = file(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})))
		begun := time.Now()
		_, err := get(t, source(t, c), 5*time.Second, "db", 0)
		wantFault(t, err, fault.Refused, "it refused the TLS handshake: tls: "+text)
		if d := time.Since(begun); d > 2*time.Second {
			t.Errorf("refused after %s", d)
		}
	}
}

// writable is a copy of a file that all can write.
func writable(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	open := file(t, string(data))
	if err := os.Chmod(open, 0o666); err != nil {
		t.Fatal(err)
	}
	return open
}

func checkEnvironment(t *testing.T, name, want string) {
	t.Helper()
	if got := os.Getenv(name); got != want {
		t.Errorf("%s is %q, was %q", name, got, want)
	}
}

// A cluster's servers list each other by the port on which they speak among
// themselves, and `vault operator raft list-peers` prints that.
func TestClusterPort(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errors.New("no") }} // as Vault's does there
	srv.StartTLS()
	t.Cleanup(srv.Close)
	c := config(server, kv2, server.RootToken)
	c.Addresses = []string{srv.URL}
	_, err := get(t, source(t, c), time.Second, "db", 0)
	wantFault(t, err, fault.Unreachable, "remote error: tls: internal error", "check the port", "8201")
}
