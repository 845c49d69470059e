// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/lease"
	"github.com/oci-secrets/oci-secrets/resolver/memory"
	"github.com/oci-secrets/oci-secrets/resolver/process"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// giveBackTime is for giving a lease back that nobody will use, beyond the
// deadline of the start, which may be spent.
const giveBackTime = 2 * time.Second

// dynamic is what a Source read below the paths of Config.Dynamic.
type dynamic struct {
	answers memo[string, *resolver.Secret] // by name: asking twice would lease twice

	mu     sync.Mutex
	under  sync.WaitGroup // the reads that may still lease
	closed bool           // by Release: nothing is leased any more
	leased []lease.Record
}

// begin begins a read that may lease, unless it is too late for that.
func (d *dynamic) begin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.under.Add(1)
	}
	return !d.closed
}

func (d *dynamic) add(r lease.Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leased = append(d.leased, r)
}

// own are what a server has of its own, besides what is mounted. A GET tells of
// the host's login there, as auth/token/lookup-self does the token itself.
var own = []string{"sys", "auth", "identity", "cubbyhole"}

// checkDynamic refuses a path below which names would lead to more than answers
// that are made for who asks, whatever the token may do.
func (c Config) checkDynamic(p string) error {
	first, _, _ := strings.Cut(p, "/")
	switch {
	case !plain(p):
		return settings("vault: dynamic %q: parts are letters, digits, '.', '_' and '-', joined by '/'", p)
	case slices.Contains(own, first):
		return settings("vault: dynamic %q: what is below %s is the server's own, and no container's", p, first)
	case within(c.Mount, p), within(p, c.Mount):
		return fault.New(fault.Settings, "a name without dynamic leads there already, below prefix",
			"vault: dynamic %q: names would lead to all secrets of mount %q, whatever prefix says", p, c.Mount)
	}
	return nil
}

// within reports whether path p is below, or is, path above.
func within(p, above string) bool {
	rest, ok := strings.CutPrefix(p, above)
	return ok && (rest == "" || rest[0] == '/')
}

// isDynamic reports whether a name is a path at or below one of Config.Dynamic.
func (s *Source) isDynamic(name string) bool {
	return slices.ContainsFunc(s.config.Dynamic, func(p string) bool { return within(name, p) })
}

// getDynamic reads a secret that the server makes for who asks.
func (s *Source) getDynamic(ctx context.Context, name string, version int) (*resolver.Secret, error) {
	if version != 0 {
		return nil, s.fault(fault.Missing, "", "%s has no version %d: what is made for who asks has no versions", name, version)
	}
	started := ""
	if !s.config.Trial {
		if s.container.ID == "" {
			return nil, s.fault(fault.Delivery, "use the hook or the runtime shim instead of podman's filter",
				"%s is leased for as long as a container runs, and there is none yet", name)
		}
		var err error
		if started, err = process.Started(s.container.Pid); err != nil {
			return nil, s.fault(fault.Delivery, "", "%s is leased for as long as process %d runs: %s", name, s.container.Pid, clean(err.Error()))
		}
	}
	secret, err := s.dynamic.answers.get(ctx, name, func() (*resolver.Secret, error) {
		if !s.dynamic.begin() {
			return nil, s.fault(fault.Unreachable, "", "read %s: given up", name)
		}
		defer s.dynamic.under.Done()
		return s.lease(ctx, name, started)
	})
	if err != nil && errors.Is(err, ctx.Err()) {
		return nil, s.fault(fault.Unreachable, "", "read %s: no answer before the deadline", name)
	}
	return secret, err
}

