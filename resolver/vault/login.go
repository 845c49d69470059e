// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/vault/api"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/private"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// method is one way to log in.
type method struct {
	check func(Auth) error                              // what it needs, of the settings alone
	logIn func(*Source, context.Context) (grant, error) // asks the server, where it must

	// identity gives what decides whose token it is besides the settings, such as
	// a hash of the workload's own token; nil for nothing. It asks no server.
	identity func(*Source, context.Context) (string, error)
}

// methods are the ways to log in, by their names in the settings.
var methods = map[string]method{
	"token":      {check: checkToken, logIn: (*Source).givenToken},
	"token_file": {check: checkTokenFile, logIn: (*Source).givenToken},
	"approle":    {check: checkAppRole, logIn: (*Source).appRole},
}

// grant is what a login gave.
type grant struct {
	token     resolver.Value
	ttl       time.Duration // 0 for a token that does not end, or of which it is not known
	renewable bool
}

// check refuses what the method of the settings cannot work with.
func (a Auth) check() error {
	m, ok := methods[a.Method]
	if !ok {
		return settings("vault: auth method %q: it is one of %s", a.Method, strings.Join(slices.Sorted(maps.Keys(methods)), ", "))
	}
	return m.check(a)
}

// logIn logs in by the method of the settings.
func (s *Source) logIn(ctx context.Context) (grant, error) {
	return methods[s.config.Auth.Method].logIn(s, ctx)
}

func checkToken(a Auth) error {
	if a.Token.Reveal() == "" {
		return settings("vault: auth method token needs a token")
	}
	return nil
}

func checkTokenFile(a Auth) error {
	if a.TokenFile == "" {
		return settings("vault: auth method token_file needs token_file")
	}
	return nil
}

// givenToken is a token that somebody else got.
func (s *Source) givenToken(context.Context) (grant, error) {
	token := s.config.Auth.Token.Reveal()
	if s.config.Auth.Method == "token_file" {
		var err error
		if token, err = credential("token_file", s.config.Auth.TokenFile); err != nil {
			return grant{}, err
		}
	}
	// A token goes into a header as it is.
	if strings.ContainsFunc(token, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsGraphic(r) || r == ' ' }) {
		return grant{}, settings("vault: the token has characters that no token has")
	}
	return grant{token: resolver.NewValue(token)}, nil
}

func checkAppRole(a Auth) error {
	if (a.RoleID == "") == (a.RoleIDFile == "") {
		return settings("vault: auth method approle needs one of role_id and role_id_file")
	}
	return nil
}

// credential reads a private file that holds one line.
func credential(what, file string) (string, error) {
	data, err := private.Read(file)
	if err != nil {
		return "", unreadable(what, err)
	}
	text := strings.TrimRight(string(data), "\r\n")
	if text == "" {
		return "", settings("vault: %s: %s is empty", what, file)
	}
	return text, nil
}

// unreadable is the fault of a file that package private would not read.
func unreadable(what string, err error) error {
	class, ok := fault.ClassOf(err)
	if !ok {
		class = fault.Settings // it is not there
	}
	return fault.New(class, strings.Join(fault.Hints(err), "; "), "vault: %s: %s", what, clean(err.Error()))
}

func (s *Source) appRole(ctx context.Context) (grant, error) {
	c := s.config.Auth
	login := map[string]string{"role_id": c.RoleID}
	var err error
	if c.RoleIDFile != "" {
		if login["role_id"], err = credential("role_id_file", c.RoleIDFile); err != nil {
			return grant{}, err
		}
	}
	if c.SecretIDFile != "" {
		if login["secret_id"], err = credential("secret_id_file", c.SecretIDFile); err != nil {
			return grant{}, err
		}
	}
	return s.authenticate(ctx, "AppRole", login, "check role_id, secret_id_file and the mount of the auth method")
}

// authenticate sends a login to the auth method. Nothing of fields is repeated
// in an error.
func (s *Source) authenticate(ctx context.Context, name string, fields map[string]string, hint string) (grant, error) {
	at := "auth/" + s.config.Auth.Mount + "/login"
	body, err := json.Marshal(fields)
	if err != nil {
		return grant{}, settings("vault: %s login: %s", name, clean(err.Error()))
	}
	resolver.RecordOf(ctx).Count("vault_logins")
	a, err := s.ask(ctx, name+" login at "+at, slices.Collect(maps.Values(fields)), func(ctx context.Context, c *api.Client) (*api.Response, error) {
		return c.Logical().WriteRawWithContext(ctx, at, body)
	})
	if err != nil {
		return grant{}, err
	}
	if a.status != http.StatusOK {
		return grant{}, s.fault(fault.Refused, hint, "%s login at %s was refused: %s", name, at, a.seen())
	}
	var got struct {
		Auth struct {
			ClientToken   string `json:"client_token"`
			LeaseDuration int    `json:"lease_duration"` // seconds
			Renewable     bool
		}
	}
	if err := json.Unmarshal(a.body, &got); err != nil || got.Auth.ClientToken == "" {
		return grant{}, s.fault(fault.Refused, "", "%s login at %s gave no token", name, at)
	}
	return grant{
		token: resolver.NewValue(got.Auth.ClientToken), ttl: time.Duration(got.Auth.LeaseDuration) * time.Second, renewable: got.Auth.Renewable,
	}, nil
}
