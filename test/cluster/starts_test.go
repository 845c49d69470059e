// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/test/rig"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// settings are those of a host whose containers log in with AppRole; the role's
// files are written beside them.
func settings(t *testing.T, b *rig.Bundle, deadline time.Duration, servers ...*vaulttest.Server) string {
	t.Helper()
	roleID, secretID := vaults.WaitLeader(t).AppRole(t, "approle", "containers", "containers")
	b.WriteSettings(t, "secret-id", secretID)
	list, err := json.Marshal(addresses(servers)) // also TOML
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`deadline = %q
state_dir = %q

[vault]
addresses = %s
prefix = "containers"
ca_cert = %q

[vault.auth]
method = "approle"
role_id = %q
secret_id_file = "secret-id"
`, deadline, rig.StateDir(t), list, vaults.CAFile, roleID)
}

// outcome is how one container's start ended.
type outcome struct {
	rig.Result
	took time.Duration
}

// start runs n containers that ask for db, some at a time, and calls meanwhile
// when a number of them have ended.
func start(t *testing.T, r *rig.Runtime, b *rig.Bundle, n, after int, meanwhile func()) []outcome {
	t.Helper()
	const parallel = 8
	rootfs := filepath.Join(b.Dir, "rootfs") // one for all, and read-only
	b.Spec.Root.Path = rootfs
	b.Annotate("secrets.oci/from", "db")
	outcomes := make([]outcome, n)
	var ended atomic.Int64
	reached := make(chan struct{})
	var wg sync.WaitGroup
	next := make(chan int)
	for range parallel {
		wg.Go(func() {
			for i := range next {
				one := *b
				one.ID, one.Dir = fmt.Sprint(b.ID, "-", i), filepath.Join(b.Dir, fmt.Sprint(i))
				if err := os.Mkdir(one.Dir, 0o755); err != nil {
					t.Error(err)
					continue
				}
				one.Write(t)
				begun := time.Now()
				outcomes[i].Result = r.Run(t, &one)
				outcomes[i].took = time.Since(begun)
				if ended.Add(1) == int64(after) {
					close(reached)
				}
			}
		})
	}
	wg.Go(func() {
		<-reached
		meanwhile()
	})
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	return outcomes
}

// refused is what runc shows of a container that the hook refused: the exit code,
// which must be one that is documented, and the line.
var refused = regexp.MustCompile(`exit status 1[0-6], .*oci-secrets: secret \\"db\\": `)

// grace is what a container's start takes besides the hook, on a machine with
// much to do.
const grace = 5 * time.Second

// check holds every start to it: the container has its secret, or did not run
// and it is said why, in time. It gives how many did not.
func check(t *testing.T, outcomes []outcome, deadline time.Duration) (no int) {
	t.Helper()
	slowest := time.Duration(0)
	for i, o := range outcomes {
		slowest = max(slowest, o.took)
		if o.took > deadline+grace {
			t.Errorf("start %d took %s, the deadline was %s", i, o.took, deadline)
		}
		if o.Code == 0 {
			rig.WantVar(t, rig.ParseReport(t, o.Stdout).Env, "SECRET", value)
			continue
		}
		no++
		t.Logf("start %d: %s", i, o.Stderr)
		if o.Stdout != "" || !refused.MatchString(o.Stderr) {
			t.Errorf("start %d: exit code %d, output %q", i, o.Code, o.Stdout)
		}
	}
	t.Logf("%d started, %d refused, the slowest took %s", len(outcomes)-no, no, slowest)
	return no
}

// Two hundred starts, in the middle of which the leader is killed.
func TestLeaderKilledDuringStarts(t *testing.T) {
	const n, deadline = 200, 15 * time.Second
	servers := whole(t)
	r := rig.NewRuntime(t, rig.Runc)
	log := r.Log(t)
	b := rig.NewBundle(t, "createRuntime", nil)
	b.WriteSettings(t, "config.toml", settings(t, b, deadline, servers...))
	outcomes := start(t, r, b, n, n/5, func() {
		servers[0].Stop()
		notes, _, err := read(t, deadline, addresses(servers)...)
		if err != nil {
			t.Error(err)
		}
		wantNote(t, notes, "vault "+servers[0].Address+": connection refused; asked "+servers[1].Address)
	})
	no := check(t, outcomes, deadline)
	if no > n/2 {
		t.Errorf("%d of %d refused, with two of three servers there", no, n)
	}
	asked, logins, deliveries := 0, 0, log.Deliveries()
	for _, line := range deliveries {
		if strings.Contains(line, value) {
			t.Errorf("a value in the log: %s", line)
		}
		if strings.Contains(line, "vault "+servers[0].Address+": connection refused; asked ") {
			asked++
		}
		var d struct{ Counts map[string]int }
		_, text, _ := strings.Cut(line, "]: ")
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			t.Errorf("%v: %s", err, line)
		}
		logins += d.Counts["vault_logins"]
	}
	if logins == 0 || logins > n/10 { // those that are there when the leader goes may all log in
		t.Errorf("%d logins of %d starts that share one", logins, n)
	}
	if len(deliveries) < n-no || asked == 0 {
		t.Errorf("%d lines in the log of %d deliveries, of which %d tell of another server: %q", len(deliveries), n-no, asked, deliveries)
	}
	told := 0
	for _, line := range log.Lines() {
		if strings.Contains(line, "container refused: ") {
			told++
		}
		if strings.Contains(line, value) {
			t.Errorf("a value in the log: %s", line)
		}
	}
	if told < no {
		t.Errorf("%d lines in the log of %d refusals", told, no)
	}
}

// A leader that takes connections and answers nothing.
func TestLeaderFrozenDuringStarts(t *testing.T) {
	const n, deadline = 24, 15 * time.Second
	servers := whole(t)
	r := rig.NewRuntime(t, rig.Runc)
	b := rig.NewBundle(t, "createRuntime", nil)
	b.WriteSettings(t, "config.toml", settings(t, b, deadline, servers...))
	defer servers[0].Stop()
	outcomes := start(t, r, b, n, n/4, func() { servers[0].Freeze(t) })
	check(t, outcomes, deadline)
}

// No server, and none to come: every container is refused at its deadline.
func TestNobodyDuringStarts(t *testing.T) {
	const n, deadline = 8, 2 * time.Second
	servers := whole(t)
	r := rig.NewRuntime(t, rig.Runc)
	b := rig.NewBundle(t, "createRuntime", nil)
	b.WriteSettings(t, "config.toml", settings(t, b, deadline, servers...))
	for _, s := range servers {
		s.Stop()
	}
	if no := check(t, start(t, r, b, n, n, func() {}), deadline); no != n {
		t.Errorf("%d of %d refused", no, n)
	}
}
