// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
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

	_, err = newDialer().connect(t.Context(), "tcp", "vault.invalid:1")
	var dns *net.DNSError
	if !errors.As(err, &dns) {
		t.Errorf("error %v, want the resolver's", err)
	}
}
