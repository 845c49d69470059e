// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/private"
	"github.com/oci-secrets/oci-secrets/spec/limit"
)

// errTooLarge is an answer over limit.Answer.
var errTooLarge = fmt.Errorf("answer larger than %d MiB", limit.Answer>>20)

// errSwitched is an answer that makes the connection one of another protocol.
var errSwitched = errors.New("the answer is not Vault's: it wants to speak another protocol")

// environment keeps two Sources from cleaning the environment at once.
var environment sync.Mutex

// connect makes the API client. It dials nothing.
//
// The environment must not matter: api.NewClient takes token, namespace and
// headers from VAULT_* variables, through api.DefaultConfig also fails on
// malformed ones, and offers no way round. So they are taken out of this
// process's environment while it runs, and put back for whoever may still want
// them. The roots of trust are loaded in the same clean room: crypto/x509
// takes them from SSL_CERT_FILE and SSL_CERT_DIR otherwise.
func connect(c Config, address *url.URL) (*api.Client, error) {
	environment.Lock()
	defer environment.Unlock()
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "VAULT_") && !strings.HasPrefix(name, "SSL_CERT_") {
			continue
		}
		if err := os.Unsetenv(name); err != nil {
			return nil, settings("vault: clean the environment: %s", clean(err.Error()))
		}
		defer func() { _ = os.Setenv(name, value) }()
	}

	// This one is not put back: it weakens TLS, and whatever else the standard
	// library was asked to do as of old, for as long as it is there.
	if err := os.Unsetenv("GODEBUG"); err != nil {
		return nil, settings("vault: clean the environment: %s", clean(err.Error()))
	}
	// Nor may the logger of package log, which nobody here writes to but net/http:
	// what a server sends unasked, and all headers and answers where the caller's
	// GODEBUG has http2debug, which was read before we could take it out.
	log.SetOutput(io.Discard)

	dialer := newDialer()
	dialer.local = address.Scheme == "http"
	transport, err := newTransport(c, address, dialer)
	if err != nil {
		return nil, err
	}
	at := address.String()
	if address.Scheme == "unix" {
		at = "http://localhost" // what the Host header says; newTransport has the path
	}
	client, err := api.NewClient(&api.Config{
		Address: at,
		HttpClient: &http.Client{
			Transport:     &whole{base: transport, dialer: dialer},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		// Retries and the deadline are ours (request.go): the client's own know
		// neither which errors last nor what was seen last.
		CheckRetry: func(context.Context, *http.Response, error) (bool, error) { return false, nil },
		// A standby's redirect names a host that the operator did not.
		DisableRedirects: true,
	})
	if err != nil {
		return nil, settings("vault: %s", clean(err.Error()))
	}
	// The default consults VAULT_WRAP_TTL on every request.
	client.SetWrappingLookupFunc(func(string, string) string { return "" })
	if c.Namespace != "" {
		client.SetNamespace(c.Namespace)
	}
	return client, nil
}

func newTransport(c Config, address *url.URL, d *dialer) (*http.Transport, error) {
	var roots *x509.CertPool
	switch {
	case c.CACert != "":
		// Whoever can write this file decides whom the token is sent to.
		pem, err := private.ReadTrusted(c.CACert)
		if err != nil {
			return nil, unreadable("ca_cert", err)
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, settings("vault: ca_cert: %s: no PEM certificate in it", c.CACert)
		}
	case address.Scheme == "https":
		var err error
		if roots, err = x509.SystemCertPool(); err != nil {
			return nil, settings("vault: the system's certificates: %s", clean(err.Error()))
		}
	}
	certificates, err := clientCertificates(c.Auth, address)
	if err != nil {
		return nil, err
	}
	dial := d.connect
	if address.Scheme == "unix" {
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialSocket(ctx, address.Path, c.SocketOwner)
		}
	}
	proxy, err := c.proxyFor(address)
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		Proxy:                  proxy, // of the settings: http.DefaultTransport's is the environment's
		OnProxyConnectResponse: connected,
		DialContext:            dial,
		TLSClientConfig: &tls.Config{
			MinVersion: tls.VersionTLS12, RootCAs: roots, Certificates: certificates, ServerName: c.TLSServerName,
		},
		TLSHandshakeTimeout:    5 * time.Second,
		IdleConnTimeout:        30 * time.Second,
		ForceAttemptHTTP2:      true,        // or a TLS configuration of one's own turns it off
		MaxIdleConnsPerHost:    maxParallel, // for HTTP/1.1, where a connection carries one request at a time
		MaxResponseHeaderBytes: 256 << 10,
	}, nil
}

// whole reads each answer to its end, up to limit.Answer, before it is given on.
// A body that breaks off is thus a network error like any other, and nothing
// above has to limit or close.
//
// A server that fails leaves its connection: where the name has several
// addresses, the next attempt is for another one.
type whole struct {
	base   *http.Transport
	dialer *dialer
	failed atomic.Bool // the last answer was no good
}

func (w *whole) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.failed.CompareAndSwap(true, false) && w.dialer.many.Load() {
		w.base.CloseIdleConnections() // only now: it was not idle then
		w.dialer.another()
	}
	resp, err := w.read(r)
	if err != nil || resp.StatusCode >= 500 {
		w.failed.Store(true)
	}
	return resp, err
}

func (w *whole) read(r *http.Request) (*http.Response, error) {
	resp, err := w.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		_ = resp.Body.Close() // it is the connection, and no context ends its reads
		return nil, errSwitched
	}
	body, err := io.ReadAll(io.LimitReader(spending{r.Context(), resp.Body}, limit.Answer+1))
	_ = resp.Body.Close() // it was only read
	if err != nil {
		return nil, err
	}
	if len(body) > limit.Answer {
		return nil, errTooLarge
	}
	resp.Body = &wholeBody{bytes.NewReader(body), body}
	return resp, nil
}

// wholeBody is a body that was read.
type wholeBody struct {
	*bytes.Reader
	all []byte
}

func (*wholeBody) Close() error { return nil }

// spending reads what counts for the start.
type spending struct {
	ctx context.Context // that of the one request whose answer is read
	io.Reader
}

func (s spending) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if over := resolver.Spend(s.ctx, n); over != nil {
		err = over
	}
	return n, err
}
