// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/resolver/vault"
	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// reader makes a policy that lets its tokens read containers/<name>, and the
// secret. The policy's name is that of the secret.
func reader(t *testing.T, name string) vaulttest.Tokens {
	t.Helper()
	server.Policy(t, name, `path "secret/data/containers/`+name+`" { capabilities = ["read"] }`)
	server.Put(t, 2, kv2, "containers/"+name, map[string]any{"K": canary})
	return vaulttest.Tokens{Policies: []string{name}, TTL: time.Minute}
}

// logIn reads the secret called name as auth says, with a Source of its own.
func logIn(t *testing.T, auth vault.Auth, name string) error {
	t.Helper()
	c := config(server, kv2, "")
	c.Auth = auth
	start := time.Now()
	_, err := get(t, source(t, c), 5*time.Second, name, 0)
	if d := time.Since(start); err != nil && d > 2*time.Second {
		t.Errorf("a refusal was retried: %s", d)
	}
	return err
}

// tooOpen is a file that others can read.
func tooOpen(t *testing.T, content string) string {
	t.Helper()
	path := file(t, content)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestJWT(t *testing.T) {
	tokens := reader(t, "jwt")
	s := vaulttest.NewSigner(t)
	server.JWTAuth(t, "jwt", "web", s.PublicKeyPEM, map[string]any{"bound_claims": map[string]any{"/kubernetes.io/namespace": "shop"}}, tokens)
	server.JWTAuth(t, "corp/jwt", "web", s.PublicKeyPEM, nil, tokens)
	good := s.JWT("shop", "web", "1", time.Minute)
	foreign := vaulttest.Claims("shop", "web", "1", time.Minute)
	foreign["aud"] = []string{"other"}
	early := vaulttest.Claims("shop", "web", "1", 3*time.Hour)
	early["nbf"], early["iat"] = time.Now().Add(time.Hour).Unix(), time.Now().Add(time.Hour).Unix()
	from := func(jwt string) vault.Auth {
		return vault.Auth{Method: "jwt", Role: "web", JWTFile: file(t, jwt+"\n")}
	}
	with := func(edit func(*vault.Auth)) vault.Auth {
		a := from(good)
		edit(&a)
		return a
	}
	for name, tt := range map[string]struct {
		auth  vault.Auth
		class fault.Class // 0 for success
		texts []string
	}{
		"good":      {auth: from(good)},
		"elsewhere": {auth: with(func(a *vault.Auth) { a.Mount = "corp/jwt" })},

		"expired":         {from(s.JWT("shop", "web", "1", -time.Hour)), fault.Refused, []string{"JWT login at auth/jwt/login was refused", "token is expired", "this machine's clock and the server's"}},
		"not yet valid":   {from(s.Sign(early)), fault.Refused, []string{"token not yet valid", "this machine's clock and the server's"}},
		"wrong namespace": {from(s.JWT("bank", "web", "1", time.Minute)), fault.Refused, []string{"claim", "check that the method is mounted there", "that the role is there, and is bound"}},
		"wrong audience":  {from(s.Sign(foreign)), fault.Refused, []string{"auth/jwt/login was refused"}},
		"forged":          {from(vaulttest.NewSigner(t).JWT("shop", "web", "1", time.Minute)), fault.Refused, []string{"auth/jwt/login was refused"}},
		"forged and old":  {from(vaulttest.NewSigner(t).JWT("shop", "web", "1", -time.Hour)), fault.Refused, []string{"has expired 1h0m", "this machine's clock"}},
		"wrong role":      {with(func(a *vault.Auth) { a.Role = "admin" }), fault.Refused, []string{`role "admin" could not be found`}},
		"wrong mount":     {with(func(a *vault.Auth) { a.Mount = "nowhere" }), fault.Refused, []string{"auth/nowhere/login"}},
		"no JWT":          {from("two.parts"), fault.Refused, []string{"is no JWT: it has not three parts"}},
		"no base64":       {from("a.?.c"), fault.Refused, []string{"is no JWT: its second part is not base64"}},
		"no JSON":         {from("a.bm8.c"), fault.Refused, []string{"is no JWT: its claims are not the JSON"}},
		"too open":        {with(func(a *vault.Auth) { a.JWTFile = tooOpen(t, good) }), fault.Refused, []string{"jwt_file", "others can read it"}},
		"absent":          {with(func(a *vault.Auth) { a.JWTFile = filepath.Join(t.TempDir(), "jwt") }), fault.Settings, []string{"jwt_file", "does not exist"}},
		"empty":           {from(""), fault.Settings, []string{"jwt_file", "is empty"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := logIn(t, tt.auth, "jwt")
			if tt.class == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantFault(t, err, tt.class, tt.texts...)
			harmless(t, err, good, strings.Split(good, ".")[2], "two.parts")
		})
	}
}

// TestKubernetes has the genuine auth method ask a TokenReview.
func TestKubernetes(t *testing.T) {
	tokens := reader(t, "kubernetes")
	review := vaulttest.StartTokenReview(t)
	server.Kubernetes(t, "kubernetes", "web", review, []string{"shop"}, tokens)
	server.Kubernetes(t, "k8s/eu", "web", review, []string{"bank"}, tokens)
	auth := func(jwt string) vault.Auth {
		return vault.Auth{Method: "kubernetes", Role: "web", JWTFile: file(t, jwt)}
	}
	good, revoked := review.JWT("shop", "web", "1", time.Minute), review.JWT("shop", "web", "2", time.Minute)
	expired, other := review.JWT("shop", "web", "1", -time.Hour), review.JWT("bank", "web", "1", time.Minute)
	elsewhere := auth(other)
	elsewhere.Mount = "k8s/eu"
	for range 2 {
		for _, a := range []vault.Auth{auth(good), auth(revoked), elsewhere} {
			if err := logIn(t, a, "kubernetes"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := review.Reviews(); n != 6 {
		t.Errorf("%d reviews", n)
	}
	review.Revoke(revoked) // as when the pod is deleted
	role := auth(good)
	role.Role = "admin"
	nowhere := auth(good)
	nowhere.Mount = "nowhere"
	open := auth(good)
	open.JWTFile = tooOpen(t, good)
	for name, tt := range map[string]struct {
		auth  vault.Auth
		texts []string
	}{
		"revoked":         {auth(revoked), []string{"Kubernetes login at auth/kubernetes/login was refused", "Vault's own log"}},
		"expired":         {auth(expired), []string{"auth/kubernetes/login was refused", "clock"}},
		"wrong namespace": {auth(other), []string{"namespace not authorized"}},
		"forged":          {auth(vaulttest.NewSigner(t).JWT("shop", "web", "1", time.Minute)), []string{"auth/kubernetes/login was refused"}},
		"wrong role":      {role, []string{`invalid role name "admin"`}},
		"wrong mount":     {nowhere, []string{"auth/nowhere/login"}},
		"too open":        {open, []string{"jwt_file", "others can read it"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := logIn(t, tt.auth, "kubernetes")
			wantFault(t, err, fault.Refused, tt.texts...)
			harmless(t, err, good, revoked, expired, other)
		})
	}
	t.Run("by default", func(t *testing.T) {
		if _, err := os.Stat("/var/run/secrets/kubernetes.io"); err == nil {
			t.Skip("this machine is a pod")
		}
		err := logIn(t, vault.Auth{Method: "kubernetes", Role: "web"}, "kubernetes")
		wantFault(t, err, fault.Settings, "jwt_file", "/var/run/secrets/kubernetes.io/serviceaccount/token does not exist", "write jwt_file", "or as_workload = true")
	})
}
