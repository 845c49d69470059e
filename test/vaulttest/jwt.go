// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// What a kubelet asks for, for the tokens that it projects into a pod.
const (
	Issuer   = "https://kubernetes.default.svc.cluster.local"
	Audience = "vault"
)

// Signer makes JWTs of the shape of those that a kubelet projects into a pod.
type Signer struct {
	PublicKeyPEM string

	key *rsa.PrivateKey
}

// NewSigner makes a key.
func NewSigner(t testing.TB) *Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return &Signer{encode("PUBLIC KEY", der), key}
}

// JWT is the token of a pod's service account, for Audience. With a negative
// ttl it has expired.
func (s *Signer) JWT(namespace, serviceAccount, podUID string, ttl time.Duration) string {
	return s.Sign(Claims(namespace, serviceAccount, podUID, ttl))
}

// Claims are those of JWT, for a test that wants others.
func Claims(namespace, serviceAccount, podUID string, ttl time.Duration) map[string]any {
	now := time.Now()
	begin := now
	if ttl < 0 {
		begin = now.Add(2 * ttl)
	}
	return map[string]any{
		"iss": Issuer, "aud": []string{Audience}, "sub": user(namespace, serviceAccount),
		"iat": begin.Unix(), "nbf": begin.Unix(), "exp": now.Add(ttl).Unix(),
		"jti": rand.Text(),
		"kubernetes.io": map[string]any{
			"namespace":      namespace,
			"pod":            map[string]any{"name": "pod-" + podUID, "uid": podUID},
			"serviceaccount": map[string]any{"name": serviceAccount, "uid": accountUID(namespace, serviceAccount)},
		},
	}
}

func user(namespace, serviceAccount string) string {
	return "system:serviceaccount:" + namespace + ":" + serviceAccount
}

// accountUID is what Kubernetes would make up once for a service account.
func accountUID(namespace, serviceAccount string) string {
	h := sha256.Sum256([]byte(user(namespace, serviceAccount)))
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

// Sign makes a JWT of any claims.
func (s *Signer) Sign(claims map[string]any) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err) // the test's own claims
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." +
		base64.RawURLEncoding.EncodeToString(payload)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(nil, s.key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err) // a key of 2048 bits can
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// claims are what Kubernetes looks at in a JWT.
type claims struct {
	Subject    string   `json:"sub"`
	Audiences  []string `json:"aud"`
	Begin      int64    `json:"nbf"`
	End        int64    `json:"exp"`
	Kubernetes struct {
		Pod            struct{ Name, UID string }
		ServiceAccount struct{ Name, UID string }
	} `json:"kubernetes.io"`
}

// verify reads a JWT if it is ours and of now.
func (s *Signer) verify(jwt string) (c claims, err error) {
	end := strings.LastIndexByte(jwt, '.')
	if end < 0 || strings.Count(jwt, ".") != 2 {
		return c, errors.New("not a JWT")
	}
	signature, err := base64.RawURLEncoding.DecodeString(jwt[end+1:])
	if err != nil {
		return c, err
	}
	sum := sha256.Sum256([]byte(jwt[:end]))
	if err := rsa.VerifyPKCS1v15(&s.key.PublicKey, crypto.SHA256, sum[:], signature); err != nil {
		return c, err
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(jwt, ".")[1])
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return c, err
	}
	if now := time.Now().Unix(); now < c.Begin || now >= c.End {
		return c, errors.New("token has expired or is not yet valid")
	}
	return c, nil
}
