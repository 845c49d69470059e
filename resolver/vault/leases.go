// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/oci-secrets/oci-secrets/resolver/lease"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// A Source is also where the leases of its answers are renewed and revoked.
var _ lease.Server = (*Source)(nil)

// Renew extends a lease; see [lease.Server].
func (s *Source) Renew(ctx context.Context, id string, asked time.Duration) (ttl time.Duration, renewable bool, err error) {
	const what = "renew a lease"
	a, err := s.aboutLease(ctx, what, "sys/leases/renew", map[string]any{"lease_id": id, "increment": int64(asked / time.Second)})
	if err != nil {
		return 0, false, err
	}
	if a.status == http.StatusBadRequest && (isLost(a) || strings.Contains(a.messages(), "not renewable")) {
		return 0, false, fmt.Errorf("%w: %w", lease.ErrLost, s.fault(fault.Missing, "", "%s: %s", what, a.seen()))
	}
	var got struct {
		LeaseDuration *int64 `json:"lease_duration"` // seconds
		Renewable     bool
	}
	switch {
	case a.status != http.StatusOK:
		return 0, false, s.fault(fault.Refused, "", "%s: %s", what, a.seen())
	case json.Unmarshal(a.body, &got) != nil || got.LeaseDuration == nil:
		return 0, false, s.strange(what, a)
	}
	return seconds(*got.LeaseDuration), got.Renewable, nil
}

// Revoke ends a lease. The server does so as soon as it can, and tries again
// where what the lease is of does not answer.
func (s *Source) Revoke(ctx context.Context, id string) error {
	const what = "revoke a lease"
	a, err := s.aboutLease(ctx, what, "sys/leases/revoke", map[string]any{"lease_id": id, "sync": false})
	if err != nil || a.status < 300 || a.status == http.StatusBadRequest && isLost(a) {
		return err
	}
	return s.fault(fault.Refused, "", "%s: %s", what, a.seen())
}

// Stay keeps the login alive; see [lease.Server].
func (s *Source) Stay(ctx context.Context) (ends time.Duration, err error) {
	o, err := s.login(ctx)
	if err != nil {
		return 0, err
	}
	if k := o.login.value; !k.renewable || k.batch() {
		ends = k.expires
	}
	return ends, nil
}

// aboutLease asks something of the server about a lease. The id does not come
// into an error of this side: it is long, and the record has it.
func (s *Source) aboutLease(ctx context.Context, what, at string, fields map[string]any) (answer, error) {
	body, err := json.Marshal(fields)
	if err != nil {
		return answer{}, settings("vault: %s: %s", what, clean(err.Error()))
	}
	a, _, err := s.insist(ctx, func(*opening) (answer, error) {
		client := s.servers.first()
		return s.ask(ctx, what, []string{client.Token()}, func(ctx context.Context, c *api.Client) (*api.Response, error) {
			return c.Logical().WriteRawWithContext(ctx, at, body)
		})
	})
	if err == nil && a.status == http.StatusForbidden {
		err = s.forbidden(what, at, "update", a)
	}
	// Who keeps leases asks again by itself, and tells what is the same once.
	if r, ok := errors.AsType[recalled](err); ok {
		err = r.first
	}
	return a, err
}

// insist asks once more, with a new login, where the kept one may be why the
// answer is no.
func (s *Source) insist(ctx context.Context, ask func(*opening) (answer, error)) (answer, *opening, error) {
	for {
		o, err := s.login(ctx)
		if err != nil {
			return answer{}, nil, err
		}
		a, err := ask(o)
		if err != nil || a.status != http.StatusForbidden || o.final(isInvalid(a)) {
			return a, o, err
		}
		s.doubt(o, a.status, isInvalid(a))
	}
}

// isInvalid reports whether the server does not know the token.
func isInvalid(a answer) bool { return strings.Contains(a.messages(), "invalid token") }

// forbidden is the error of a 403.
func (s *Source) forbidden(what, at, capability string, a answer) error {
	if isInvalid(a) {
		return s.invalidToken(what)
	}
	return s.fault(fault.Refused, rule(at, capability), "%s: the token's policies do not allow it (HTTP 403)", what).Because(fault.Denied)
}

// isLost reports whether the server knows no such lease.
func isLost(a answer) bool {
	msg := a.messages()
	return strings.Contains(msg, "lease not found") || strings.Contains(msg, "lease expired")
}

// rule is the policy that an operation takes.
func rule(at, capability string) string {
	return fmt.Sprintf("a policy that allows it: path %q { capabilities = [%q] }", at, capability)
}
