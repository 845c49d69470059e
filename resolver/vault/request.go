// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/spec/fault"
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
	begun    time.Time
	seen     []seen // by server
	followed []bool // by server: a redirect pointed there
	last     int    // the server that was asked last; -1 for none
}

// seen is what came of a server when it was asked last.
type seen struct {
	text    string // "" for a server that was not asked
	reason  fault.Reason
	hint    string
	lasting error     // no retry mends it
	until   time.Time // it asked not to be asked before
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
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		a, again, err := q.round(ctx)
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

// judge says what is in the way of an attempt's answer being the one; nothing
// is where it is.
func (q *question) judge(a answer, err error) seen {
	always := func(err *fault.Error) seen { return seen{text: q.bare(err), reason: err.Reason, lasting: err} }
	switch {
	case err != nil:
		if f := lasting(a.from, err); f != nil {
			return always(f)
		}
		return seen{text: network(err, q.hidden)}
	case a.passing():
		s := seen{text: a.seen(), reason: a.reason()}
		if a.after > 0 {
			s.until = time.Now().Add(a.after)
		}
		return s
	case a.to != nil:
		return q.redirected(a)
	case a.status == http.StatusBadRequest && bytes.Contains(a.body, []byte("HTTP request to an HTTPS server")):
		// net/http's own answer, Vault's and OpenBao's server among them.
		return always(faultOf(a.from, fault.Settings, "write the address with https://",
			"the address says http and the server speaks TLS"))
	case !a.isVaults() && !a.isNothing():
		return always(strange(q.what, a))
	}
	return seen{}
}

// redirected is seen of a redirect, which leads to one of the servers or nowhere.
//
// Vault's own is 307, of a standby that could not pass a request on to the server
// that it takes for the active one. When that has died it is wrong for a moment,
// and time mends it, whatever it points to. Others are somebody else's, who is there
// and not Vault.
func (q *question) redirected(a answer) seen {
	const hint = "list the active server in addresses, or set the address to a load balancer that finds it"
	to := "nowhere"
	if a.to.Host != "" {
		to = clean(a.to.String())
	}
	text := fmt.Sprintf("redirected to %s (HTTP %d)", to, a.status)
	i, ok := q.source.servers.at(a.to)
	switch a.status {
	case http.StatusTemporaryRedirect:
		if !ok {
			return seen{text: text + ", which is none of the addresses", reason: fault.Standby, hint: hint}
		}
		return seen{text: text, reason: fault.Standby}
	case http.StatusMovedPermanently, http.StatusFound, http.StatusPermanentRedirect:
		if ok && q.source.servers.addresses[i].String() != a.from {
			return seen{text: text, reason: fault.Standby}
		}
	}
	text += "; redirects are not followed but to one of the addresses"
	return seen{text: text, lasting: faultOf(a.from, fault.Unreachable, hint, "%s: %s", q.what, text).Because(fault.Malformed)}
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
	resp, err := q.send(ctx, servers.client(i))
	// Every status from 400 comes with an error; the answer says more.
	if resp == nil || resp.Response == nil {
		if err == nil {
			err = errors.New("no response")
		}
		return answer{from: address}, err
	}
	body, err := io.ReadAll(resp.Body) // from memory, see whole
	if err != nil {
		return answer{from: address}, err
	}
	a := newAnswer(address, resp.Response, body)
	a.hidden = q.hidden
	return a, nil
}

// tooLate is the error of a server that wants to be asked again only when the
// time is over.
func (q *question) tooLate(wait, left time.Duration) error {
	text, reason := q.sum()
	return q.fault("%s: it asks to wait %s, and the deadline is in %s; last seen: %s",
		q.what, wait.Round(time.Second), left.Round(time.Millisecond), text).Because(reason)
}

// ended is the error of a context that is over.
func (q *question) ended(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return q.fault("%s: given up before there was an answer", q.what)
	}
	text, reason := q.sum()
	return q.fault("%s: gave up at the deadline, after %s; last seen: %s",
		q.what, time.Since(q.begun).Round(time.Millisecond), text).Because(reason)
}

// fault is an error about all servers.
func (q *question) fault(format string, args ...any) *fault.Error {
	hint := ""
	for i, s := range q.seen {
		hint = cmp.Or(hint, s.advice(q.source.servers.addresses[i]))
	}
	if len(q.seen) == 1 {
		return q.source.fault(fault.Unreachable, hint, format, args...)
	}
	return faultOf(fmt.Sprintf("(%d servers)", len(q.seen)), fault.Unreachable, hint, format, args...)
}

// advice is the hint for what was seen of the server at an address.
func (s seen) advice(address *url.URL) string {
	switch {
	case s.hint != "":
		return s.hint
	case s.reason == fault.Sealed:
		return "`vault operator unseal` opens a server that is sealed"
	case address.Scheme == "http" && strings.Contains(s.text, "connection reset"):
		return "a server that wants TLS does that; write its address with https://"
	case strings.Contains(s.text, "connection refused"), strings.Contains(s.text, "no such host"):
		return "check the address under [vault], and that a server listens there"
	}
	return ""
}

// sum says what was seen of each server, and the reason of the one that was
// asked last, or else of any.
func (q *question) sum() (text string, reason fault.Reason) {
	if q.last >= 0 {
		reason = q.seen[q.last].reason
	}
	var texts []string
	for i, s := range q.seen {
		if s.text == "" {
			s.text = "no answer at all"
		}
		if len(q.seen) > 1 {
			s.text = q.source.servers.addresses[i].String() + ": " + s.text
		}
		texts = append(texts, s.text)
		if reason == "" {
			reason = s.reason
		}
	}
	return strings.Join(texts, "; "), reason
}

// bare is the text of an error about a server without what names server and
// step.
func (q *question) bare(err error) string {
	_, text, _ := strings.Cut(err.Error(), ": ")
	return strings.TrimPrefix(text, q.what+": ")
}
