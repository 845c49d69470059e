// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

func TestAppRole(t *testing.T) {
	s := Start(t, Options{})
	roleID, secretID := s.AppRoleWith(t, "approle", "web", Tokens{TTL: time.Minute, MaxTTL: time.Hour})
	login := map[string]any{"role_id": roleID, "secret_id": secretID}

	var auth *api.SecretAuth
	calls := s.Calls(t, func() {
		var err error
		if auth, err = s.Login(t, "approle", login); err != nil {
			t.Fatal(err)
		}
	})
	if auth.LeaseDuration != 60 || !auth.Renewable {
		t.Errorf("token of %ds, renewable %v", auth.LeaseDuration, auth.Renewable)
	}
	if len(calls) != 1 || !calls[0].Login() || calls[0].MountType != "approle" || calls[0].DisplayName != "approle" ||
		calls[0].TokenType != "service" || calls[0].Accessor == "" || calls[0].RemotePort == 0 {
		t.Errorf("%+v", calls)
	}

	s.AppRoleWith(t, "approle", "web", Tokens{TTL: time.Minute, Batch: true})
	if auth, err := s.Login(t, "approle", login); err != nil || !strings.HasPrefix(auth.ClientToken, "hvb.") {
		t.Errorf("no batch token: %v", err)
	}
	calls = s.Calls(t, func() {
		if _, err := s.Login(t, "approle", map[string]any{"role_id": roleID, "secret_id": "wrong"}); err == nil {
			t.Error("logged in with a wrong secret id")
		}
	})
	if len(calls) != 1 || calls[0].Error == "" {
		t.Errorf("%+v", calls)
	}
}

func TestWrappedSecretID(t *testing.T) {
	s := Start(t, Options{})
	roleID, _ := s.AppRole(t, "approle", "web")
	wrapped := s.WrappedSecretID(t, "approle", "web", time.Minute)
	client, err := s.Client.Clone()
	if err != nil {
		t.Fatal(err)
	}
	secret, err := client.Logical().UnwrapWithContext(t.Context(), wrapped)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Login(t, "approle", map[string]any{"role_id": roleID, "secret_id": secret.Data["secret_id"]}); err != nil {
		t.Error(err)
	}
	if _, err := client.Logical().UnwrapWithContext(t.Context(), wrapped); err == nil {
		t.Error("unwrapped twice")
	}
}
