// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// However a container names a secret, and however often, it is read once.
func TestReadOnce(t *testing.T) {
	release := make(chan struct{})
	c, reads := fake(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		<-release
		wellAnswered(w, r)
	})
	s := source(t, c)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := recorded(t, s, 5*time.Second, "db"); err != nil {
				t.Error(err)
			}
		})
	}
	close(release)
	wg.Wait()
	for name, version := range map[string]int{"db": 0, "web": 0} {
		if _, err := get(t, s, 5*time.Second, name, version); err != nil {
			t.Error(err)
		}
	}
	if _, err := get(t, s, 5*time.Second, "db", 1); err != nil { // may be another one
		t.Error(err)
	}
	if n := reads.Load(); n != 3 {
		t.Errorf("%d reads, want those of db, web and db's version 1", n)
	}
}

// A refusal stays one.
func TestReadOnceRefused(t *testing.T) {
	c, reads := fake(t, answer(403, "application/json", `{"errors":["permission denied"]}`))
	s := source(t, c)
	for range 3 {
		_, err := get(t, s, 5*time.Second, "db", 0)
		wantFault(t, err, fault.Refused, "do not allow it")
		wantReason(t, err, fault.Denied)
	}
	if n := reads.Load(); n != 1 {
		t.Errorf("%d reads", n)
	}
}

// One that was cut by its caller's own context is no answer for the others.
func TestReadOnceCut(t *testing.T) {
	begun := make(chan struct{})
	c, reads := fake(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			close(begun)
			<-r.Context().Done()
			return
		}
		wellAnswered(w, r)
	})
	s := source(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	cut, waited := make(chan error), make(chan error)
	go func() {
		_, err := s.Get(ctx, "db", 0)
		cut <- err
	}()
	<-begun
	go func() {
		_, err := recorded(t, s, 5*time.Second, "db")
		waited <- err
	}()
	// A third one does not wait any longer than it has time.
	_, err := get(t, s, 100*time.Millisecond, "db", 0)
	wantFault(t, err, fault.Unreachable, "gave up waiting for another read")
	cancel()
	wantFault(t, <-cut, fault.Unreachable, "given up")
	if err := <-waited; err != nil {
		t.Error(err)
	}
	if n := reads.Load(); n != 2 {
		t.Errorf("%d reads", n)
	}
}
