// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/vault"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

func TestFromEnvironment(t *testing.T) {
	server.Put(t, 2, kv2, "containers/people", map[string]any{"K": canary})
	trap := listen(t)
	c := vault.Config{
		Addresses: []string{trap}, CACert: "/nowhere/ca.pem", Prefix: "containers", Namespace: "team-b",
		Auth: vault.Auth{Method: "approle", RoleID: "r", WorkloadToken: "/token", Kubelet: "/kubelet"},
	}
	for name, value := range map[string]string{
		"VAULT_ADDR": server.Address, "VAULT_CACERT": server.CAFile, "VAULT_TOKEN": server.RootToken, "VAULT_NAMESPACE": "team-a",
		// None of these does anything.
		"VAULT_SKIP_VERIFY": "true", "VAULT_TLS_SERVER_NAME": "elsewhere", "VAULT_HTTP_PROXY": trap, "VAULT_AGENT_ADDR": trap, "VAULT_HEADERS": "{",
	} {
		t.Setenv(name, value)
	}
	people := vault.FromEnvironment(c)
	if diff := cmp.Diff([]string{"VAULT_ADDR", "VAULT_NAMESPACE", "VAULT_CACERT", "VAULT_TOKEN"}, people.Variables()); diff != "" {
		t.Error(diff)
	}
	// Who a container is, is found in the same way.
	if a := people.Auth; a.WorkloadToken != "/token" || a.Kubelet != "/kubelet" || a.RoleID != "" {
		t.Errorf("%+v", a)
	}
	const ignored = "VAULT_SKIP_VERIFY is ignored: a certificate is always verified"
	if diff := cmp.Diff([]string{ignored}, people.Notes()); diff != "" {
		t.Error(diff)
	}
	record, err := recorded(t, source(t, people), 5*time.Second, "people")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{ignored}, record.Notes()); diff != "" {
		t.Error(diff)
	}
	if len(c.Variables()) > 0 || c.Addresses[0] != trap || c.Auth.Method != "approle" {
		t.Error("the settings were changed")
	}

	// The CA of the settings is not the server's, and nothing mends that.
	t.Setenv("VAULT_CACERT", "")
	c.CACert = ""
	_, err = get(t, source(t, vault.FromEnvironment(c)), 5*time.Second, "people", 0)
	wantFault(t, err, fault.Refused, "not trusted")

	for _, name := range []string{"VAULT_ADDR", "VAULT_TOKEN", "VAULT_NAMESPACE", "VAULT_SKIP_VERIFY"} {
		t.Setenv(name, "")
	}
	none := vault.FromEnvironment(c)
	if len(none.Variables()) > 0 || len(none.Notes()) > 0 || none.Auth != c.Auth || none.Auth.Token != (resolver.Value{}) {
		t.Error("empty variables changed something")
	}
	t.Setenv("VAULT_TOKEN", server.RootToken)
	c.Prefix, c.Auth = "{namespace}", vault.Auth{Method: "jwt", Role: "pods", AsWorkload: true}
	_, err = vault.New(vault.FromEnvironment(c), resolver.Container{})
	wantFault(t, err, fault.Settings, "{namespace} needs as_workload", "VAULT_TOKEN is instead of that")
	c.Trial = true
	if _, err := vault.New(vault.FromEnvironment(c), resolver.Container{}); err != nil {
		t.Error(err)
	}
	c.Trial = false
	t.Setenv("VAULT_ADDR", "http://vault.example:8200")
	if _, err := vault.New(vault.FromEnvironment(c), resolver.Container{}); err == nil {
		t.Error("http to another machine")
	}
}
