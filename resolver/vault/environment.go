// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"os"
	"slices"
	"strings"

	"github.com/oci-secrets/oci-secrets/resolver"
)

// FromEnvironment is c as the variables that people know from Vault's own
// command line change it: where the server is, whom to trust, which namespace,
// and a token instead of a login. Those that would weaken TLS change nothing.
//
// A hook's environment is its caller's, so this is for people, and for hosts
// whose operator says so.
func FromEnvironment(c Config) Config {
	environment.Lock() // another Source may have taken them out
	defer environment.Unlock()
	for _, v := range []struct {
		name string
		set  func(string)
	}{
		{"VAULT_ADDR", func(v string) {
			c.Addresses = []string{v}
			if strings.HasPrefix(v, "http://") && !c.InsecureLoopback {
				c.notes = append(slices.Clip(c.notes), "VAULT_ADDR is whoever's has the port, which any user of this machine can take while the server is down; "+
					"without insecure_loopback = true the next release refuses it")
			}
		}},
		{"VAULT_NAMESPACE", func(v string) { c.Namespace = v }},
		{"VAULT_CACERT", func(v string) { c.CACert = v }},
		{"VAULT_TOKEN", func(v string) {
			// Who a container is decides where its secrets are, whoever reads them.
			c.Auth = Auth{Method: "token", Token: resolver.NewValue(v), WorkloadToken: c.Auth.WorkloadToken, WorkloadIssuer: c.Auth.WorkloadIssuer, Kubelet: c.Auth.Kubelet}
		}},
	} {
		if value := os.Getenv(v.name); value != "" {
			v.set(value)
			c.variables = append(slices.Clip(c.variables), v.name)
		}
	}
	if os.Getenv("VAULT_SKIP_VERIFY") != "" {
		c.notes = append(slices.Clip(c.notes), "VAULT_SKIP_VERIFY is ignored: a certificate is always verified")
	}
	return c
}

// Variables are those of the environment that took effect.
func (c Config) Variables() []string { return c.variables }

// Notes are what else there is to tell of the environment.
func (c Config) Notes() []string { return c.notes }
