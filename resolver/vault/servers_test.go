// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/vault"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// Several servers, of which some are in trouble. What real ones do is in
// test/cluster.

// node is a server all of whose answers are h's, and how many they were.
func node(t *testing.T, h http.HandlerFunc) (address string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		h(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, asked
}

// wellAnswered answers as Vault would.
func wellAnswered(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/v1/sys/internal/ui/mounts/") {
		_, _ = io.WriteString(w, mountAnswer)
		return
	}
	_, _ = io.WriteString(w, readAnswer)
}

// bad gives one answer to everything.
func bad(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// frozen takes connections and answers nothing.
func frozen(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// refusing is an address where nobody listens.
func refusing(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close() // for its port
	return "http://" + l.Addr().String()
}

// at is what an operator would write for these servers.
func at(addresses ...string) vault.Config {
	return vault.Config{
		Addresses: addresses, Prefix: "containers", Auth: vault.Auth{Method: "token", Token: resolver.NewValue(token)},
	}
}

// recorded is get, with what is told of it.
func recorded(t *testing.T, s *vault.Source, deadline time.Duration, name string) (*resolver.Record, error) {
	t.Helper()
	record := &resolver.Record{}
	ctx, cancel := context.WithTimeout(resolver.WithRecord(t.Context(), record), deadline)
	defer cancel()
	secret, err := s.Get(ctx, name, 0)
	if err != nil {
		harmless(t, err, token)
		return record, err
	}
	if got := reveal(t, secret)["K"]; got != canary {
		t.Errorf("K is %q", got)
	}
	return record, nil
}

func TestFailover(t *testing.T) {
	const nobody = "http://127.0.0.3:1"
	for name, tt := range map[string]struct {
		first http.HandlerFunc // nil: nobody listens
		note  string
	}{
		"refused":         {nil, "connection refused"},
		"sealed":          {bad(503, `{"errors":["Vault is sealed"]}`), "sealed (HTTP 503)"},
		"standby":         {bad(500, `{"errors":["local node not active but active cluster node not found"]}`), "HTTP 500: local node not active but active cluster node not found"},
		"error":           {bad(500, `{"errors":["internal error, `+token+`"]}`), "HTTP 500: internal error, [secret]"},
		"HTML error":      {bad(502, "<h1>"), "HTTP 502"},
		"HTML":            {bad(200, "<h1>"), "the answer is not Vault's: HTTP 200, application/json, 4 bytes"},
		"frozen":          {frozen, "no answer in time"},
		"come back later": {bad(503, `{"errors":["maintenance"]}`, "Retry-After", "3600"), "HTTP 503: maintenance"},
		"redirect away":   {bad(307, "", "Location", nobody+"/v1/x"), "redirected to " + nobody + " (HTTP 307), which is none of the addresses"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, asked := refusing(t), new(atomic.Int64)
			if tt.first != nil {
				a, asked = node(t, tt.first)
			}
			b, _ := node(t, wellAnswered)
			s := source(t, at(a, b))
			record, err := recorded(t, s, 3*time.Second, "db")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"vault " + a + ": " + tt.note + "; asked " + b}, record.Notes()); diff != "" {
				t.Error(diff)
			}
			// It stays where there was an answer: the mount's, then the secret's.
			want := map[string]int{"vault_requests": 3, "vault_retries": 1, "vault_failovers": 1}
			if diff := cmp.Diff(want, record.Counts()); diff != "" {
				t.Error(diff)
			}
			if record, err = recorded(t, s, 3*time.Second, "web"); err != nil || len(record.Notes()) > 0 {
				t.Errorf("%v, %q", err, record.Notes())
			}
			if n := asked.Load(); n > 1 {
				t.Errorf("the first server was asked %d times", n)
			}
		})
	}
}

// A server that stops in the middle, and comes back when the other is gone.
func TestFailoverAndBack(t *testing.T) {
	var down atomic.Int64 // which one
	var addresses []string
	for i := range 2 {
		address, _ := node(t, func(w http.ResponseWriter, r *http.Request) {
			if down.Load() == int64(i) {
				bad(503, `{"errors":["Vault is sealed"]}`)(w, r)
				return
			}
			wellAnswered(w, r)
		})
		addresses = append(addresses, address)
	}
	s := source(t, at(addresses...))
	for i, which := range []int64{1, 0, 1, 0} {
		down.Store(which)
		if _, err := recorded(t, s, 5*time.Second, fmt.Sprint("db", i)); err != nil {
			t.Fatal(err)
		}
	}
}

