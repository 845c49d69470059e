// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/spec"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// metadata is what KV v2 says of one version.
type metadata struct {
	DeletionTime string `json:"deletion_time"`
	Destroyed    bool
	Version      int
}

// get sends a GET below /v1/.
func (s *Source) get(ctx context.Context, what, at string, query url.Values) (answer, error) {
	client := s.servers.first()
	return s.ask(ctx, what, []string{client.Token()}, func(ctx context.Context, c *api.Client) (*api.Response, error) {
		return c.Logical().ReadRawWithDataWithContext(ctx, at, query)
	})
}

// place is where a secret is read. After a new login it is another place.
type place struct {
	login   *opening
	path    string
	version int
}

// read gives the secret at p, below the mount. It is asked for once, however
// often a container names it.
func (s *Source) read(ctx context.Context, o *opening, p string, version int) (*resolver.Secret, error) {
	return s.reads.get(ctx, place{o, p, version}, func() (*resolver.Secret, error) { return s.fetch(ctx, o, p, version) })
}

func (s *Source) fetch(ctx context.Context, o *opening, p string, version int) (*resolver.Secret, error) {
	at := path.Join(s.config.Mount, p)
	var query url.Values
	if o.kv == 2 {
		at = path.Join(s.config.Mount, "data", p)
		if version != 0 {
			query = url.Values{"version": {strconv.Itoa(version)}}
		}
	} else if version != 0 {
		var err error = s.fault(fault.Missing, "", "%s has no version %d: the mount is KV v1, which has no versions", at, version)
		if o.doubtful(http.StatusNotFound, false) {
			err = doubted{err, http.StatusNotFound, false}
		}
		return nil, err
	}

	defer resolver.RecordOf(ctx).Phase("read")()
	a, err := s.get(ctx, "read "+at, at, query)
	if err != nil {
		return nil, err
	}
	secret, err := s.understand(o, at, p, version, a)
	if err != nil && o.doubtful(a.status, isInvalid(a)) {
		err = doubted{err, a.status, isInvalid(a)}
	}
	return secret, err
}

// understand gives the secret of an answer to a read, or says what it was instead.
func (s *Source) understand(o *opening, at, p string, version int, a answer) (*resolver.Secret, error) {
	switch a.status {
	case http.StatusOK:
		return s.secret(at, o.kv, a)
	case http.StatusNotFound:
		return nil, s.missing(at, s.twice(o.kv, p), version, a)
	case http.StatusForbidden:
		if isInvalid(a) {
			return nil, s.invalidToken("read " + at)
		}
		hint := s.policyHint(o.kv, p)
		if twice := s.twice(o.kv, p); twice != "" {
			hint = twice + "; or else, " + hint
		}
		return nil, s.fault(fault.Refused, hint, "read %s: the token's policies do not allow it (HTTP 403)", at).Because(fault.Denied)
	}
	return nil, s.fault(fault.Refused, "", "read %s: %s", at, a.seen())
}

// secret decodes the answer to a read.
func (s *Source) secret(at string, kv int, a answer) (*resolver.Secret, error) {
	// In v1 the keys are in data, in v2 in data.data. They are read in one go: each
	// step of its own would make a copy of an answer that may be large.
	var keys map[string]value
	version := 0
	if kv == 2 {
		var v2 struct {
			Data struct {
				Data     map[string]value
				Metadata *metadata
			}
		}
		if json.Unmarshal(a.body, &v2) != nil || v2.Data.Metadata == nil {
			return nil, s.strange("read "+at, a)
		}
		keys, version = v2.Data.Data, v2.Data.Metadata.Version
	} else {
		var v1 struct{ Data map[string]value }
		if json.Unmarshal(a.body, &v1) != nil {
			return nil, s.strange("read "+at, a)
		}
		keys = v1.Data
	}
	if keys == nil {
		return nil, s.strange("read "+at, a)
	}
	return &resolver.Secret{Source: s.Name(), Version: version, Entries: entries(keys)}, nil
}

// entries are the keys of an answer's data, in their order.
func entries(keys map[string]value) []resolver.Entry {
	var list []resolver.Entry
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if v := keys[key]; v.Value != (resolver.Value{}) { // null drops the key, as it does in every source
			list = append(list, resolver.Entry{Key: key, Value: v.Value})
		}
	}
	return list
}

// value is one of an answer's data; the zero value is null.
type value struct{ resolver.Value }

