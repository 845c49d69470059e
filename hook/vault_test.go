// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/oci-secrets/oci-secrets/resolver/config"
)

// TestVaultConfig holds every key of the settings to arrive in what the source is
// made from.
func TestVaultConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.toml")
	text := `
state_dir = "/s"
[vault]
address = "https://a"
addresses = ["unix:///a"]
insecure_loopback = true
socket_owner = "a"
tls_server_name = "a"
proxy = "http://a"
mount = "a"
prefix = "a"
ca_cert = "/a"
namespace = "a"
dynamic = ["a"]
[vault.auth]
method = "a"
mount = "a"
role = "a"
token = "a"
token_file = "/a"
token_file_owner = "a"
role_id = "a"
role_id_file = "/a"
secret_id_file = "/a"
wrapped_secret_id_file = "/a"
jwt_file = "/a"
as_workload = true
workload_token = "/a"
workload_issuer = "a"
kubelet = "/a"
client_cert = "/a"
client_key = "/a"
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	settings, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	c := vaultConfig(settings)
	commands := []string{"Session", "Fresh", "Trial"} // what is asked for by a command, and no setting
	for _, v := range []reflect.Value{reflect.ValueOf(c), reflect.ValueOf(c.Auth), reflect.ValueOf(c.Outage)} {
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.IsExported() && v.Field(i).IsZero() && !slices.Contains(commands, f.Name) && f.Name != "LastKnownGood" {
				t.Errorf("%s of %s is not set", f.Name, v.Type())
			}
		}
	}
	settings.Vault.Outage.Mode = config.LastKnownGood // which does not go with as_workload
	if !vaultConfig(settings).Outage.LastKnownGood {
		t.Error("the outage's mode is not set")
	}
}
