// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// many gives a function that runs n containers, eight at a time, each with a
// config.json that is written for it.
func many(t *testing.T, r *rig.Runtime, like *rig.Bundle, n int) func() {
	t.Helper()
	const workers = 8
	bundles := make([]*rig.Bundle, workers)
	var text string
	for i := range bundles {
		b := rig.NewBundle(t, "", nil)
		spec := *like.Spec
		process := *spec.Process
		process.Args = []string{rig.PayloadPath, "report"}
		spec.Process = &process
		b.Spec = &spec
		b.Write(t)
		text = rig.ReadFile(t, filepath.Join(b.Dir, "config.json"))
		bundles[i] = b
	}
	return func() {
		t.Helper()
		var wg sync.WaitGroup
		numbers := make(chan int)
		for _, b := range bundles {
			wg.Go(func() {
				for i := range numbers {
					rig.WriteFile(t, filepath.Join(b.Dir, "config.json"), text, 0o644)
					command(t, nil, r.Argv("run", "--bundle", b.Dir, b.ID+strconv.Itoa(i))...)
				}
			})
		}
		for i := range n {
			numbers <- i
		}
		close(numbers)
		wg.Wait()
	}
}

// rate is what n containers in d are in a second.
func rate(n int, d time.Duration) string { return fmt.Sprintf("%.0f/s", float64(n)/d.Seconds()) }

// loggedIn writes settings for an AppRole, whose login is kept in a state directory.
func (f *fixture) loggedIn(t *testing.T) (config, state string) {
	t.Helper()
	dir := t.TempDir()
	f.server.Policy(t, "bench", `path "bench/data/*" { capabilities = ["read"] }`)
	roleID, secretID := f.server.AppRole(t, "approle", "bench", "bench")
	rig.WriteFile(t, filepath.Join(dir, "secret-id"), secretID, 0o600)
	config, state = filepath.Join(dir, "vault.toml"), filepath.Join(dir, "state")
	t.Cleanup(func() { _ = unix.Unmount(state, unix.MNT_DETACH) })
	rig.WriteFile(t, config, fmt.Sprintf(`state_dir = %q
[vault]
address = %q
mount = "bench"
prefix = "containers"
ca_cert = %q
[vault.auth]
method = "approle"
role_id = %q
secret_id_file = "secret-id"
`, state, f.server.Address, f.server.CAFile, roleID), 0o600)
	return config, state
}

// stormRow measures many starts at once on a host that has not logged in, and
// says how often that then did; and what the same hooks cost that do nothing.
func stormRow(t *testing.T, rounds func(int) int, line func(...string), f *fixture) {
	t.Helper()
	config, state := f.loggedIn(t)
	asking, idle, silent := rig.NewBundle(t, "", nil), rig.NewBundle(t, "", nil), rig.NewBundle(t, "", nil)
	asking.Annotate("secrets.oci/from", "s0")
	for _, stage := range []string{"prestart", "poststop"} {
		asking.Hook(t, stage, f.binary, "hook", "--config", config)
		idle.Hook(t, stage, "/bin/true")
	}
	n := rounds(200)
	with, hooks, without := many(t, f.runc, asking, n), many(t, f.runc, idle, n), many(t, f.runc, silent, n)
	cold := func() {
		pause(func() {
			if err := os.RemoveAll(filepath.Join(state, "vault")); err != nil {
				t.Fatal(err)
			}
		})
		with()
	}
	logins := 0
	for _, c := range f.server.Calls(t, cold) {
		if c.Login() {
			logins++
		}
	}
	a, b := alternate(rounds(3), cold, without)
	line(fmt.Sprintf("%d containers, 8 at a time: hook, one Vault secret, not logged in before (%d login)", n, logins), "the same without secrets",
		rate(n, a), rate(n, b), fmt.Sprintf("%.2fx", float64(b)/float64(a)), ">= 0.9x")
	// What is left of the aim where hooks do nothing at all.
	a, b = alternate(rounds(3), hooks, without)
	line(fmt.Sprintf("%d containers, 8 at a time: `/bin/true` as prestart and poststop hook", n), "the same without hooks",
		rate(n, a), rate(n, b), fmt.Sprintf("%.2fx", float64(b)/float64(a)), "")
}
