// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

// Tokens says what tokens a role gives at a login. What is zero is Vault's
// default: no limit of uses, service tokens of 768 hours.
type Tokens struct {
	Policies            []string
	TTL, MaxTTL, Period time.Duration
	Batch               bool
	Uses                int
}

// with adds it to the fields of a role, which every auth method names alike.
func (o Tokens) with(data map[string]any) map[string]any {
	data["token_policies"] = o.Policies
	for name, d := range map[string]time.Duration{"token_ttl": o.TTL, "token_max_ttl": o.MaxTTL, "token_period": o.Period} {
		if d != 0 {
			data[name] = d.String()
		}
	}
	if o.Batch {
		data["token_type"] = "batch"
	}
	if o.Uses != 0 {
		data["token_num_uses"] = o.Uses
	}
	return data
}

// enableAuth enables an auth method at mount if it is not.
func (s *Server) enableAuth(t testing.TB, mount, method string) {
	t.Helper()
	enabled, err := s.Client.Sys().ListAuthWithContext(t.Context())
	if err != nil {
		t.Fatalf("list auth methods: %v", err)
	}
	if enabled[mount+"/"] != nil {
		return
	}
	err = s.Client.Sys().EnableAuthWithOptionsWithContext(t.Context(), mount, &api.EnableAuthOptions{Type: method})
	if err != nil {
		t.Fatalf("enable %s: %v", method, err)
	}
}

// AppRole makes a role with the given policies and a secret id for it,
// enabling the auth method at mount if it is not.
func (s *Server) AppRole(t testing.TB, mount, role string, policies ...string) (roleID, secretID string) {
	t.Helper()
	return s.AppRoleWith(t, mount, role, Tokens{Policies: policies})
}

// AppRoleWith is AppRole with more to say about the tokens.
func (s *Server) AppRoleWith(t testing.TB, mount, role string, tokens Tokens) (roleID, secretID string) {
	t.Helper()
	s.enableAuth(t, mount, "approle")
	at := "auth/" + mount + "/role/" + role
	s.Write(t, at, tokens.with(map[string]any{}))
	id, err := s.Client.Logical().ReadWithContext(t.Context(), at+"/role-id")
	if err != nil {
		t.Fatalf("read role id: %v", err)
	}
	return id.Data["role_id"].(string), s.SecretID(t, mount, role)
}

// SecretID makes another secret id for a role of AppRole.
func (s *Server) SecretID(t testing.TB, mount, role string) string {
	t.Helper()
	secret := s.Write(t, "auth/"+mount+"/role/"+role+"/secret-id", nil)
	return secret.Data["secret_id"].(string)
}

// WrappedSecretID makes another secret id for a role of AppRole, and gives a
// token that unwraps it once within ttl.
func (s *Server) WrappedSecretID(t testing.TB, mount, role string, ttl time.Duration) (wrappingToken string) {
	t.Helper()
	client, err := s.Client.CloneWithHeaders()
	if err != nil {
		t.Fatal(err)
	}
	client.SetToken(s.RootToken)
	client.SetWrappingLookupFunc(func(string, string) string { return ttl.String() })
	secret, err := client.Logical().WriteWithContext(t.Context(), "auth/"+mount+"/role/"+role+"/secret-id", nil)
	if err != nil {
		t.Fatalf("wrap a secret id: %v", err)
	}
	return secret.WrapInfo.Token
}

// Login logs in with the data that a login of the auth method at mount takes,
// and gives what came of it: its token's type and times, or the refusal.
func (s *Server) Login(t testing.TB, mount string, data map[string]any) (*api.SecretAuth, error) {
	t.Helper()
	client, err := s.Client.Clone()
	if err != nil {
		t.Fatal(err)
	}
	secret, err := client.Logical().WriteWithContext(t.Context(), "auth/"+mount+"/login", data)
	if err != nil {
		return nil, err
	}
	return secret.Auth, nil
}
