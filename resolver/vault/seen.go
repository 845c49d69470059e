// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// seen is what came of a server when it was asked last.
type seen struct {
	text    string // "" for a server that was not asked
	reason  fault.Reason
	hint    string
	lasting error     // no retry mends it
	until   time.Time // it asked not to be asked before
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
	case strings.Contains(s.text, "remote error: tls: internal error"):
		return "check the port: that of Vault's API is 8200 by default, and 8201, for the servers among themselves, does that"
	case strings.HasPrefix(s.text, "the proxy"):
		return "check proxy under [vault]"
	case strings.Contains(s.text, "connection refused"), strings.Contains(s.text, "no such host"), strings.Contains(s.text, "does not exist"):
		return "check the address under [vault], and that a server listens there"
	case address.Scheme == "unix" && strings.Contains(s.text, "access denied"):
		return "who may connect is what socket_mode, socket_user and socket_group of the agent's listener say"
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