// UnmarshalJSON reads it.
func (v *value) UnmarshalJSON(literal []byte) error {
	var decoded any
	if literal[0] == '"' {
		var s string
		if err := json.Unmarshal(literal, &s); err != nil {
			return err
		}
		v.Value = resolver.NewValue(s)
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(literal))
	d.UseNumber() // 1e3 and 9007199254740993 stay what they are
	if err := d.Decode(&decoded); err != nil || decoded == nil {
		return err
	}
	t, err := text(decoded)
	v.Value = resolver.NewValue(t)
	return err
}

// text is a value that is no string as a variable holds it: its JSON text.
func text(v any) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// missing is the error of a 404. Only one that says nothing, or that carries
// the metadata of a version that is gone, is a miss. hint is for one that says nothing.
func (s *Source) missing(at, hint string, version int, a answer) error {
	if msg := a.messages(); msg != "" {
		return s.fault(fault.Refused, "", "read %s: %s", at, a.seen())
	}
	var gone struct {
		Data struct{ Metadata *metadata }
	}
	if json.Unmarshal(a.body, &gone) == nil && gone.Data.Metadata != nil {
		m := gone.Data.Metadata
		if m.Destroyed {
			return s.fault(fault.Missing, "", "%s: version %d was destroyed", at, m.Version)
		}
		when := ""
		if t, err := time.Parse(time.RFC3339Nano, m.DeletionTime); err == nil {
			when = " at " + t.UTC().Format(time.RFC3339)
		}
		return s.fault(fault.Missing, "`vault kv undelete` brings it back", "%s: version %d was deleted%s", at, m.Version, when)
	}
	if version != 0 {
		return s.fault(fault.Missing, hint, "nothing at %s in version %d", at, version)
	}
	if strings.Contains(at, "/creds/") && !s.isDynamic(at) {
		hint = "for credentials that Vault makes, list their path in dynamic under [vault]"
	}
	return s.fault(fault.Missing, hint, "nothing at %s", at)
}

// strange is the error of an answer that Vault would not give. It never shows
// the body: that may be somebody's secret.
func (s *Source) strange(what string, a answer) error { return strange(what, a) }

func strange(what string, a answer) *fault.Error {
	return faultOf(a.from, fault.Unreachable, "check that the address is that of a Vault server",
		"%s: the answer is not Vault's: HTTP %d, %s, %d bytes", what, a.status, a.media, len(a.body)).Because(fault.Malformed)
}

// errInvalidToken is a token that the server does not know.
var errInvalidToken = errors.New("the token is not valid (HTTP 403)")

func (s *Source) invalidToken(what string) *fault.Error {
	return fault.New(fault.Refused, "get a new token; an expired or revoked one looks the same as a mistyped one",
		"vault %s: %s: %w", s.servers.String(), what, errInvalidToken).Because(fault.Denied)
}

// twice is the hint for a path below the mount with something in it twice, since
// prefix or name repeat what is put before them; empty for any other path.
func (s *Source) twice(kv int, p string) string {
	mount := s.config.Mount
	before := []string{mount}
	if kv == 2 {
		before = []string{path.Join(mount, "data"), mount, "data"}
	}
	prefix, _ := s.prefix() // without it nothing was asked
	for _, b := range before {
		if within(prefix, b) {
			return fmt.Sprintf("take %s away from prefix, unless it is meant twice: it is put before it", b)
		}
	}
	name := p
	if prefix != "" {
		name = strings.TrimPrefix(p, prefix+"/")
		before = slices.Concat([]string{path.Join(before[0], prefix), path.Join(mount, prefix)}, before, []string{prefix})
	}
	for _, b := range before {
		if rest, ok := strings.CutPrefix(name, b+"/"); ok {
			return fmt.Sprintf("ask for %s, unless %s is meant twice: it is put before names", spec.EscapeName(rest), b)
		}
	}
	return ""
}

// policyHint is the policy that reading p below the mount takes.
func (s *Source) policyHint(kv int, p string) string {
	rule := func(parts ...string) string {
		return fmt.Sprintf(`path %q { capabilities = ["read"] }`, path.Join(parts...))
	}
	if kv != 0 && strings.ContainsAny(p, "*+{") {
		return "a policy has to allow it; in one * + and { stand for more than themselves"
	}
	needs := "a policy that allows it: "
	if s.config.Auth.Method == "none" {
		needs = "the agent must add its token (use_auto_auth_token in api_proxy), and that have " + needs
	}
	switch kv {
	case 2:
		return needs + rule(s.config.Mount, "data", p)
	case 1:
		return needs + rule(s.config.Mount, p)
	}
	prefix, _ := s.prefix() // without it nothing was asked
	return needs + rule(s.config.Mount, "data", prefix, p) + " (KV v2) or " +
		rule(s.config.Mount, prefix, p) + " (KV v1)"
}