// None answers: each is asked, again and again, and each is in the error.
func TestNoServer(t *testing.T) {
	sealed := bad(503, `{"errors":["Vault is sealed"]}`)
	standby := bad(500, `{"errors":["local node not active but active cluster node not found"]}`)
	for name, tt := range map[string]struct {
		nodes  []http.HandlerFunc
		texts  []string
		reason fault.Reason
	}{
		"refused":         {[]http.HandlerFunc{nil, nil}, []string{"connection refused"}, ""},
		"sealed":          {[]http.HandlerFunc{sealed, sealed}, []string{"sealed (HTTP 503)"}, fault.Sealed},
		"no active one":   {[]http.HandlerFunc{nil, standby, nil}, []string{"HTTP 500: local node not active"}, fault.Standby},
		"sealed, frozen":  {[]http.HandlerFunc{frozen, sealed}, []string{"no answer in time", "sealed"}, fault.Sealed},
		"frozen, refused": {[]http.HandlerFunc{frozen, nil, frozen}, []string{"no answer in time", "connection refused"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c vault.Config
			var counts []*atomic.Int64
			for _, h := range tt.nodes {
				a := refusing(t)
				if h != nil {
					var n *atomic.Int64
					a, n = node(t, h)
					counts = append(counts, n)
				}
				c = at(append(c.Addresses, a)...)
			}
			begun := time.Now()
			_, err := recorded(t, source(t, c), 2*time.Second, "db")
			wantFault(t, err, fault.Unreachable, append(slices.Clone(tt.texts), c.Addresses...)...)
			// The question begins a moment after its deadline was set, so it has a little less than 2 s.
			told := regexp.MustCompile(fmt.Sprintf(`vault \(%d servers\): look up mount secret: gave up at the deadline, after (1\.9\d*|2(\.\d+)?)s; last seen: `, len(c.Addresses)))
			if !told.MatchString(err.Error()) {
				t.Errorf("error does not match %s: %v", told, err)
			}
			wantReason(t, err, tt.reason)
			if d := time.Since(begun); d < 1900*time.Millisecond || d > 3*time.Second {
				t.Errorf("gave up after %s", d)
			}
			for i, n := range counts {
				if n.Load() < 1 {
					t.Errorf("server %d was not asked", i)
				}
			}
		})
	}
}

// What no retry mends, with any of the servers, is told at once.
func TestNoServerEver(t *testing.T) {
	a, _ := node(t, bad(200, "<h1>"))
	b, _ := node(t, bad(200, "<h1>"))
	begun := time.Now()
	_, err := recorded(t, source(t, at(a, b)), 5*time.Second, "db")
	wantFault(t, err, fault.Unreachable, "vault "+a+": look up mount secret: the answer is not Vault's")
	wantReason(t, err, fault.Malformed)
	if d := time.Since(begun); d > 2*time.Second {
		t.Errorf("retried what does not mend: %s", d)
	}
}

// A no is an answer: nobody else is asked.
func TestRefusalIsFinal(t *testing.T) {
	a, _ := node(t, bad(403, `{"errors":["permission denied"]}`))
	_, err := recorded(t, source(t, at(a, listen(t))), 5*time.Second, "db")
	wantFault(t, err, fault.Refused, "permission denied")
	wantReason(t, err, fault.Denied)
}

func TestRedirectToServer(t *testing.T) {
	for _, status := range []int{301, 302, 307, 308} {
		to, _ := node(t, wellAnswered)
		a, asked := node(t, bad(status, "", "Location", to+"/v1/x"))
		record, err := recorded(t, source(t, at(a, refusing(t), to)), 5*time.Second, "db")
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("vault %s: redirected to %s (HTTP %d); asked %s", a, to, status, to)
		if diff := cmp.Diff([]string{want}, record.Notes()); diff != "" || asked.Load() != 1 {
			t.Error(diff, asked.Load())
		}
	}

	// Two that each take the other for the active one.
	var addresses [2]string
	var counts [2]*atomic.Int64
	for i := range addresses {
		addresses[i], counts[i] = node(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", addresses[1-i]+"/v1/x")
			w.WriteHeader(http.StatusTemporaryRedirect)
		})
	}
	_, err := recorded(t, source(t, at(addresses[:]...)), time.Second, "db")
	wantFault(t, err, fault.Unreachable, "gave up at the deadline", "redirected to "+addresses[0], "redirected to "+addresses[1])
	wantReason(t, err, fault.Standby)
	if a, b := counts[0].Load(), counts[1].Load(); a > 10 || b > 10 {
		t.Errorf("%d and %d requests", a, b)
	}
}

