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
	uses  []string                                      // the settings that say something to it, of those that are not every method's
	check func(Auth) error                              // what it needs, of the settings alone
	logIn func(*Source, context.Context) (grant, error) // asks the server, where it must
}

// methods are the ways to log in, by their names in the settings.
var methods = map[string]method{
	"none":       {nil, func(Auth) error { return nil }, (*Source).noToken},
	"token":      {[]string{"token"}, checkToken, (*Source).givenToken},
	"token_file": {[]string{"token_file", "token_file_owner"}, checkTokenFile, (*Source).givenToken},
	"approle":    {[]string{"mount", "role_id", "role_id_file", "secret_id_file", "wrapped_secret_id_file"}, checkAppRole, (*Source).appRole},
	"jwt":        {[]string{"mount", "role", "jwt_file", "as_workload"}, checkJWT, (*Source).jwt},
	"kubernetes": {[]string{"mount", "role", "jwt_file", "as_workload"}, checkJWT, (*Source).jwt},
	"cert":       {[]string{"mount", "role", "client_cert", "client_key"}, checkCert, (*Source).cert},
}

// grant is what a login gave.
type grant struct {
	token     resolver.Value
	ttl       time.Duration // 0 for a token that does not end, or of which it is not known
	renewable bool
	uses      int // how many requests it is good for; 0 for any number
}

// check refuses what the method of the settings cannot work with, and what it
// would leave unused: somebody wrote that for the sake of security.
func (a Auth) check() error {
	m, ok := methods[a.Method]
	known := strings.Join(slices.Sorted(maps.Keys(methods)), ", ")
	switch {
	case a.Method == "":
		return fault.New(fault.Settings, `write method = "..." under [vault.auth]: one of `+known, "vault: no auth method")
	case !ok:
		return settings("vault: auth method %q: it is one of %s", a.Method, known)
	}
	for _, key := range a.keys() {
		if !slices.Contains(m.uses, key) {
			hint := "take " + key + " away, or set method to " + whose(key)
			if key == "role" && a.Method == "approle" && a.RoleID == "" && a.RoleIDFile == "" {
				hint = "write its role_id, which `vault read auth/approle/role/NAME/role-id` shows, in the place of role"
			}
			return fault.New(fault.Settings, hint,
				"vault: auth method %s does not use %s", a.Method, key)
		}
	}
	return m.check(a)
}

// keys are the settings that are there, of those that not every method uses.
func (a Auth) keys() []string {
	var keys []string
	for _, k := range []struct {
		name string
		set  bool
	}{
		{"mount", a.Mount != ""},
		{"role", a.Role != ""},
		{"token", a.Token.Reveal() != ""},
		{"token_file", a.TokenFile != ""},
		{"token_file_owner", a.TokenFileOwner != ""},
		{"role_id", a.RoleID != ""},
		{"role_id_file", a.RoleIDFile != ""},
		{"secret_id_file", a.SecretIDFile != ""},
		{"wrapped_secret_id_file", a.WrappedSecretIDFile != ""},
		{"jwt_file", a.JWTFile != ""},
		{"as_workload", a.AsWorkload},
		{"client_cert", a.ClientCert != ""},
		{"client_key", a.ClientKey != ""},
	} {
		if k.set {
			keys = append(keys, k.name)
		}
	}
	return keys
}

// whose are the methods that use a setting.
func whose(key string) string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(methods)) {
		if slices.Contains(methods[name].uses, key) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " or ")
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

// noToken is for an agent, which adds its own.
func (*Source) noToken(context.Context) (grant, error) { return grant{}, nil }

// givenToken is a token that somebody else got.
func (s *Source) givenToken(context.Context) (grant, error) {
	token, where := s.config.Auth.Token.Reveal(), "the token"
	if s.config.Auth.Method == "token_file" {
		also, err := owners("token_file_owner", s.config.Auth.TokenFileOwner)
		if err != nil {
			return grant{}, err
		}
		if token, err = credential("token_file", s.config.Auth.TokenFile, also...); err != nil {
			return grant{}, orNamed(err, also, "token_file_owner under [vault.auth]")
		}
		where = "token_file: " + s.config.Auth.TokenFile
	}
	if !isToken(token) {
		return grant{}, settings("vault: %s has characters that no token has", where)
	}
	return grant{token: resolver.NewValue(token)}, nil
}

// isToken reports whether token can go into a header as it is.
func isToken(token string) bool {
	return !strings.ContainsFunc(token, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsGraphic(r) || r == ' ' })
}

// credential reads a private file that holds one line; see [private.Read].
func credential(what, file string, also ...uint32) (string, error) {
	data, err := private.Read(file, also...)
	if err != nil {
		return "", unreadable(what, err)
	}
	text := strings.TrimRight(string(data), "\r\n")
	if text == "" {
		return "", settings("vault: %s: %s is empty", what, file)
	}
	return text, nil
}

// orNamed says which setting names an owner, where err is that a file has one whom
// nobody named.
func orNamed(err error, also []uint32, key string) error {
	if len(also) > 0 || !strings.Contains(err.Error(), " belongs to uid ") {
		return err
	}
	return fault.New(fault.Refused, "set "+key+" to the user that the agent runs as, if it is the right one", "%s", err.Error())
}

// unreadable is the fault of a file that package private would not read.
func unreadable(what string, err error) error {
	class, ok := fault.ClassOf(err)
	if !ok {
		class = fault.Settings // it is not there
	}
	return fault.New(class, strings.Join(fault.Hints(err), "; "), "vault: %s: %s", what, clean(err.Error()))
}

// authenticate sends a login to the auth method. Nothing of fields is repeated
// in an error, but for the name of the role.
func (s *Source) authenticate(ctx context.Context, name string, fields map[string]string, hint string) (grant, error) {
	at := "auth/" + s.config.Auth.Mount + "/login"
	body, err := json.Marshal(fields)
	if err != nil {
		return grant{}, settings("vault: %s login: %s", name, clean(err.Error()))
	}
	resolver.RecordOf(ctx).Count("vault_logins")
	var hidden []string
	for key, value := range fields {
		if key != "role" && key != "name" {
			hidden = append(hidden, value)
		}
	}
	a, err := s.ask(ctx, name+" login at "+at, hidden, func(ctx context.Context, c *api.Client) (*api.Response, error) {
		return c.Logical().WriteRawWithContext(ctx, at, body)
	})
	if err != nil {
		return grant{}, err
	}
	if a.status != http.StatusOK {
		if clock := clockHint(a.messages()); clock != "" {
			hint = clock
		}
		return grant{}, s.fault(fault.Refused, hint, "%s login at %s was refused: %s", name, at, a.seen()).Because(fault.Denied)
	}
	var got struct {
		Auth struct {
			ClientToken   string `json:"client_token"`
			LeaseDuration int64  `json:"lease_duration"` // seconds
			Renewable     bool
			NumUses       int `json:"num_uses"`
		}
	}
	if err := json.Unmarshal(a.body, &got); err != nil || got.Auth.ClientToken == "" || !isToken(got.Auth.ClientToken) {
		return grant{}, s.fault(fault.Refused, "", "%s login at %s gave no token", name, at)
	}
	return grant{
		token: resolver.NewValue(got.Auth.ClientToken), ttl: seconds(got.Auth.LeaseDuration), renewable: got.Auth.Renewable, uses: got.Auth.NumUses,
	}, nil
}
