// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"time"

	"github.com/hashicorp/vault/api"
)

// newClient is not of api.DefaultConfig: the developer's VAULT_* variables are
// about another server.
func newClient(address, caFile string) (*api.Client, error) {
	roots := x509.NewCertPool()
	if caFile != "" {
		ca, err := os.ReadFile(caFile)
		if err != nil {
			return nil, err
		}
		roots.AppendCertsFromPEM(ca)
	}
	client, err := api.NewClient(&api.Config{Address: address, HttpClient: &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
	}})
	if err != nil {
		return nil, err
	}
	client.ClearNamespace()
	client.SetToken("")
	return client, nil
}

// poll calls f until it says yes.
func poll(ctx context.Context, f func() bool) error {
	for !f() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond): // between polls
		}
	}
	return nil
}
