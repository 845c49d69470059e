// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// serviceAccountToken is where a process in a pod finds the token of its
// service account.
const serviceAccountToken = "/var/run/secrets/kubernetes.io/serviceaccount/token" //nolint:gosec // a path

func checkJWT(a Auth) error {
	if a.Role == "" {
		return fault.New(fault.Settings, `write role = "..." under [vault.auth]: the name of the role at the auth method`, "vault: auth method %s needs a role", a.Method)
	}
	if a.AsWorkload && a.JWTFile != "" {
		return fault.New(fault.Settings, "take one of them away", "vault: auth method %s takes jwt_file or as_workload, not both", a.Method)
	}
	if a.Method == "jwt" && !a.AsWorkload && a.JWTFile == "" {
		return fault.New(fault.Settings, "write jwt_file = \"...\" under [vault.auth]", "vault: auth method jwt needs one of jwt_file and as_workload")
	}
	if a.AsWorkload {
		return a.checkWorkload()
	}
	return nil
}

// jwt logs in with a signed token: one of the host's, or the workload's own.
func (s *Source) jwt(ctx context.Context) (grant, error) {
	a := s.config.Auth
	name, from := "JWT", "the container's service-account token"
	if a.Method == "kubernetes" {
		name = "Kubernetes"
	}
	var token string
	if a.AsWorkload {
		w, err := s.workload()
		if err != nil {
			return grant{}, fmt.Errorf("vault: as_workload: %w", err)
		}
		token = w.token.Reveal()
	} else {
		var err error
		from = cmp.Or(a.JWTFile, serviceAccountToken)
		if token, err = credential("jwt_file", from); err != nil {
			if a.JWTFile == "" && errors.Is(err, fault.Settings) {
				err = fault.New(fault.Settings, "write jwt_file = \"...\" under [vault.auth], which is that path by default, or as_workload = true for the container's own token", "%s", err.Error())
			}
			return grant{}, err
		}
	}
	c, err := claimsOf(token)
	if err != nil {
		return grant{}, fault.New(fault.Refused, "", "vault: %s is no JWT: %s", from, err).Because(fault.Denied)
	}
	hint := "check that the method is mounted there (mount under [vault.auth]), that the role is there, and is bound to what the token says: issuer, audience, subject, and the namespace of a service account; Vault's own log may say more"
	if over := c.over(time.Now()); over != "" {
		hint = from + " " + over
	}
	return s.authenticate(ctx, name, map[string]string{"role": a.Role, "jwt": token}, hint)
}

// claims are what a token says of itself. They are not verified: that is
// Vault's work, or the kubelet's who wrote it where it was found.
type claims struct {
	Issuer     any             `json:"iss"`
	Expires    any             `json:"exp"`
	NotBefore  any             `json:"nbf"`
	Kubernetes json.RawMessage `json:"kubernetes.io"`
}

// claimsOf reads the middle part of a token. No error repeats any of it.
func claimsOf(token string) (claims, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims{}, errors.New("it has not three parts")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return claims{}, errors.New("its second part is not base64")
	}
	var c claims
	if err := json.Unmarshal(text, &c); err != nil {
		return claims{}, errors.New("its claims are not the JSON that they should be")
	}
	return c, nil
}

// over says that a token's time is over or has not come, by the clock of this
// machine; empty where neither is so. What counts is what Vault says.
func (c claims) over(now time.Time) string {
	at := func(claim any) (time.Time, bool) {
		seconds, ok := claim.(float64)
		return time.Unix(int64(seconds), 0), ok
	}
	const clock = "; check who renews it, and this machine's clock"
	if t, ok := at(c.Expires); ok && !now.Before(t) {
		return "has expired " + now.Sub(t).Round(time.Second).String() + " ago" + clock
	}
	if t, ok := at(c.NotBefore); ok && now.Before(t) {
		return "is valid only in " + t.Sub(now).Round(time.Second).String() + clock
	}
	return ""
}

// clockHint is what to do about a token that the server found to be of another
// time; empty where it said nothing of that.
func clockHint(said string) string {
	for _, text := range []string{"token is expired", "token expired", "not yet valid", "issued in the future", "used before issued"} {
		if strings.Contains(strings.ToLower(said), text) {
			return "check that the token is renewed, and this machine's clock and the server's"
		}
	}
	return ""
}
