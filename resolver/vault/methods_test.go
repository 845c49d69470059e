// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/vault"
	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// TestMethodSettings has what each method wants of the settings, and what it
// would not use.
func TestMethodSettings(t *testing.T) {
	token := resolver.NewValue(canary)
	for name, tt := range map[string]struct {
		auth   vault.Auth
		prefix string
		state  string
		texts  []string // none for no error
	}{
		"jwt":                  {auth: vault.Auth{Method: "jwt", Role: "web", JWTFile: "/jwt"}},
		"jwt, as workload":     {auth: vault.Auth{Method: "jwt", Role: "web", AsWorkload: true}},
		"kubernetes":           {auth: vault.Auth{Method: "kubernetes", Role: "web"}},
		"kubernetes, a file":   {auth: vault.Auth{Method: "kubernetes", Role: "web", JWTFile: "/jwt"}},
		"kubernetes, workload": {auth: vault.Auth{Method: "kubernetes", Role: "web", AsWorkload: true, WorkloadToken: "/t", Kubelet: "/k"}},
		"cert":                 {auth: vault.Auth{Method: "cert", ClientCert: "/c", ClientKey: "/k"}},
		"cert, with a role":    {auth: vault.Auth{Method: "cert", ClientCert: "/c", ClientKey: "/k", Role: "web"}},
		"wrapped":              {auth: vault.Auth{Method: "approle", RoleID: "r", WrappedSecretIDFile: "/w"}, state: "/run/x"},
		"placeholders":         {auth: vault.Auth{Method: "jwt", Role: "web", AsWorkload: true}, prefix: "k8s/{namespace}/x-{service_account}/{user}/{host}"},
		"placeholders, ours":   {auth: vault.Auth{Method: "token", Token: token}, prefix: "{user}/{host}"},

		"jwt without a role":        {auth: vault.Auth{Method: "jwt", JWTFile: "/jwt"}, texts: []string{"auth method jwt needs a role", `role = "..."`}},
		"kubernetes without a role": {auth: vault.Auth{Method: "kubernetes"}, texts: []string{"auth method kubernetes needs a role"}},
		"jwt of nowhere":            {auth: vault.Auth{Method: "jwt", Role: "web"}, texts: []string{"one of jwt_file and as_workload"}},
		"two tokens":                {auth: vault.Auth{Method: "jwt", Role: "web", JWTFile: "/jwt", AsWorkload: true}, texts: []string{"not both"}},
		"a relative token":          {auth: vault.Auth{Method: "jwt", Role: "web", AsWorkload: true, WorkloadToken: "run/token"}, texts: []string{`workload_token "run/token"`, "absolute"}},
		"a relative kubelet":        {auth: vault.Auth{Method: "jwt", Role: "web", AsWorkload: true, Kubelet: "kubelet"}, texts: []string{`kubelet "kubelet"`, "absolute"}},
		"no key":                    {auth: vault.Auth{Method: "cert", ClientCert: "/c"}, texts: []string{"cert needs client_cert and client_key"}},
		"no certificate":            {auth: vault.Auth{Method: "cert", ClientKey: "/k"}, texts: []string{"cert needs client_cert and client_key"}},
		"two secret ids":            {auth: vault.Auth{Method: "approle", RoleID: "r", SecretIDFile: "/s", WrappedSecretIDFile: "/w"}, state: "/run/x", texts: []string{"not both"}},
		"nowhere to keep":           {auth: vault.Auth{Method: "approle", RoleID: "r", WrappedSecretIDFile: "/w"}, texts: []string{"needs a state directory", "state_dir"}},

		"a token, unused":       {auth: vault.Auth{Method: "approle", RoleID: "r", Token: token}, texts: []string{"approle does not use token", "set method to token"}},
		"a token file, unused":  {auth: vault.Auth{Method: "token", Token: token, TokenFile: "/t"}, texts: []string{"token does not use token_file"}},
		"a role, unused":        {auth: vault.Auth{Method: "approle", RoleID: "r", Role: "web"}, texts: []string{"approle does not use role", "cert or jwt or kubernetes"}},
		"a role id, unused":     {auth: vault.Auth{Method: "jwt", Role: "web", JWTFile: "/j", RoleID: "r"}, texts: []string{"jwt does not use role_id"}},
		"its file, unused":      {auth: vault.Auth{Method: "jwt", Role: "web", JWTFile: "/j", RoleIDFile: "/r"}, texts: []string{"jwt does not use role_id_file"}},
		"a secret id, unused":   {auth: vault.Auth{Method: "token_file", TokenFile: "/t", SecretIDFile: "/s"}, texts: []string{"token_file does not use secret_id_file"}},
		"a wrapped one, unused": {auth: vault.Auth{Method: "token_file", TokenFile: "/t", WrappedSecretIDFile: "/s"}, texts: []string{"does not use wrapped_secret_id_file"}},
		"a workload, unused":    {auth: vault.Auth{Method: "approle", RoleID: "r", AsWorkload: true}, texts: []string{"approle does not use as_workload"}},
		"a JWT, unused":         {auth: vault.Auth{Method: "cert", ClientCert: "/c", ClientKey: "/k", JWTFile: "/j"}, texts: []string{"cert does not use jwt_file"}},
		"a key, unused":         {auth: vault.Auth{Method: "token", Token: token, ClientKey: "/k"}, texts: []string{"token does not use client_key", "set method to cert"}},
		"a certificate, unused": {auth: vault.Auth{Method: "token", Token: token, ClientCert: "/k"}, texts: []string{"token does not use client_cert"}},
		"a mount, unused":       {auth: vault.Auth{Method: "token", Token: token, Mount: "x"}, texts: []string{"token does not use mount"}},

		"an unknown placeholder": {
			auth: vault.Auth{Method: "token", Token: token}, prefix: "k8s/{pod}",
			texts: []string{`prefix "k8s/{pod}": {pod} is not known`, "{host}, {namespace}, {service_account}, {user}"},
		},
		// A pod's own text may stand where its token would, and nobody verifies it.
		"a namespace that nobody verifies": {
			auth: vault.Auth{Method: "approle", RoleID: "r"}, prefix: "k8s/{namespace}",
			texts: []string{`prefix "k8s/{namespace}": {namespace} needs as_workload`, "as_workload = true"},
		},
		"an account that nobody verifies": {
			auth: vault.Auth{Method: "kubernetes", Role: "web", JWTFile: "/jwt"}, prefix: "x-{service_account}", texts: []string{"{service_account} needs as_workload"},
		},
		"an empty placeholder":    {auth: vault.Auth{Method: "token", Token: token}, prefix: "{}", texts: []string{"{} is not known"}},
		"an open placeholder":     {auth: vault.Auth{Method: "token", Token: token}, prefix: "x/{namespace", texts: []string{"prefix"}},
		"a closed placeholder":    {auth: vault.Auth{Method: "token", Token: token}, prefix: "x/namespace}", texts: []string{"prefix"}},
		"one in another":          {auth: vault.Auth{Method: "token", Token: token}, prefix: "{{user}}", texts: []string{"prefix"}},
		"two in one part":         {auth: vault.Auth{Method: "token", Token: token}, prefix: "{user}-{host}", texts: []string{"two placeholders"}},
		"a prefix that leaves":    {auth: vault.Auth{Method: "token", Token: token}, prefix: "../{user}", texts: []string{"prefix"}},
		"a placeholder and a dot": {auth: vault.Auth{Method: "token", Token: token}, prefix: "{user}/..", texts: []string{"prefix"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := vault.New(vault.Config{
				Addresses: []string{"https://vault.example:8200"}, Auth: tt.auth, Prefix: tt.prefix, StateDir: tt.state,
			}, resolver.Container{})
			if tt.texts == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantFault(t, err, fault.Settings, tt.texts...)
			harmless(t, err)
		})
	}
}

