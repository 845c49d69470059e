// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/test/rig"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// TestStorm starts many containers at once on a host that is not logged in: two
// dozen, or, with OCI_SECRETS_TEST_LONG=1, two hundred. They share a login, each
// reads each secret once, and none starts without.
func TestStorm(t *testing.T) {
	rig.NeedRoot(t)
	starts, atOnce := 24, 8
	if os.Getenv("OCI_SECRETS_TEST_LONG") != "" {
		starts, atOnce = 200, 16
	}
	v := vaulttest.Start(t, vaulttest.Options{})
	v.Mount(t, "secret", 2)
	values := map[string]string{}
	for _, name := range []string{"db", "api"} {
		key := strings.ToUpper(name)
		values[key] = rig.Canary()
		v.Put(t, 2, "secret", name, map[string]any{key: values[key]})
	}
	v.Policy(t, "storm", `path "secret/data/*" { capabilities = ["read"] }`)
	roleID, secretID := v.AppRoleWith(t, "approle", "storm", vaulttest.Tokens{Policies: []string{"storm"}, TTL: time.Hour})

	r := rig.NewRuntime(t, rig.Runc)
	first := rig.NewBundle(t, "createRuntime", nil)
	first.Annotate(from, "vault:db vault:api vault:db#DB=AGAIN")
	first.Spec.Root.Path = filepath.Join(first.Dir, "rootfs")
	first.Spec.Root.Readonly = true
	first.WriteSettings(t, "secret-id", secretID)
	first.StateDir(t)
	first.AddSettings(t, fmt.Sprintf(`[vault]
address = %q
ca_cert = %q
[vault.auth]
method = "approle"
role_id = %q
secret_id_file = "secret-id"
`, v.Address, v.CAFile, roleID))

	storm := func(name string) map[string]int {
		t.Helper()
		requests := map[string]int{}
		for _, c := range v.Calls(t, func() {
			var wg sync.WaitGroup
			numbers := make(chan int)
			for range atOnce {
				wg.Go(func() {
					for i := range numbers {
						b := *first // all but the directory and the name
						b.ID, b.Dir = fmt.Sprintf("%s-%s-%d", first.ID, name, i), t.TempDir()
						b.Write(t)
						res := r.Run(t, &b)
						if res.Code != 0 {
							t.Errorf("%s: exit code %d\n%s", b.ID, res.Code, res.Stderr)
							continue
						}
						env := rig.ParseReport(t, res.Stdout).Env
						rig.WantVar(t, env, "DB", values["DB"])
						rig.WantVar(t, env, "API", values["API"])
						rig.WantVar(t, env, "AGAIN", values["DB"])
					}
				})
			}
			for i := range starts {
				numbers <- i
			}
			close(numbers)
			wg.Wait()
		}) {
			requests[c.Path]++
		}
		t.Logf("%s: %v", name, requests)
		return requests
	}
	for _, round := range []struct {
		name string
		once int // the requests that one start makes for all
	}{{"cold", 1}, {"warm", 0}} {
		got := storm(round.name)
		for path, want := range map[string]int{
			"auth/approle/login": round.once, "sys/internal/ui/mounts/secret": round.once,
			"secret/data/db": starts, "secret/data/api": starts,
		} {
			if got[path] != want {
				t.Errorf("%s: %s was asked for %d times, want %d", round.name, path, got[path], want)
			}
			delete(got, path)
		}
		if len(got) > 0 {
			t.Errorf("%s: also asked for: %v", round.name, got)
		}
	}
}