// lease reads what is at a path, and records the lease of the answer.
func (s *Source) lease(ctx context.Context, at, started string) (*resolver.Secret, error) {
	if err := s.refusedRead(ctx, at); err != nil {
		return nil, err
	}
	var issued time.Duration
	a, o, err := s.insist(ctx, func(o *opening) (answer, error) {
		defer resolver.RecordOf(ctx).Phase("read")()
		issued = memory.Now() // before it is, rather than after
		return s.getAs(ctx, o.login.value.token.Reveal(), at)
	})
	if err != nil {
		return nil, err
	}
	err = s.refusal(at, a)
	s.settle(ctx, err, o.final(isInvalid(a)), at)
	if err != nil {
		return nil, err
	}
	var got struct {
		LeaseID       string `json:"lease_id"`
		LeaseDuration int64  `json:"lease_duration"` // seconds
		Renewable     bool
		Data          json.RawMessage
	}
	if json.Unmarshal(a.body, &got) != nil {
		return nil, s.strange("read "+at, a)
	}
	if got.LeaseID != "" {
		ttl := seconds(got.LeaseDuration)
		if err := s.record(ctx, lease.Record{
			Container: s.container.ID, Bundle: s.container.Bundle, Pid: s.container.Pid, Started: started,
			ID: got.LeaseID, Path: at, Issued: issued, Asked: ttl, TTL: ttl, Renewable: got.Renewable,
			Session: s.sessionOf(ctx, o.login.value),
		}); err != nil {
			return nil, err
		}
	}
	var keys map[string]value
	if json.Unmarshal(got.Data, &keys) != nil || keys == nil {
		return nil, s.strange("read "+at, a)
	}
	return &resolver.Secret{Source: s.Name(), Lease: got.LeaseID, Entries: entries(keys)}, nil
}

// getAs reads with a token that the client's may not be any more: another read may
// have logged in anew, and a lease ends with the token that it was made with.
func (s *Source) getAs(ctx context.Context, token, at string) (answer, error) {
	return s.ask(ctx, "read "+at, []string{token}, func(ctx context.Context, c *api.Client) (*api.Response, error) {
		r := c.NewRequest(http.MethodGet, "/v1/"+at)
		r.ClientToken = token
		return c.RawRequestWithContext(ctx, r) //nolint:staticcheck // what else there is takes the client's token
	})
}

// refusal is what an answer to a read says, where it is not a secret.
func (s *Source) refusal(at string, a answer) error {
	switch a.status {
	case http.StatusOK:
		return nil
	case http.StatusNotFound:
		return s.missing(at, "", 0, a)
	case http.StatusForbidden:
		return s.forbidden("read "+at, at, "read", a)
	}
	return s.fault(fault.Refused, "", "read %s: %s", at, a.seen())
}

// record sees to it that a lease is given back at its time, or else at once.
func (s *Source) record(ctx context.Context, r lease.Record) error {
	resolver.RecordOf(ctx).Count("leases")
	var unrecorded error
	if !s.config.Trial {
		if unrecorded = lease.Put(s.config.StateDir, r); unrecorded == nil {
			s.dynamic.add(r)
			return nil
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackTime)
	defer cancel()
	err := s.Revoke(ctx, r.ID)
	if unrecorded == nil {
		return err
	}
	then := "it is given back"
	if err != nil {
		then = "it lives on until its time: " + clean(err.Error())
	}
	return s.fault(fault.Delivery, strings.Join(fault.Hints(unrecorded), "; "), "what %s leased cannot be recorded in %s: %s; %s",
		r.Path, s.config.StateDir, clean(unrecorded.Error()), then)
}

// Release gives back what this Source was leased. It waits for reads that are
// under way, which end with their contexts.
func (s *Source) Release(ctx context.Context) error {
	s.dynamic.mu.Lock()
	s.dynamic.closed = true
	s.dynamic.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.dynamic.under.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done(): // what is recorded until now
	}
	s.dynamic.mu.Lock()
	leased := s.dynamic.leased
	s.dynamic.leased = nil
	s.dynamic.mu.Unlock()
	return lease.GiveBack(ctx, s.config.StateDir, leased, func(string) (lease.Server, error) { return s, nil })
}
