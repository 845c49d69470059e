// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http/httptrace"
	"slices"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/oci-secrets/oci-secrets/resolver"
)

// The waits between attempts double from the first to the last; each is cut by
// up to half at random, so that a host's containers do not retry in step.
const (
	firstWait = 50 * time.Millisecond
	lastWait  = time.Second
)

// leastShare is what one of several servers gets to answer in, however little
// time is left: less than that, and none could.
const leastShare = 500 * time.Millisecond

// maxParallel bounds the requests that are under way at once: well below the
// streams that a server allows one HTTP/2 connection (250, Vault's), beyond
// which the client would open more. The transport's own limits are no way to
// say that: MaxConnsPerHost with StrictMaxConcurrentRequests left requests
// waiting for ever in Go 1.26.
const maxParallel = 32

// sender sends one request.
type sender func(context.Context, *api.Client) (*api.Response, error)

// question is one request, and what came of it so far.
type question struct {
	source   *Source
	what     string // names the step
	hidden   []string
	send     sender
	met      func() // see servers.meet
	begun    time.Time
	seen     []seen // by server
	followed []bool // by server: a redirect pointed there
	last     int    // the server that was asked last; -1 for none
}

// ask sends one request until there is an answer that time will not change, or
// until ctx ends. what names the step, and hidden is what was sent that no
// error may repeat. The answer is Vault's own, and its status is below 500.
//
// A server that cannot answer leaves the request to the next one at once. Only
// when all were asked is there a wait before all are asked again.
func (s *Source) ask(ctx context.Context, what string, hidden []string, send sender) (answer, error) {
	n := len(s.servers.addresses)
	q := &question{
		source: s, what: what, hidden: hidden, send: send, begun: time.Now(),
		seen: make([]seen, n), followed: make([]bool, n), last: -1,
	}
	for _, note := range s.config.notes {
		resolver.RecordOf(ctx).Note("%s", note)
	}
	var err error
	if q.met, err = s.servers.meet(ctx); err != nil {
		return answer{}, q.ended(ctx)
	}
	defer q.met()
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		a, again, err := q.round(ctx)
		q.met()
		switch deadline, bounded := ctx.Deadline(); {
		case err != nil:
			return answer{}, err
		case a != nil:
			return *a, nil
		case ctx.Err() != nil:
			return answer{}, q.ended(ctx)
		case bounded && again.After(deadline):
			return answer{}, q.tooLate(time.Until(again), time.Until(deadline))
		}
		select {
		case <-ctx.Done():
			return answer{}, q.ended(ctx)
		case <-time.After(max(time.Until(again), 0) + wait - rand.N(wait/2)): // jitter
		}
	}
}

// round asks the servers one after another until one of them decides: a is its
// answer. Without one, again is the time before which none of them wants to be
// asked; an error is one that no retry mends, with any of them.
func (q *question) round(ctx context.Context) (a *answer, again time.Time, err error) {
	servers := &q.source.servers
	for queue := servers.order(); len(queue) > 0; {
		i := queue[0]
		queue = queue[1:]
		if time.Now().Before(q.seen[i].until) {
			continue
		}
		q.moveTo(ctx, i)
		got, err := q.once(ctx, i, q.share(ctx, len(queue)))
		if ctx.Err() != nil {
			return nil, again, nil //nolint:nilerr // the attempt's error only repeats that
		}
		if q.seen[i] = q.judge(got, err); q.seen[i] == (seen{}) {
			servers.stay(i)
			return &got, again, nil
		}
		if err != nil || got.down() || q.seen[i].lasting != nil {
			continue
		}
		if got.to == nil {
			// It is there and asks for patience. Others are not to be asked instead.
			servers.stay(i)
			return nil, q.seen[i].until, nil
		}
		if to, ok := servers.at(got.to); ok && !q.followed[to] {
			q.followed[to] = true
			queue = slices.Insert(slices.DeleteFunc(queue, func(j int) bool { return j == to }), 0, to)
		}
	}
	again, err = q.hope()
	return nil, again, err
}

// hope is the time at which there is a server to ask again, or, where no retry
// mends what any of them has, an error of one.
func (q *question) hope() (again time.Time, err error) {
	hope := false
	for _, s := range q.seen {
		switch {
		case s.lasting != nil:
			if err == nil {
				err = s.lasting
			}
		case !hope || s.until.Before(again):
			hope, again = true, s.until
		}
	}
	if hope {
		return again, nil
	}
	return again, err
}

// moveTo tells of another server being asked than the one before.
func (q *question) moveTo(ctx context.Context, i int) {
	record, addresses := resolver.RecordOf(ctx), q.source.servers.addresses
	record.Count("vault_requests")
	if q.last >= 0 {
		record.Count("vault_retries")
		if q.last != i {
			record.Count("vault_failovers")
			record.Note("vault %s: %s; asked %s", addresses[q.last], q.seen[q.last].text, addresses[i])
		}
	}
	q.last = i
}

// share is how long a server may take while others wait to be asked instead: as
// long as each of them, and once more for all of them. 0 is for as long as
// there is time.
func (q *question) share(ctx context.Context, others int) time.Duration {
	deadline, ok := ctx.Deadline()
	if len(q.seen) == 1 || !ok {
		return 0
	}
	return max(time.Until(deadline)/time.Duration(others+2), leastShare)
}

// once makes one attempt with server i, of at most the given time.
func (q *question) once(ctx context.Context, i int, most time.Duration) (answer, error) {
	servers := &q.source.servers
	address := servers.addresses[i].String()
	select {
	case servers.slots <- struct{}{}:
		defer func() { <-servers.slots }()
	case <-ctx.Done():
		return answer{from: address}, ctx.Err()
	}
	if most > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, most)
		defer cancel()
	}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: q.met})
	resp, err := q.send(ctx, servers.client(i))
	// Every status from 400 comes with an error; the answer says more.
	if resp == nil || resp.Response == nil {
		if err == nil {
			err = errors.New("no response")
		}
		return answer{from: address}, err
	}
	var body []byte
	if read, ok := resp.Body.(*wholeBody); ok { // see whole
		body = read.all
	} else if body, err = io.ReadAll(resp.Body); err != nil { // the API client has made a copy
		return answer{from: address}, err
	}
	a := newAnswer(address, resp.Response, body)
	a.hidden = q.hidden
	return a, nil
}
