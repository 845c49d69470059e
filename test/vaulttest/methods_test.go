// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestKubernetes(t *testing.T) {
	s := Start(t, Options{})
	r := StartTokenReview(t)
	s.Kubernetes(t, "k8s", "web", r, []string{"shop"}, Tokens{Policies: []string{"reader"}, TTL: time.Minute})
	login := func(jwt string) error {
		t.Helper()
		_, err := s.Login(t, "k8s", map[string]any{"role": "web", "jwt": jwt})
		return err
	}
	good := r.JWT("shop", "web", "1", time.Minute)
	if err := login(good); err != nil {
		t.Fatal(err)
	}
	if r.Reviews() != 1 {
		t.Errorf("%d reviews", r.Reviews())
	}
	other := Claims("shop", "web", "1", time.Minute)
	other["aud"] = []string{"other"}
	r.Revoke(good)
	for name, jwt := range map[string]string{
		"revoked":          good,
		"expired":          r.JWT("shop", "web", "1", -time.Minute),
		"namespace":        r.JWT("bank", "web", "1", time.Minute),
		"audience":         r.Sign(other),
		"somebody else's":  NewSigner(t).JWT("shop", "web", "1", time.Minute),
		"not a JWT at all": "a.b",
	} {
		if login(jwt) == nil {
			t.Errorf("%s: logged in", name)
		}
	}
	if _, ok := r.good(r.JWT("shop", "web", "1", -time.Minute)); ok {
		t.Error("an expired JWT is good")
	}
	if err := login(r.JWT("shop", "web", "2", time.Minute)); err != nil {
		t.Error(err)
	}
}

// A killed server leaves no plugin behind.
func TestPluginsEnd(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can have a PID namespace")
	}
	s := Start(t, Options{})
	s.Kubernetes(t, "k8s", "web", StartTokenReview(t), []string{"shop"}, Tokens{})
	running := func() (n int) {
		links, err := filepath.Glob("/proc/[0-9]*/exe")
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range links {
			if exe, err := os.Readlink(l); err == nil && filepath.Dir(exe) == s.plugins {
				n++
			}
		}
		return n
	}
	if running() == 0 {
		t.Error("no plugin runs")
	}
	s.Stop()
	if n := running(); n != 0 {
		t.Errorf("%d plugins are left", n)
	}
}

func TestJWTAuth(t *testing.T) {
	s := Start(t, Options{})
	signer := NewSigner(t)
	s.JWTAuth(t, "jwt", "web", signer.PublicKeyPEM, map[string]any{
		"bound_subject": "system:serviceaccount:shop:web",
	}, Tokens{Policies: []string{"reader"}})
	for _, c := range []struct {
		name, jwt string
		ok        bool
	}{
		{"good", signer.JWT("shop", "web", "1", time.Minute), true},
		{"subject", signer.JWT("shop", "db", "1", time.Minute), false},
		{"expired", signer.JWT("shop", "web", "1", -time.Hour), false},
		{"key", NewSigner(t).JWT("shop", "web", "1", time.Minute), false},
	} {
		if _, err := s.Login(t, "jwt", map[string]any{"role": "web", "jwt": c.jwt}); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestCertAuth(t *testing.T) {
	s := Start(t, Options{})
	ca := NewCA(t)
	s.CertAuth(t, "cert", "web", ca.PEM, Tokens{Policies: []string{"reader"}})
	for _, c := range []struct {
		name string
		ca   *CA
		ttl  time.Duration
		want bool
	}{
		{"good", ca, time.Hour, true},
		{"expired", ca, -time.Minute, false},
		{"another CA", NewCA(t), time.Hour, false},
	} {
		cert, key := c.ca.Client(t, "web", c.ttl)
		pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
		if err != nil {
			t.Fatal(err)
		}
		config := s.Client.CloneConfig().HttpClient.Transport.(*http.Transport).TLSClientConfig.Clone()
		config.Certificates = []tls.Certificate{pair}
		client := http.Client{Transport: &http.Transport{TLSClientConfig: config}}
		r, err := client.Post(s.Address+"/v1/auth/cert/login", "application/json", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		if ok := r.StatusCode == http.StatusOK; ok != c.want {
			t.Errorf("%s: %s", c.name, r.Status)
		}
		client.CloseIdleConnections()
	}
}
