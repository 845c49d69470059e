// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"maps"
	"testing"
)

// Kubernetes makes a role for the service accounts of some namespaces, enabling
// the auth method at mount if it is not. It is a plugin, which
// test/setup/vaultplugin.sh builds.
func (s *Server) Kubernetes(t testing.TB, mount, role string, r *TokenReview, namespaces []string, tokens Tokens) {
	t.Helper()
	s.plugin(t, "kubernetes", "auth", "kubernetes")
	s.enableAuth(t, mount, "kubernetes")
	s.Write(t, "auth/"+mount+"/config", map[string]any{
		"kubernetes_host": r.URL, "kubernetes_ca_cert": r.CAPEM, "token_reviewer_jwt": r.reviewer(),
		"disable_local_ca_jwt": true,
	})
	s.Write(t, "auth/"+mount+"/role/"+role, tokens.with(map[string]any{
		"bound_service_account_names": []string{"*"}, "bound_service_account_namespaces": namespaces, "audience": Audience,
	}))
}

// JWTAuth makes a role for JWTs of a public key, enabling the auth method at
// mount if it is not. What is bound is as the method's API has it:
// bound_subject, bound_claims, and bound_audiences, which is Audience if not
// given.
func (s *Server) JWTAuth(t testing.TB, mount, role, publicKeyPEM string, bound map[string]any, tokens Tokens) {
	t.Helper()
	s.enableAuth(t, mount, "jwt")
	s.Write(t, "auth/"+mount+"/config", map[string]any{"jwt_validation_pubkeys": []string{publicKeyPEM}, "bound_issuer": Issuer})
	data := map[string]any{"role_type": "jwt", "user_claim": "sub", "bound_audiences": []string{Audience}}
	maps.Copy(data, bound)
	s.Write(t, "auth/"+mount+"/role/"+role, tokens.with(data))
}

// CertAuth makes a role for the clients' certificates of a CA, enabling the auth
// method at mount if it is not.
func (s *Server) CertAuth(t testing.TB, mount, role, caPEM string, tokens Tokens) {
	t.Helper()
	s.enableAuth(t, mount, "cert")
	s.Write(t, "auth/"+mount+"/certs/"+role, tokens.with(map[string]any{"certificate": caPEM}))
}
