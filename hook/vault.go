// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/oci-secrets/oci-secrets/hook/report"
	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/config"
	"github.com/oci-secrets/oci-secrets/resolver/lease"
	"github.com/oci-secrets/oci-secrets/resolver/vault"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// openVault makes the Vault source from the settings, for one container. A
// hook's environment is its caller's, and counts where the operator says so.
func openVault(s *config.Settings, c resolver.Container) (resolver.Source, error) {
	v := vaultConfig(s)
	if s.Vault.Environment {
		v = vault.FromEnvironment(v)
	}
	return newVault(s, v, c)
}

// newVault names the file of the settings that a source cannot work with, unless
// the environment has changed them.
func newVault(s *config.Settings, v vault.Config, c resolver.Container) (*vault.Source, error) {
	source, err := vault.New(v, c)
	if errors.Is(err, fault.Settings) && len(v.Variables()) == 0 {
		err = s.Broken(err)
	}
	return source, err
}

// openTrial is openVault for a person who asks what a container would get, and is
// told of what the environment changes.
func openTrial(s *config.Settings, c resolver.Container) (resolver.Source, error) {
	v := vaultConfigForPeople(report.Writer{W: os.Stderr}, s)
	v.Trial = true
	return newVault(s, v, c)
}

// vaultConfigForPeople is vaultConfig with the variables that people use. What was
// refused a moment ago is asked again for them.
func vaultConfigForPeople(w io.Writer, s *config.Settings) vault.Config {
	v := vault.FromEnvironment(vaultConfig(s))
	v.Fresh = true
	if names := strings.Join(v.Variables(), ", "); names != "" {
		text := "is used here; containers' starts do not see it"
		if len(v.Variables()) > 1 {
			text = "are used here; containers' starts do not see them"
		}
		if s.Vault.Environment {
			text = "counts here; at a container's start, what its caller has set does"
		}
		_, _ = fmt.Fprintf(w, "note: %s %s\n", names, text) // a person's terminal
	}
	for _, note := range v.Notes() {
		_, _ = fmt.Fprintln(w, "note: "+note)
	}
	return v
}

// openLeases makes the Vault source for what containers were leased, which may
// be gone: the settings that want to know about them do not count.
func openLeases(s *config.Settings) lease.Opener {
	return func(session string) (lease.Server, error) {
		v := vaultConfig(s)
		v.Prefix, v.Session = "", session
		return newVault(s, v, resolver.Container{})
	}
}

// vaultConfig is what the settings say of Vault.
func vaultConfig(s *config.Settings) vault.Config {
	v, a := s.Vault, s.Vault.Auth
	addresses := v.Addresses
	if v.Address != "" {
		addresses = append([]string{v.Address}, addresses...)
	}
	return vault.Config{
		Addresses: addresses, InsecureLoopback: v.InsecureLoopback, SocketOwner: v.SocketOwner, TLSServerName: v.TLSServerName, Proxy: v.Proxy,
		Mount: v.Mount, Prefix: v.Prefix, CACert: v.CACert, Namespace: v.Namespace,
		Dynamic: v.Dynamic, StateDir: s.StateDir,
		Outage: vault.Outage{
			LastKnownGood: v.Outage.Mode == config.LastKnownGood, MaxAge: v.Outage.MaxAge.Duration, Directory: v.Outage.Directory,
		},
		Auth: vault.Auth{
			Method: a.Method, Mount: a.Mount, Role: a.Role,
			Token: a.Token.Value, TokenFile: a.TokenFile, TokenFileOwner: a.TokenFileOwner,
			RoleID: a.RoleID, RoleIDFile: a.RoleIDFile, SecretIDFile: a.SecretIDFile, WrappedSecretIDFile: a.WrappedSecretIDFile,
			JWTFile: a.JWTFile, AsWorkload: a.AsWorkload, WorkloadToken: a.WorkloadToken, WorkloadIssuer: a.WorkloadIssuer, Kubelet: a.Kubelet,
			ClientCert: a.ClientCert, ClientKey: a.ClientKey,
		},
	}
}