// TestOutside has what somebody does at the server between two starts.
func TestOutside(t *testing.T) {
	tokens := reader(t, "withdrawn")
	s := vaulttest.NewSigner(t)
	ca := vaulttest.NewCA(t)
	review := vaulttest.StartTokenReview(t)
	server.JWTAuth(t, "jwt-outside", "web", s.PublicKeyPEM, nil, tokens)
	server.CertAuth(t, "cert-outside", "web", ca.PEM, tokens)
	server.Kubernetes(t, "k8s-outside", "web", review, []string{"shop"}, tokens)
	roleID, secretID := server.AppRoleWith(t, "approle-outside", "web", tokens)
	cert, key := ca.Client(t, "web", time.Hour)
	for role, auth := range map[string]vault.Auth{
		"auth/jwt-outside/role/web":     {Method: "jwt", Role: "web", Mount: "jwt-outside", JWTFile: file(t, s.JWT("shop", "web", "1", time.Minute))},
		"auth/k8s-outside/role/web":     {Method: "kubernetes", Role: "web", Mount: "k8s-outside", JWTFile: file(t, review.JWT("shop", "web", "1", time.Minute))},
		"auth/cert-outside/certs/web":   {Method: "cert", Mount: "cert-outside", ClientCert: file(t, cert), ClientKey: file(t, key)},
		"auth/approle-outside/role/web": {Method: "approle", Mount: "approle-outside", RoleID: roleID, SecretIDFile: file(t, secretID)},
	} {
		t.Run(auth.Method, func(t *testing.T) {
			if err := logIn(t, auth, "withdrawn"); err != nil {
				t.Fatal(err)
			}
			// All tokens of the method end; the next start gets one of its own.
			if err := server.Client.Sys().RevokePrefixWithContext(t.Context(), "auth/"+auth.Mount); err != nil {
				t.Fatal(err)
			}
			if err := logIn(t, auth, "withdrawn"); err != nil {
				t.Fatal(err)
			}
			if _, err := server.Client.Logical().DeleteWithContext(t.Context(), role); err != nil {
				t.Fatal(err)
			}
			wantFault(t, logIn(t, auth, "withdrawn"), fault.Refused, "auth/"+auth.Mount+"/login was refused")
		})
	}
}
