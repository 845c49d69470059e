// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/test/rig"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

func TestLeaderGone(t *testing.T) {
	servers := whole(t)
	servers[0].Stop()
	notes, _, err := read(t, 20*time.Second, addresses(servers)...)
	if err != nil {
		t.Fatal(err)
	}
	wantNote(t, notes, "vault "+servers[0].Address+": connection refused; asked "+servers[1].Address)
}

// A frozen server takes connections and says nothing; a standby passes on to it
// until it is missed.
func TestLeaderFrozen(t *testing.T) {
	servers := whole(t)
	servers[0].Freeze(t)
	defer servers[0].Stop() // thawed, it would go on in the belief that it leads
	const deadline = 30 * time.Second
	notes, took, err := read(t, deadline, addresses(servers)...)
	if err != nil {
		t.Fatal(err)
	}
	const handshake = 5 * time.Second // the most that one may take, and less than the server's share
	if took < handshake || took > deadline-handshake {
		t.Errorf("after %s", took)
	}
	wantNote(t, notes, "vault "+servers[0].Address+": no answer in time; asked "+servers[1].Address)

	_, _, err = read(t, time.Second, servers[0].Address)
	wantRefused(t, err, "source-unreachable", "no answer at all")
}

func TestSealed(t *testing.T) {
	servers := whole(t)
	servers[0].Seal(t)
	notes, _, err := read(t, 20*time.Second, addresses(servers)...)
	if err != nil {
		t.Fatal(err)
	}
	wantNote(t, notes, "vault "+servers[0].Address+": sealed (HTTP 503); asked "+servers[1].Address)

	for _, s := range servers {
		s.Stop()
	}
	for _, s := range servers {
		s.RestartSealed(t)
	}
	_, _, err = read(t, 2*time.Second, addresses(servers)...)
	wantRefused(t, err, fault.Sealed,
		servers[0].Address+": sealed (HTTP 503); ", servers[1].Address+": sealed (HTTP 503); ", servers[2].Address+": sealed (HTTP 503)")
}

// One of three is no cluster. It says that nobody leads, or names whom it missed
// last.
func TestNoLeader(t *testing.T) {
	servers := whole(t)
	servers[0].Stop()
	servers[1].Stop()
	_, _, err := read(t, 2*time.Second, addresses(servers)...)
	wantRefused(t, err, fault.Standby, "gave up at the deadline",
		servers[0].Address+": connection refused; "+servers[1].Address+": connection refused; "+servers[2].Address+": ")
}

func TestThrottled(t *testing.T) {
	leader := whole(t)[0]
	lift := leader.Quota(t, "secret", 1, 0)
	if _, _, err := read(t, 10*time.Second, leader.Address); err != nil {
		t.Error(err)
	}
	// The next one waits for its turn.
	if _, _, err := read(t, 10*time.Second, leader.Address); err != nil {
		t.Error(err)
	}
	lift()

	defer leader.Quota(t, "secret", 1, time.Minute)()
	if _, _, err := read(t, 10*time.Second, leader.Address); err != nil {
		t.Error(err)
	}
	// Where its turn is too late, it is not waited for.
	_, took, err := read(t, 10*time.Second, leader.Address)
	wantRefused(t, err, fault.Throttled, "read secret/data/containers/db: it asks to wait ", "and the deadline is in ", "HTTP 429: ")
	if took > 5*time.Second {
		t.Errorf("refused after %s", took)
	}
}

// A standby that sends its clients to the leader instead of asking it for them.
func TestRedirect(t *testing.T) {
	servers := whole(t)
	ca, err := os.ReadFile(vaults.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	standby, err := url.Parse(servers[1].Address)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(&httputil.ReverseProxy{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(standby)
			r.Out.Header.Set("X-Vault-No-Request-Forwarding", "true") // a setting that Vault does not have
		},
	})
	defer srv.Close()
	notes, _, err := read(t, 10*time.Second, srv.URL, servers[2].Address, servers[0].Address)
	if err != nil {
		t.Fatal(err)
	}
	wantNote(t, notes, "vault "+srv.URL+": redirected to "+servers[0].Address+" (HTTP 307); asked "+servers[0].Address)

	_, _, err = read(t, time.Second, srv.URL)
	wantRefused(t, err, fault.Standby, "redirected to "+servers[0].Address+" (HTTP 307), which is none of the addresses")
	if hints := strings.Join(fault.Hints(err), "\n"); !strings.Contains(hints, "addresses") {
		t.Errorf("hints: %s", hints)
	}
}

// A name of two addresses, of which one refuses. That a machine that is off costs
// no more is in resolver/vault: no test can switch one off.
func TestName(t *testing.T) {
	rig.NeedRoot(t)
	servers := whole(t)
	for name, tt := range map[string]struct {
		hosts string
		code  int
	}{
		"both":     {"127.0.0.2 localhost\n127.0.0.1 localhost\n", 0},
		"dead one": {"127.0.0.2 localhost\n", 13},
	} {
		t.Run(name, func(t *testing.T) {
			hosts := filepath.Join(t.TempDir(), "hosts")
			rig.WriteFile(t, hosts, tt.hosts, 0o644)
			b := rig.NewBundle(t, "", nil)
			named := &vaulttest.Server{Address: strings.Replace(servers[0].Address, "127.0.0.1", "localhost", 1)}
			b.WriteSettings(t, "config.toml", settings(t, b, 2*time.Second, named))
			res := rig.Run(t, "unshare", "-m", "sh", "-c", `mount --bind "$0" /etc/hosts && exec "$@"`, hosts,
				rig.Binary(t), "explain", "--config", b.Config, "--annotation", "secrets.oci/from=db")
			if res.Code != tt.code {
				t.Errorf("exit code %d, want %d: %s", res.Code, tt.code, res.Stderr)
			}
			if tt.code != 0 && !strings.Contains(res.Stderr, "connection refused") {
				t.Errorf("%s", res.Stderr)
			}
		})
	}
}
