// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/config"
	"github.com/oci-secrets/oci-secrets/resolver/vault"
)

// openVault makes the Vault source from the settings, for one container.
func openVault(s *config.Settings, c resolver.Container) (resolver.Source, error) {
	return vault.New(vaultConfig(s), c)
}

// openFresh is openVault for a person who asks: what was refused a moment ago
// is asked again.
func openFresh(s *config.Settings, c resolver.Container) (resolver.Source, error) {
	v := vaultConfig(s)
	v.Fresh = true
	return vault.New(v, c)
}

// vaultConfig is what the settings say of Vault.
func vaultConfig(s *config.Settings) vault.Config {
	v, a := s.Vault, s.Vault.Auth
	addresses := v.Addresses
	if v.Address != "" {
		addresses = append([]string{v.Address}, addresses...)
	}
	return vault.Config{
		Addresses: addresses, Mount: v.Mount, Prefix: v.Prefix, CACert: v.CACert, Namespace: v.Namespace,
		Dynamic: v.Dynamic, StateDir: s.StateDir,
		Auth: vault.Auth{
			Method: a.Method, Mount: a.Mount, Role: a.Role,
			Token: a.Token.Value, TokenFile: a.TokenFile,
			RoleID: a.RoleID, RoleIDFile: a.RoleIDFile, SecretIDFile: a.SecretIDFile, WrappedSecretIDFile: a.WrappedSecretIDFile,
			JWTFile: a.JWTFile, AsWorkload: a.AsWorkload, WorkloadToken: a.WorkloadToken, Kubelet: a.Kubelet,
			ClientCert: a.ClientCert, ClientKey: a.ClientKey,
		},
	}
}
