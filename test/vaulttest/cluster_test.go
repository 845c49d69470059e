// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"context"
	"net/http"
	"testing"
	"time"
)

func TestCluster(t *testing.T) {
	c := StartCluster(t, 3)
	first := c.Leader(t)
	first.Mount(t, "kv", 1)
	var standby *Server
	for _, s := range c.Servers {
		if s != first {
			standby = s
		}
	}
	standby.Put(t, 1, "kv", "a", map[string]any{"N": "1"}) // passed on

	// Not passed on, when the client says so.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, standby.Address+"/v1/kv/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"X-Vault-Token": {c.RootToken}, "X-Vault-No-Request-Forwarding": {"true"}}
	r, err := standby.Client.CloneConfig().HttpClient.Transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Body.Close()
	if at := r.Header.Get("Location"); r.StatusCode != http.StatusTemporaryRedirect || at != first.Address+"/v1/kv/a" {
		t.Errorf("%d to %q", r.StatusCode, at)
	}

	// One audit log, whoever leads.
	var second *Server
	calls := c.Calls(t, func() {
		wantRead(t, first)
		first.Stop()
		second = c.WaitLeader(t)
		wantRead(t, second)
	})
	if second == first {
		t.Error("the killed server leads")
	}
	reads := 0
	for _, call := range calls {
		if call.Path == "kv/a" && call.Operation == "read" {
			reads++
		}
	}
	if reads != 2 {
		t.Errorf("%d reads: %+v", reads, calls)
	}

	first.Restart(t)
	wantRead(t, first)
	second.Freeze(t)
	third := c.WaitLeader(t)
	if third == second {
		t.Error("the frozen server leads")
	}
	wantRead(t, third)
	second.Thaw(t)
	if c.WaitLeader(t) != third {
		t.Error("the thawed server leads")
	}
}

// wantRead waits for the server to have joined the others again.
func wantRead(t *testing.T, s *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var last error
	err := poll(ctx, func() bool {
		_, last = s.Client.Logical().ReadWithContext(ctx, "kv/a")
		return last == nil
	})
	if err != nil {
		t.Fatalf("%v: %v", err, last)
	}
}

func TestRestart(t *testing.T) {
	s := Start(t, Options{Persistent: true})
	s.Mount(t, "kv", 1)
	s.Put(t, 1, "kv", "a", map[string]any{"N": "1"})
	address := s.Address
	s.Stop()
	if _, err := s.Client.Sys().LeaderWithContext(t.Context()); err == nil {
		t.Error("a stopped server answers")
	}
	s.Restart(t)
	wantRead(t, s)
	if s.Address != address {
		t.Errorf("now at %s, was at %s", s.Address, address)
	}

	s.Freeze(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := s.Client.Sys().LeaderWithContext(ctx); err == nil {
		t.Error("a frozen server answers")
	}
	s.Thaw(t)
	wantRead(t, s)
}
