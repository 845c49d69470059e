// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TokenReview is what Vault's kubernetes method asks of a Kubernetes API server:
// whether a service account's token is good. It has a CA of its own and says
// yes to the JWTs of its key, until they expire or are revoked.
type TokenReview struct {
	*Signer
	URL   string
	CAPEM string

	mu      sync.Mutex
	revoked map[string]bool
	reviews int
}

// StartTokenReview starts the endpoint for one test.
func StartTokenReview(t testing.TB) *TokenReview {
	t.Helper()
	ca, err := newCA("vaulttest Kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	certPEM, keyPEM, err := ca.server("vaulttest Kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair([]byte(certPEM), []byte(keyPEM))
	if err != nil {
		t.Fatal(err)
	}
	r := &TokenReview{Signer: NewSigner(t), CAPEM: ca.PEM, revoked: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /apis/authentication.k8s.io/v1/tokenreviews", r.review)
	server := httptest.NewUnstartedServer(mux)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	r.URL = server.URL
	return r
}

// Revoke makes a JWT a bad one: its pod or its service account is gone.
func (r *TokenReview) Revoke(jwt string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.revoked[jwt] = true
}

// Reviews is how many were asked for.
func (r *TokenReview) Reviews() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reviews
}

// reviewer is the JWT with which Vault itself comes.
func (r *TokenReview) reviewer() string {
	return r.JWT("vault", "vault", "vault-0", 24*time.Hour)
}

func (r *TokenReview) good(jwt string) (claims, bool) {
	c, err := r.verify(jwt)
	r.mu.Lock()
	defer r.mu.Unlock()
	return c, err == nil && !r.revoked[jwt]
}

func (r *TokenReview) review(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	bearer, _ := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	if _, ok := r.good(bearer); !ok {
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(map[string]any{
			"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "Unauthorized", "reason": "Unauthorized", "code": 401,
		})
		return
	}
	var asked struct {
		Spec struct {
			Token     string
			Audiences []string
		}
	}
	if err := json.NewDecoder(req.Body).Decode(&asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	r.reviews++
	r.mu.Unlock()
	status := map[string]any{"authenticated": false, "error": "[invalid bearer token]"}
	if c, ok := r.good(asked.Spec.Token); ok {
		audiences := slices.DeleteFunc(c.Audiences, func(a string) bool {
			return len(asked.Spec.Audiences) > 0 && !slices.Contains(asked.Spec.Audiences, a)
		})
		if len(audiences) > 0 {
			status = map[string]any{"authenticated": true, "audiences": audiences, "user": map[string]any{
				"username": c.Subject, "uid": c.Kubernetes.ServiceAccount.UID,
				"groups": []string{"system:serviceaccounts", "system:authenticated"},
				"extra": map[string]any{
					"authentication.kubernetes.io/pod-name": []string{c.Kubernetes.Pod.Name},
					"authentication.kubernetes.io/pod-uid":  []string{c.Kubernetes.Pod.UID},
				},
			}}
		}
	}
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "status": status})
}
