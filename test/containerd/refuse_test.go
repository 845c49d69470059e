// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// What containerd says of a hook's refusal, and of the shim's.
const (
	create = "failed to create shim task: OCI runtime create failed: "
	task   = "rpc error: code = Unknown desc = failed to create containerd task: " + create
	byHook = "runc create failed: unable to start container process: error during container init: error running %s hook #0: " +
		"exit status %d, stdout: , stderr: oci-secrets: %s"
)

// TestRefuses has what a kubelet is told, in full.
func TestRefuses(t *testing.T) {
	const (
		list  = `annotation secrets.oci/from.worker: item 1, "db#": no key follows a #`
		item  = "an item is [scheme:]name[@version][#KEY[=VARIABLE]]...[?]"
		vault = "deadline = \"1s\"\n[vault]\naddress = \"http://127.0.0.1:1\"\n[vault.auth]\nmethod = \"token\"\ntoken = \"t\"\n"
		shim  = "oci-secrets: read DIR/state/io.containerd.runtime.v2.task/k8s.io/ID/config.json: "
	)
	cases := []struct {
		name        string
		pod         annotations
		settings    string // more of them
		code        int    // of the hook, which says text; 0 where it does not come to that
		text        string
		plugin, own string // what the plugin and the shim say before
	}{
		{
			name: "missing secrets", pod: from("absent db gone"), code: 11,
			text: "secret \"absent\": no secret \"absent\" in SETTINGS/secrets.json\noci-secrets: secret \"gone\": no secret \"gone\" in SETTINGS/secrets.json",
		},
		{name: "missing key", pod: from("db#ABSENT"), code: 11, text: `secret "db#ABSENT": it is in dict, but it has no key "ABSENT"`},
		{
			name: "unknown annotation", pod: annotations{"secrets.oci/form": "db"},
			plugin: "oci-secrets: annotation secrets.oci/form: no such key (did you mean secrets.oci/from?)",
			own:    shim + "annotation secrets.oci/form: no such key; hint: did you mean secrets.oci/from?",
		},
		{
			name: "mistake in another container's list", pod: annotations{"secrets.oci/from.worker": "db#"},
			plugin: "oci-secrets: " + list + " (" + item + ")", own: shim + list + "; hint: " + item,
		},
		{
			name: "no Vault", pod: from("vault:db"), settings: vault, code: 13,
			text: `secret "vault:db": vault http://127.0.0.1:1: look up mount secret: gave up at the deadline, after TIME; last seen: connection refused` +
				"\nhint: check the address under [vault], and that a server listens there",
		},
		{
			name: "broken settings", pod: from("db"), settings: "[dict\n", code: 15,
			text: "settings SETTINGS/config.toml: line 2: not valid TOML, or not the type that the key has",
			own:  "oci-secrets: settings SETTINGS/config.toml: line 2: not valid TOML, or not the type that the key has",
		},
	}
	after := regexp.MustCompile("after [0-9.]+m?s")
	each(t, ways, func(t *testing.T, w way) {
		s := newSite(t, w, three)
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				s.configure(t, c.settings)
				stage, says, before := "createRuntime", c.plugin, nri+"rpc error: code = Unknown desc = "
				if w.shim {
					stage, says, before = "prestart", c.own, task
				}
				want := before + says
				if says == "" {
					want = task + fmt.Sprintf(byHook, stage, c.code, c.text)
				}
				got := after.ReplaceAllString(s.refused(t, s.pod(t, c.pod), "web"), "after TIME")
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("(-want +got)\n%s", d)
				}
			})
		}
	})
}

// TestVault has a Vault that answers, one that is gone, and one that takes the
// connection and says nothing: longer than the two seconds that containerd waits
// for an NRI plugin.
func TestVault(t *testing.T) {
	each(t, ways, func(t *testing.T, w way) {
		s := newSite(t, w, three)
		v := vaulttest.Start(t, vaulttest.Options{})
		v.Mount(t, "secret", 2)
		v.Policy(t, "containers", `path "secret/data/containers/*" { capabilities = ["read"] }`)
		v.Put(t, 2, "secret", "containers/db", map[string]any{"DB_VERSION": "1", "DB_USER": "vault"})
		const settings = "deadline = \"4s\"\n[vault]\naddress = %q\nca_cert = %q\nmount = \"secret\"\nprefix = \"containers\"\n" +
			"[vault.auth]\nmethod = \"token\"\ntoken = %q\n"
		s.configure(t, fmt.Sprintf(settings, v.Address, v.CAFile, v.Token(t, "containers")))
		p := s.pod(t, from("db dict:stripe"))
		_, r := s.up(t, p, "web", nil)
		wantEnv(t, "web", r.Env, map[string]string{"DB_VERSION": "1", "DB_USER": "vault", "STRIPE_KEY": "sk_1", "SHARED": "stripe"})

		refused := func(name, want string) {
			t.Helper()
			begun := time.Now()
			got := s.refused(t, p, name)
			if took := time.Since(begun); took < 4*time.Second || took > 30*time.Second {
				t.Errorf("%s: refused after %v", name, took)
			}
			if !strings.Contains(got, want) {
				t.Errorf("%s: the kubelet is told\n%s\nwant %s in it", name, got, want)
			}
		}
		v.Stop()
		refused("gone", `secret "db": vault `+v.Address+": read secret/data/containers/db: gave up at the deadline, after ")

		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		address := "http://" + l.Addr().String()
		s.configure(t, fmt.Sprintf(settings, address, "", "t"))
		refused("silent", `secret "db": vault `+address+": look up mount secret: gave up at the deadline, after ")
	})
}
