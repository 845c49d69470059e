// SPDX-License-Identifier: Apache-2.0

package config

import (
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/oci-secrets/oci-secrets/resolver"
)

// Vault says where Vault is, who we are to it, and what we may do there.
type Vault struct {
	Address          string   `toml:"address"`
	Addresses        []string `toml:"addresses"`         // more of the same cluster
	InsecureLoopback bool     `toml:"insecure_loopback"` // http:// is meant: whoever has the port gets the login
	SocketOwner      string   `toml:"socket_owner"`      // who, besides root, may listen at a unix:// address
	TLSServerName    string   `toml:"tls_server_name"`   // instead of the address's, in the certificate
	Proxy            string   `toml:"proxy"`             // for https://
	Mount            string   `toml:"mount"`
	Prefix           string   `toml:"prefix"` // may have placeholders
	CACert           string   `toml:"ca_cert"`
	Namespace        string   `toml:"namespace"`
	Environment      bool     `toml:"environment"` // VAULT_* variables count in hooks, too
	Dynamic          []string `toml:"dynamic"`     // paths below which answers may be leased
	Auth             Auth     `toml:"auth"`
	Leases           Leases   `toml:"leases"`
	Outage           Outage   `toml:"outage"`
}

// Auth is the way to log in.
type Auth struct {
	Method              string `toml:"method"`
	Mount               string `toml:"mount"`
	Role                string `toml:"role"`
	Token               token  `toml:"token"`
	TokenFile           string `toml:"token_file"`
	TokenFileOwner      string `toml:"token_file_owner"` // who, besides root, it may belong to
	RoleID              string `toml:"role_id"`
	RoleIDFile          string `toml:"role_id_file"`
	SecretIDFile        string `toml:"secret_id_file"`
	WrappedSecretIDFile string `toml:"wrapped_secret_id_file"`
	JWTFile             string `toml:"jwt_file"`
	AsWorkload          bool   `toml:"as_workload"`     // with the token of the container's own service account
	WorkloadToken       string `toml:"workload_token"`  // where that is in the container
	WorkloadIssuer      string `toml:"workload_issuer"` // who must have issued it
	Kubelet             string `toml:"kubelet"`         // the kubelet's directory on this host
	ClientCert          string `toml:"client_cert"`
	ClientKey           string `toml:"client_key"`
}

// token is a string that cannot be printed from the moment it is read.
type token struct{ resolver.Value }

// UnmarshalText keeps the text.
func (t *token) UnmarshalText(text []byte) error {
	t.Value = resolver.NewValue(string(text))
	return nil
}

// Leases says what happens to leases of running containers.
type Leases struct {
	AtMaxTTL string `toml:"at_max_ttl"` // "warn" or "stop", when one cannot be renewed any more
}

// Outage says what happens while Vault is not there.
type Outage struct {
	Mode      string   `toml:"mode"`      // Refuse or LastKnownGood
	MaxAge    Duration `toml:"max_age"`   // of an answer that is used again
	Directory string   `toml:"directory"` // where answers are, encrypted
}

// The ways to go on while Vault is not there.
const (
	Refuse        = "refuse"
	LastKnownGood = "last-known-good"
)

// The ways to go on when a lease has reached its greatest age.
const (
	Warn = "warn"
	Stop = "stop"
)

// Where a container's token is, by default.
const (
	workloadToken = "/var/run/secrets/kubernetes.io/serviceaccount/token" //nolint:gosec // a path
	kubelet       = "/var/lib/kubelet"
)

// hasScheme reports whether an address is of one of the schemes.
func (v *Vault) hasScheme(schemes ...string) bool {
	return slices.ContainsFunc(append([]string{v.Address}, v.Addresses...), func(address string) bool {
		scheme, _, _ := strings.Cut(strings.ToLower(address), "://")
		return slices.Contains(schemes, scheme)
	})
}

// complete fills in what is not set.
func (v *Vault) complete(absolute func(*string)) {
	a := &v.Auth
	for p, value := range map[*string]string{
		&v.Leases.AtMaxTTL: Warn, &v.Outage.Mode: Refuse, &v.Outage.Directory: filepath.Join(libDirectory(), "last-known-good"),
		&a.WorkloadToken: workloadToken, &a.Kubelet: kubelet,
	} {
		if *p == "" {
			*p = value
		}
	}
	if v.Outage.MaxAge.Duration == 0 {
		v.Outage.MaxAge.Duration = time.Hour
	}
	for _, p := range []*string{
		&v.CACert, &v.Outage.Directory, &a.TokenFile, &a.RoleIDFile, &a.SecretIDFile, &a.WrappedSecretIDFile, &a.JWTFile, &a.ClientCert, &a.ClientKey,
	} {
		absolute(p)
	}
}

// check gives what contradicts each other. What a login needs, the source checks.
func (v *Vault) check(s *Settings) (errs []error) {
	if !v.InsecureLoopback && v.hasScheme("http") {
		s.warn("vault: an http:// address is whoever's has the port, which any user of this machine can take while the server is down; " +
			"use https:// or unix://, or write insecure_loopback = true under [vault], without which the next release refuses it")
	}
	for _, k := range []struct{ name, value, scheme string }{
		{"socket_owner", v.SocketOwner, "unix"}, {"tls_server_name", v.TLSServerName, "https"}, {"proxy", v.Proxy, "https"},
	} {
		if k.value != "" && !v.hasScheme(k.scheme) && !v.Environment {
			errs = append(errs, s.errorf("take "+k.name+" away, or correct the address", "vault.%s is there, and no address is %s://", k.name, k.scheme))
		}
	}
	if m := v.Leases.AtMaxTTL; m != Warn && m != Stop {
		errs = append(errs, s.errorf("", "vault.leases.at_max_ttl is %q, and must be %s or %s", m, Warn, Stop))
	}
	if m := v.Outage.Mode; m != Refuse && m != LastKnownGood {
		errs = append(errs, s.errorf("", "vault.outage.mode is %q, and must be %s or %s", m, Refuse, LastKnownGood))
	}
	for _, k := range []struct{ name, value, byDefault string }{
		{"workload_token", v.Auth.WorkloadToken, workloadToken}, {"workload_issuer", v.Auth.WorkloadIssuer, ""}, {"kubelet", v.Auth.Kubelet, kubelet},
	} {
		if k.value != k.byDefault && !v.Auth.AsWorkload {
			errs = append(errs, s.errorf("take "+k.name+" away, or set as_workload = true", "vault.auth.%s is there, and vault.auth.as_workload is not true", k.name))
		}
	}
	if v.Auth.AsWorkload && v.Outage.Mode == LastKnownGood {
		errs = append(errs, s.errorf("while Vault is not there nobody can check who the workload is; set mode to "+Refuse,
			"vault.outage.mode is %s, and does not go with vault.auth.as_workload", LastKnownGood))
	}
	return errs
}
