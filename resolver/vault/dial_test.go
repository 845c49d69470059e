// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A name of several addresses, of which one answers.
func TestDial(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	const off = "192.0.2.1" // a machine that is off, and refuses nothing
	for name, tt := range map[string]struct {
		hosts []string
		most  time.Duration
		err   error
	}{
		"one":                   {[]string{"127.0.0.1"}, headStart, nil},
		"refused first":         {[]string{"127.0.0.2", "127.0.0.1"}, headStart, nil},
		"off first":             {[]string{off, "127.0.0.1"}, 2 * headStart, nil},
		"off, off and refused":  {[]string{off, off, "127.0.0.2", "127.0.0.1"}, 3 * headStart, nil},
		"all refused":           {[]string{"127.0.0.2", "127.0.0.3"}, headStart, syscall.ECONNREFUSED},
		"off, until it is over": {[]string{off}, 5 * headStart, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDialer()
			d.lookup = func(context.Context, string) ([]string, error) { return tt.hosts, nil }
			dial := d.dial
			d.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				if strings.HasPrefix(address, off) {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return dial(ctx, network, address)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 4*headStart)
			defer cancel()
			begun := time.Now()
			conn, err := d.connect(ctx, "tcp", "vault.test:"+port)
			if took := time.Since(begun); took > tt.most {
				t.Errorf("took %s", took)
			}
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err == nil {
				_ = conn.Close()
			}
		})
	}

	// What is not encrypted goes to nobody else, whatever a name server says of localhost.
	for _, hosts := range [][]string{{"192.0.2.1"}, {"127.0.0.1", "192.0.2.1"}, nil} {
		d := newDialer()
		d.local = true
		d.lookup = func(context.Context, string) ([]string, error) { return hosts, nil }
		d.dial = func(_ context.Context, _, address string) (net.Conn, error) {
			t.Errorf("%v: dialled %s", hosts, address)
			return nil, errors.New("no")
		}
		if _, err := d.connect(t.Context(), "tcp", "localhost:"+port); !errors.Is(err, errElsewhere) || lasting("http://localhost", err) == nil {
			t.Errorf("%v: %v", hosts, err)
		}
	}

	_, err = newDialer().connect(t.Context(), "tcp", "vault.invalid:1")
	var dns *net.DNSError
	if !errors.As(err, &dns) {
		t.Errorf("error %v, want the resolver's", err)
	}
}

// A name of three servers, of which two are sealed.
func TestDialAnother(t *testing.T) {
	hosts := []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"}
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		port := "0"
		var asked []string
		roots := x509.NewCertPool()
		for i, host := range hosts {
			l, err := net.Listen("tcp", net.JoinHostPort(host, port))
			if err != nil {
				t.Fatal(err)
			}
			_, port, _ = net.SplitHostPort(l.Addr().String())
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Proto != protocol {
					t.Errorf("%s, want %s", r.Proto, protocol)
				}
				asked = append(asked, host)
				if i < 2 {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
			}))
			_ = srv.Listener.Close()
			srv.Listener, srv.EnableHTTP2 = l, protocol == "HTTP/2.0"
			srv.StartTLS()
			defer srv.Close()
			roots.AddCert(srv.Certificate())
		}
		d := newDialer()
		d.lookup = func(context.Context, string) ([]string, error) { return hosts, nil }
		transport, err := newTransport(Config{}, &url.URL{Scheme: "http"}, d) // without the roots of the environment
		if err != nil {
			t.Fatal(err)
		}
		transport.TLSClientConfig.RootCAs = roots
		client := http.Client{Transport: &whole{base: transport, dialer: d}}
		for range 5 {
			resp, err := client.Get("https://example.com:" + port) // of httptest's certificate
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			time.Sleep(firstWait / 2) // as between attempts
		}
		if diff := cmp.Diff([]string{hosts[0], hosts[1], hosts[2], hosts[2], hosts[2]}, asked); diff != "" {
			t.Errorf("%s: %s", protocol, diff)
		}
		transport.CloseIdleConnections()
	}
}
