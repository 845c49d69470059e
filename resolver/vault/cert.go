// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"context"
	"crypto/tls"
	"net/url"
	"time"

	"github.com/oci-secrets/oci-secrets/resolver/private"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

func checkCert(a Auth) error {
	if a.ClientCert == "" || a.ClientKey == "" {
		return fault.New(fault.Settings, "write both under [vault.auth]; they are PEM files", "vault: auth method cert needs client_cert and client_key")
	}
	return nil
}

// cert logs in as who the TLS client certificate says.
func (s *Source) cert(ctx context.Context) (grant, error) {
	login := map[string]string{}
	if role := s.config.Auth.Role; role != "" {
		login["name"] = role
	}
	return s.authenticate(ctx, "certificate", login,
		"check that the method is mounted there (mount under [vault.auth]), and that a role of it has the CA of client_cert, and allows the names in it; set role where several do")
}

// clientCertificates are what is shown to a server at address that asks.
func clientCertificates(a Auth, address *url.URL) ([]tls.Certificate, error) {
	if a.Method != "cert" {
		return nil, nil
	}
	if address.Scheme != "https" {
		return nil, fault.New(fault.Settings, "write the address with https://", "vault: auth method cert: without TLS there is no client certificate")
	}
	key, err := private.Read(a.ClientKey)
	if err != nil {
		return nil, unreadable("client_key", err)
	}
	chain, err := private.ReadTrusted(a.ClientCert)
	if err != nil {
		return nil, unreadable("client_cert", err)
	}
	cert, err := tls.X509KeyPair(chain, key)
	if err != nil {
		hint := ""
		if bytes.Contains(key, []byte("ENCRYPTED")) {
			hint = "the key has a passphrase, which nobody is there to type: write it without one"
		}
		return nil, fault.New(fault.Settings, hint, "vault: client_cert %s and client_key %s: %s", a.ClientCert, a.ClientKey, clean(err.Error()))
	}
	switch now := time.Now(); {
	case now.After(cert.Leaf.NotAfter):
		return nil, fault.New(fault.Refused, "get a new one; or this machine's clock is wrong",
			"vault: client_cert: %s has expired at %s", a.ClientCert, cert.Leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(cert.Leaf.NotBefore):
		return nil, fault.New(fault.Refused, "check this machine's clock",
			"vault: client_cert: %s is valid only from %s", a.ClientCert, cert.Leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	return []tls.Certificate{cert}, nil
}
