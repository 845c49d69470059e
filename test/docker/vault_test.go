// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/test/rig"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

func TestVault(t *testing.T) {
	t.Parallel()
	s := newSite(t, docker29(t), three, nil)
	v := vaulttest.Start(t, vaulttest.Options{})
	v.Mount(t, "secret", 2)
	v.Policy(t, "containers", `path "secret/data/containers/*" { capabilities = ["read"] }`)
	put := func(version string) {
		t.Helper()
		v.Put(t, 2, "secret", "containers/db", map[string]any{"DB_VERSION": version, "DB_USER": "vault"})
	}
	settings := fmt.Sprintf("[vault]\naddress = %q\nca_cert = %q\nmount = \"secret\"\nprefix = \"containers\"\n"+
		"[vault.auth]\nmethod = \"token\"\ntoken = %q\n", v.Address, v.CAFile, v.Token(t, "containers"))
	s.set(t, settings)
	put("1")
	report := s.up(t, "web", from("db dict:stripe"))
	rig.WantVar(t, report.Env, "DB_VERSION", "1")
	rig.WantVar(t, report.Env, "DB_USER", "vault")
	rig.WantVar(t, report.Env, "STRIPE_KEY", "sk_1")

	put("2")
	calls := v.Calls(t, func() {
		rig.WantVar(t, s.exec(t).Env, "DB_VERSION", "1")
	})
	if len(calls) != 0 {
		t.Errorf("exec asked Vault: %v", calls)
	}
	s.must(t, "restart", "web")
	rig.WantVar(t, s.report(t, "web").Env, "DB_VERSION", "2")

	v.Stop()
	rig.WantVar(t, s.exec(t).Env, "DB_VERSION", "2")
	s.set(t, "deadline = \"1s\"\n"+settings)
	want := fmt.Sprintf(byHook, 13) + `oci-secrets: secret "db": vault ADDRESS: read secret/data/containers/db: gave up at the deadline, after TIME; last seen: connection refused` +
		"\nhint: check the address under [vault], and that a server listens there"
	check := func(got string) {
		t.Helper()
		if d := cmp.Diff(want, strings.ReplaceAll(got, v.Address, "ADDRESS")); d != "" {
			t.Errorf("docker's user is told (-want +got):\n%s", d)
		}
	}
	check(s.refused(t, "other", from("db")))
	if err := os.RemoveAll(s.inside("/run/oci-secrets/exec")); err != nil {
		t.Fatal(err)
	}
	r := s.docker(t, "exec", "web", "sh", "-c", "echo ran")
	if told := s.told(r.Stdout); r.Code != 128 || !strings.HasPrefix(told, "OCI runtime exec failed: oci-secrets: exec in container ID: secret \"db\": vault ") {
		t.Errorf("exec with nothing kept: exit code %d, want 128\n%s", r.Code, told)
	}
	r = s.docker(t, "restart", "web")
	check(s.told(r.Stderr))
	if status := s.state(t, "web", "Status"); r.Code != 1 || status != "exited" {
		t.Errorf("restart: exit code %d and the container is %s, want 1 and exited", r.Code, status)
	}
	if _, err := os.Stat(s.vol + "/web"); err == nil {
		t.Error("the program ran without its secrets")
	}
}
