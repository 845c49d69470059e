// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// The waits between attempts double from the first to the last; each is cut by
// up to half at random, so that a host's containers do not retry in step.
const (
	firstWait = 50 * time.Millisecond
	lastWait  = time.Second
)

// maxParallel bounds the requests that are under way at once: well below the
// streams that a server allows one HTTP/2 connection (250, Vault's), beyond
// which the client would open more. The transport's own limits are no way to
// say that: MaxConnsPerHost with StrictMaxConcurrentRequests left requests
// waiting for ever in Go 1.26.
const maxParallel = 32

// answer is what came back, whole.
type answer struct {
	status int
	media  string // the content type, without parameters
	body   []byte
	to     string   // where a redirect points: scheme and host only
	hidden []string // credentials that were sent, in case the server echoes them
}

// messages are the server's own error strings, on one line.
func (a answer) messages() string {
	var e struct{ Errors []string }
	if json.Unmarshal(a.body, &e) != nil {
		return ""
	}
	text := strings.Join(e.Errors, "; ")
	for _, credential := range a.hidden {
		if credential != "" {
			text = strings.ReplaceAll(text, credential, "[secret]")
		}
	}
	return clean(text)
}

// isVaults reports whether the body has the shape of the API: an object with
// errors or with data. A proxy's error page has not.
func (a answer) isVaults() bool {
	var shape struct {
		Errors *[]string
		Data   json.RawMessage
		Auth   json.RawMessage
	}
	return json.Unmarshal(a.body, &shape) == nil && (shape.Errors != nil || shape.Data != nil || shape.Auth != nil)
}

// passing reports whether the answer is one that time may change.
func (a answer) passing() bool {
	switch {
	case a.status == http.StatusTooManyRequests, a.status == http.StatusPreconditionFailed, a.status >= 500:
		return true
	case a.status == http.StatusBadRequest:
		// KV v2, for a moment after it was mounted.
		return strings.Contains(strings.ToLower(a.messages()), "upgrading")
	}
	return false
}

// seen says what came, for an error.
func (a answer) seen() string {
	msg := a.messages()
	switch {
	case strings.Contains(strings.ToLower(msg), "vault is sealed"):
		return fmt.Sprintf("sealed (HTTP %d)", a.status)
	case msg != "":
		return fmt.Sprintf("HTTP %d: %s", a.status, msg)
	}
	return fmt.Sprintf("HTTP %d", a.status)
}

// ask sends one request until there is an answer that time will not change, or
// until ctx ends. what names the step, and hidden is what was sent that no
// error may repeat. The answer is Vault's own, and its status is below 500.
func (s *Source) ask(ctx context.Context, what string, hidden []string, send func(context.Context, *api.Client) (*api.Response, error)) (answer, error) {
	start := time.Now()
	last := "no answer at all"
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		a, err := s.once(ctx, send)
		a.hidden = hidden
		switch {
		case ctx.Err() != nil:
			// The attempt's error only repeats that.
		case err != nil:
			if lasting := s.lasting(err); lasting != nil {
				return answer{}, lasting
			}
			last = network(err)
		case a.passing():
			last = a.seen()
		case a.to != "":
			return answer{}, s.fault(fault.Unreachable,
				"set the address to the active server, or to a load balancer that finds it",
				"%s: redirected to %s (HTTP %d); redirects are not followed", what, a.to, a.status)
		case a.status == http.StatusBadRequest && bytes.Contains(a.body, []byte("HTTP request to an HTTPS server")):
			// net/http's own answer, Vault's and OpenBao's server among them.
			return answer{}, s.fault(fault.Settings, "write the address with https://",
				"the address says http and the server speaks TLS")
		case a.status != http.StatusNoContent && !a.isVaults():
			return answer{}, s.strange(what, a)
		default:
			return a, nil
		}
		select {
		case <-ctx.Done():
			return answer{}, s.ended(ctx, what, last, time.Since(start))
		case <-time.After(wait - rand.N(wait/2)): // jitter
		}
	}
}

// ended is the error of a context that is over.
func (s *Source) ended(ctx context.Context, what, last string, after time.Duration) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return s.fault(fault.Unreachable, "", "%s: given up before there was an answer", what)
	}
	return s.fault(fault.Unreachable, "", "%s: gave up at the deadline, after %s; last seen: %s",
		what, after.Round(time.Millisecond), last)
}

// once makes one attempt.
func (s *Source) once(ctx context.Context, send func(context.Context, *api.Client) (*api.Response, error)) (answer, error) {
	select {
	case s.servers.slots <- struct{}{}:
		defer func() { <-s.servers.slots }()
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
	client, _ := s.servers.first()
	resp, err := send(ctx, client)
	// Every status from 400 comes with an error; the answer says more.
	if resp == nil || resp.Response == nil {
		if err == nil {
			err = errors.New("no response")
		}
		return answer{}, err
	}
	body, err := io.ReadAll(resp.Body) // from memory, see whole
	if err != nil {
		return answer{}, err
	}
	a := answer{status: resp.StatusCode, body: body, media: "no content type"}
	if media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil {
		a.media = clean(media)
	}
	if a.status >= 300 && a.status < 400 {
		a.to = "nowhere"
		if to, err := resp.Location(); err == nil {
			a.to = clean((&url.URL{Scheme: to.Scheme, Host: to.Host}).String())
		}
	}
	return a, nil
}

// lasting gives the fault for an error that no retry mends, or nil.
//
// A certificate that is not trusted is a refusal, ours: it may be the wrong CA
// file, an expired certificate, or somebody in between, and none of them is an
// outage. A scheme that does not fit the server is in the settings.
func (s *Source) lasting(err error) error {
	var cert *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.Is(err, errTooLarge):
		return s.fault(fault.Unreachable, "", "%s", errTooLarge)
	case errors.As(err, &cert):
		return s.fault(fault.Refused, "set ca_cert to the CA that signed the server's certificate",
			"its certificate is not trusted: %s", clean(cert.Err.Error()))
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		return s.fault(fault.Settings, "give the server a certificate; http:// is for an address on this machine alone",
			"the address says https and the server does not speak TLS")
	case errors.As(err, &alert):
		return s.fault(fault.Refused, "", "it refused the TLS handshake: %s", clean(alert.Error()))
	}
	return nil
}

// network says what an error of the network was, without addresses of the
// client's side and without URLs.
func network(err error) string {
	var dns *net.DNSError
	var errno syscall.Errno
	var timeout net.Error
	switch {
	case errors.As(err, &dns):
		return clean(dns.Error())
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "the connection broke off in the answer"
	case errors.As(err, &errno):
		return clean(errno.Error())
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return clean(err.Error())
}
