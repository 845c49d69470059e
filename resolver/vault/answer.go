// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// answer is what came back, whole.
type answer struct {
	from   string // the server's address
	status int
	media  string // the content type, without parameters
	body   []byte
	to     *url.URL      // where a redirect points; empty for nowhere, nil for no redirect
	after  time.Duration // how long the server asks not to be asked again
	hidden []string      // credentials that were sent, in case the server echoes them
}

func newAnswer(from string, resp *http.Response, body []byte) answer {
	a := answer{from: from, status: resp.StatusCode, body: body, media: "no content type"}
	if media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil {
		a.media = clean(media)
	}
	if a.status >= 300 && a.status < 400 {
		a.to = &url.URL{}
		if to, err := resp.Location(); err == nil {
			a.to = &url.URL{Scheme: to.Scheme, Host: to.Host}
		}
	}
	if a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable {
		a.after = retryAfter(resp.Header)
	}
	return a
}

// retryAfter is what the header of that name says: seconds, or a date. A date is
// one of the server's clock, which need not be ours.
func retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if n, err := strconv.ParseUint(text, 10, 31); err == nil || errors.Is(err, strconv.ErrRange) { // n is the most there is
		return time.Duration(n) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return max(at.Sub(now), 0)
}

// maxTTL is longer than any host is up. Times that are counted with have to stay
// far below what a Duration can hold, whatever a server says.
const maxTTL = 10 * 365 * 24 * time.Hour

// seconds is a time that a server gave in seconds.
func seconds(n int64) time.Duration {
	return time.Duration(min(max(n, 0), int64(maxTTL/time.Second))) * time.Second
}

// messages are the server's own error strings, on one line.
func (a answer) messages() string {
	var e struct{ Errors []string }
	if json.Unmarshal(a.body, &e) != nil {
		return ""
	}
	return clean(hide(strings.Join(e.Errors, "; "), a.hidden))
}

// says reports whether the server's error strings have text in them.
func (a answer) says(text string) bool {
	return strings.Contains(strings.ToLower(a.messages()), text)
}

// isNothing reports whether the answer says nothing but that it was done.
func (a answer) isNothing() bool {
	return len(a.body) == 0 && (a.status == http.StatusNoContent || a.status == http.StatusAccepted)
}

// isVaults reports whether the body has the shape of the API: an object with
// errors or with data. A proxy's error page has not.
func (a answer) isVaults() bool {
	var shape struct {
		Errors     *[]string
		Data, Auth there
	}
	return json.Unmarshal(a.body, &shape) == nil && (shape.Errors != nil || bool(shape.Data) || bool(shape.Auth))
}

// there is whether a member is there, without a copy of it.
type there bool

// UnmarshalJSON is called where it is.
func (t *there) UnmarshalJSON([]byte) error {
	*t = true
	return nil
}

// down reports whether the answer is one that another server of the cluster may
// not give.
func (a answer) down() bool { return a.status >= 500 }

// passing reports whether the answer is one that time may change.
func (a answer) passing() bool {
	switch {
	case a.status == http.StatusTooManyRequests, a.status == http.StatusPreconditionFailed, a.down():
		return true
	case a.status == http.StatusBadRequest:
		// KV v2, for a moment after it was mounted.
		return a.says("upgrading")
	}
	return false
}

// reason is what a passing answer is a case of.
func (a answer) reason() fault.Reason {
	switch {
	case a.status == http.StatusTooManyRequests:
		return fault.Throttled
	case a.says("vault is sealed"), a.says("not initialized"):
		return fault.Sealed
	case a.down() && (a.says("not active") || a.says("standby")):
		return fault.Standby
	}
	return ""
}

// seen says what came, for an error.
func (a answer) seen() string {
	msg := a.messages()
	switch {
	case a.says("vault is sealed"):
		return fmt.Sprintf("sealed (HTTP %d)", a.status)
	case msg != "":
		return fmt.Sprintf("HTTP %d: %s", a.status, msg)
	}
	return fmt.Sprintf("HTTP %d", a.status)
}