func TestRetryAfter(t *testing.T) {
	const throttled = `{"errors":["request path \"secret/data/containers/db\": rate limit quota exceeded"]}`
	fast := time.Now().Add(time.Hour).UTC() // the server's clock
	for name, tt := range map[string]struct {
		status  int
		headers []string
		wait    time.Duration // least; 0 for a refusal
		texts   []string
		reason  fault.Reason
	}{
		"429, in time":       {429, []string{"Retry-After", "1"}, time.Second, nil, ""},
		"503, in time":       {503, []string{"Retry-After", "1"}, time.Second, nil, ""},
		"none":               {429, nil, time.Nanosecond, nil, ""},
		"nonsense":           {429, []string{"Retry-After", "-1"}, time.Nanosecond, nil, ""},
		"past":               {429, []string{"Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT"}, time.Nanosecond, nil, ""},
		"date":               {429, []string{"Retry-After", fast.Add(2 * time.Second).Format(http.TimeFormat), "Date", fast.Format(http.TimeFormat)}, time.Second, nil, ""},
		"429, too late":      {429, []string{"Retry-After", "60"}, 0, []string{"read secret/data/containers/db: it asks to wait 1m0s, and the deadline is in ", "last seen: HTTP 429: request path"}, fault.Throttled},
		"503, too late":      {503, []string{"Retry-After", "60"}, 0, []string{"it asks to wait 1m0s"}, ""},
		"date, too late":     {429, []string{"Retry-After", fast.Add(time.Hour).Format(http.TimeFormat), "Date", fast.Format(http.TimeFormat)}, 0, []string{"it asks to wait 1h0m0s"}, fault.Throttled},
		"beyond every clock": {429, []string{"Retry-After", "99999999999999999999"}, 0, []string{"it asks to wait 596523h14m7s"}, fault.Throttled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, reads := fake(t, func(n int, w http.ResponseWriter, r *http.Request) {
				if n > 1 {
					wellAnswered(w, r)
					return
				}
				bad(tt.status, throttled, tt.headers...)(w, r)
			})
			begun := time.Now()
			_, err := get(t, source(t, c), 5*time.Second, "db", 0)
			took := time.Since(begun)
			if tt.wait > 0 {
				if err != nil || took < tt.wait || took > 4*time.Second || reads.Load() != 2 {
					t.Errorf("%v after %s and %d reads", err, took, reads.Load())
				}
				return
			}
			wantFault(t, err, fault.Unreachable, tt.texts...)
			wantReason(t, err, tt.reason)
			if took > 2*time.Second || reads.Load() != 1 {
				t.Errorf("after %s and %d reads", took, reads.Load())
			}
		})
	}
}

// To ask another server would not be patience.
func TestThrottledAsksNobodyElse(t *testing.T) {
	a, asked := node(t, bad(429, `{"errors":["rate limit quota exceeded"]}`, "Retry-After", "60"))
	_, err := recorded(t, source(t, at(a, listen(t))), 5*time.Second, "db")
	wantFault(t, err, fault.Unreachable, "it asks to wait 1m0s", a+": HTTP 429")
	wantReason(t, err, fault.Throttled)
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}

	// Nor while there is time to wait.
	var n atomic.Int64
	a, _ = node(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 1 {
			bad(429, `{"errors":["rate limit quota exceeded"]}`, "Retry-After", "1")(w, r)
			return
		}
		wellAnswered(w, r)
	})
	if _, err := recorded(t, source(t, at(a, listen(t))), 5*time.Second, "db"); err != nil {
		t.Error(err)
	}
}

// What one server asks for does not bind the others, and they do not free of it.
func TestRetryAfterInCompany(t *testing.T) {
	a, asked := node(t, bad(503, `{"errors":["maintenance"]}`, "Retry-After", "3600"))
	b, others := node(t, bad(500, `{"errors":["internal error"]}`))
	_, err := recorded(t, source(t, at(a, b)), time.Second, "db")
	wantFault(t, err, fault.Unreachable, "gave up at the deadline", "maintenance", "internal error")
	if asked.Load() != 1 || others.Load() < 3 {
		t.Errorf("asked %d and %d times", asked.Load(), others.Load())
	}

	// After a wait the one that asked for it is asked, and not those before it.
	a, asked = node(t, bad(503, `{"errors":["Vault is sealed"]}`))
	var n atomic.Int64
	b, _ = node(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 1 {
			bad(429, `{"errors":["rate limit quota exceeded"]}`, "Retry-After", "1")(w, r)
			return
		}
		wellAnswered(w, r)
	})
	if _, err := recorded(t, source(t, at(a, b)), 5*time.Second, "db"); err != nil || asked.Load() != 1 {
		t.Errorf("%v, asked %d times", err, asked.Load())
	}
}
