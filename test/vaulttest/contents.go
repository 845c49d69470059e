// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

// Mount mounts a KV engine of the given version. KV v2 upgrades itself for a
// moment after mounting and refuses writes; Mount waits for that.
func (s *Server) Mount(t testing.TB, path string, version int) {
	t.Helper()
	err := s.Client.Sys().MountWithContext(t.Context(), path, &api.MountInput{
		Type: "kv", Options: map[string]string{"version": strconv.Itoa(version)},
	})
	if err != nil {
		t.Fatalf("mount %s: %v", path, err)
	}
	if version == 2 {
		s.Write(t, path+"/config", map[string]any{"max_versions": 10})
	}
}

// Put writes a secret at a mount's name, of KV v1 or v2.
func (s *Server) Put(t testing.TB, version int, mount, name string, data map[string]any) {
	t.Helper()
	if version == 2 {
		s.Write(t, mount+"/data/"+name, map[string]any{"data": data})
		return
	}
	s.Write(t, mount+"/"+name, data)
}

// Write writes to any path of the API, as root.
func (s *Server) Write(t testing.TB, path string, data map[string]any) *api.Secret {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		secret, err := s.Client.Logical().WriteWithContext(ctx, path, data)
		if err == nil {
			return secret
		}
		if !strings.Contains(strings.ToLower(err.Error()), "upgrading") {
			t.Fatalf("write %s: %v", path, err)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("write %s: %v", path, err)
		case <-time.After(5 * time.Millisecond): // between polls
		}
	}
}

// Policy writes a policy.
func (s *Server) Policy(t testing.TB, name, rules string) {
	t.Helper()
	if err := s.Client.Sys().PutPolicyWithContext(t.Context(), name, rules); err != nil {
		t.Fatalf("policy %s: %v", name, err)
	}
}

// Token makes a token with the given policies.
func (s *Server) Token(t testing.TB, policies ...string) string {
	t.Helper()
	secret, err := s.Client.Auth().Token().CreateWithContext(t.Context(), &api.TokenCreateRequest{
		Policies: policies, NoParent: true,
	})
	if err != nil {
		t.Fatalf("create token: %v", err)
	}
	return secret.Auth.ClientToken
}

// Revoke revokes a token, which is all that its expiry does too.
func (s *Server) Revoke(t testing.TB, token string) {
	t.Helper()
	if err := s.Client.Auth().Token().RevokeTreeWithContext(t.Context(), token); err != nil {
		t.Fatalf("revoke token: %v", err)
	}
}

// Seal seals the server.
func (s *Server) Seal(t testing.TB) {
	t.Helper()
	if err := s.Client.Sys().SealWithContext(t.Context()); err != nil {
		t.Fatalf("seal: %v", err)
	}
}

// Unseal unseals it again.
func (s *Server) Unseal(t testing.TB) {
	t.Helper()
	if err := s.unsealed(t.Context()); err != nil {
		t.Fatalf("unseal: %v", err)
	}
}
