// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/vault"
	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// remembering is the settings of s with last-known-good, in directories of the
// test's own.
func remembering(t *testing.T, s *vaulttest.Server, token string) vault.Config {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounts: run it as root")
	}
	c := config(s, kv2, token)
	dir := t.TempDir()
	c.StateDir = filepath.Join(dir, "state")
	c.Outage = vault.Outage{LastKnownGood: true, MaxAge: time.Hour, Directory: filepath.Join(dir, "answers")}
	t.Cleanup(func() { _ = unix.Unmount(c.StateDir, unix.MNT_DETACH) })
	return c
}

// begin is one start that asks for a secret, and what was told of it.
func begin(t *testing.T, c vault.Config, name string, version int) (*resolver.Secret, *resolver.Record, error) {
	t.Helper()
	record := &resolver.Record{}
	ctx, cancel := context.WithTimeout(resolver.WithRecord(t.Context(), record), time.Second)
	defer cancel()
	secret, err := source(t, c).Get(ctx, name, version)
	if ctx.Err() != nil {
		t.Error("there is no time left to go on in")
	}
	for _, text := range append(record.Notes(), fmt.Sprint(err)) {
		if strings.Contains(text, canary) || strings.Contains(text, "hvs.") {
			t.Errorf("told: %s", text)
		}
	}
	return secret, record, err
}

// wantValue wants a secret with K, old or new.
func wantValue(t *testing.T, c vault.Config, name string, version int, value string, old bool) {
	t.Helper()
	secret, record, err := begin(t, c, name, version)
	if err != nil {
		t.Fatal(err)
	}
	if got := reveal(t, secret)["K"]; got != canary+value {
		t.Errorf("%s@%d: got %q", name, version, got)
	}
	told := strings.Join(record.Notes(), "\n")
	if n := record.Counts()["stale_answers"]; old != (n == 1) || old != (secret.Age > 0) ||
		old != strings.Contains(told, "the answer for containers/"+name+" is ") {
		t.Errorf("%s@%d: age %v, counted %d, told %q", name, version, secret.Age, n, told)
	}
}

// nothingInClear searches what is on the disk.
func nothingInClear(t *testing.T, c vault.Config) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(c.Outage.Directory, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		n++
		b, err := os.ReadFile(path)
		for _, plain := range []string{canary, "containers", "db", "hvs."} {
			if plain != "db" && bytes.Contains(b, []byte(plain)) || strings.Contains(strings.TrimLeft(d.Name(), "0123456789abcdef"), plain) {
				t.Errorf("%s tells %q", path, plain)
			}
		}
		return err
	})
	if err != nil || n == 0 {
		t.Errorf("%d files, %v", n, err)
	}
}

func TestLastKnownGood(t *testing.T) {
	own := vaulttest.Start(t, vaulttest.Options{})
	own.Mount(t, kv2, 2)
	for _, name := range []string{"db", "young"} {
		own.Put(t, 2, kv2, "containers/"+name, map[string]any{"K": canary + "1"})
		own.Put(t, 2, kv2, "containers/"+name, map[string]any{"K": canary + "2"})
	}
	c := remembering(t, own, own.RootToken)
	wantValue(t, c, "db", 0, "2", false)
	wantValue(t, c, "db", 1, "1", false)
	nothingInClear(t, c)
	refusing := c
	refusing.Outage = vault.Outage{Directory: filepath.Join(t.TempDir(), "none")}

	away := func(t *testing.T, word string) {
		wantValue(t, c, "db", 0, "2", true)
		wantValue(t, c, "db", 1, "1", true)
		_, record, err := begin(t, c, "db", 2)
		wantFault(t, err, fault.Unreachable, "no answer from before can be used: none is kept", word)
		if record.Counts()["stale_answers"] != 0 {
			t.Error("counted one that was not used")
		}
		_, _, err = begin(t, c, "never", 0)
		wantFault(t, err, fault.Unreachable, "none is kept")

		aged := c
		aged.Outage.MaxAge = 1
		_, record, err = begin(t, aged, "db", 0)
		wantFault(t, err, fault.Unreachable, "the one that is kept is ", " old, more than 1ns")
		if !strings.Contains(strings.Join(record.Notes(), ""), "more than 1ns") {
			t.Errorf("told: %q", record.Notes())
		}

		foreign := c
		foreign.Auth.Token = resolver.NewValue("another")
		_, _, err = begin(t, foreign, "db", 0)
		wantFault(t, err, fault.Unreachable, "none is kept")

		_, err = get(t, source(t, refusing), 300*time.Millisecond, "db", 0)
		wantFault(t, err, fault.Unreachable)
		if strings.Contains(err.Error(), "from before") {
			t.Errorf("it looked: %v", err)
		}
	}
	own.Seal(t)
	t.Run("sealed", func(t *testing.T) { away(t, "sealed") })
	own.Stop()
	t.Run("stopped", func(t *testing.T) { away(t, "connection refused") })

	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if secret, err := source(t, c).Get(ctx, "db", 0); err == nil {
			t.Errorf("got %v", secret)
		}
	})
	t.Run("a key that others can read", func(t *testing.T) {
		key := filepath.Join(c.StateDir, "outage.key")
		if err := os.Chmod(key, 0o644); err != nil {
			t.Fatal(err)
		}
		_, record, err := begin(t, c, "db", 0)
		wantFault(t, err, fault.Unreachable, "no answer from before can be used: ", key)
		if !strings.Contains(strings.Join(record.Notes(), ""), key) {
			t.Errorf("told: %q", record.Notes())
		}
		if err := os.Chmod(key, 0o600); err != nil {
			t.Fatal(err)
		}
		wantValue(t, c, "db", 0, "2", true)
	})
	t.Run("after a boot", func(t *testing.T) {
		if err := unix.Unmount(c.StateDir, unix.MNT_DETACH); err != nil {
			t.Fatal(err)
		}
		_, _, err := begin(t, c, "db", 0)
		wantFault(t, err, fault.Unreachable, "no answer from before can be used")
	})
	if _, err := os.Stat(refusing.Outage.Directory); err == nil {
		t.Error("refuse made a directory")
	}
}

// TestLastKnownGoodOfACluster has one that loses its majority, hangs, and comes
// back with a newer secret.
func TestLastKnownGoodOfACluster(t *testing.T) {
	cluster := vaulttest.StartCluster(t, 3)
	leader := cluster.WaitLeader(t)
	leader.Mount(t, kv2, 2)
	leader.Put(t, 2, kv2, "containers/db", map[string]any{"K": canary + "1"})
	c := remembering(t, leader, leader.RootToken)
	c.Addresses = append(c.Addresses, slices.DeleteFunc(cluster.Addresses(), func(a string) bool { return a == leader.Address })...)
	wantValue(t, c, "db", 0, "1", false)

	others := slices.DeleteFunc(slices.Clone(cluster.Servers), func(s *vaulttest.Server) bool { return s == leader })
	leader.Stop()
	others[0].Stop()
	last := c
	last.Addresses = slices.Clone(c.Addresses)
	slices.Reverse(last.Addresses) // their order is no matter
	wantValue(t, last, "db", 0, "1", true)
	others[1].Freeze(t)
	wantValue(t, last, "db", 0, "1", true)
	others[1].Thaw(t)

	leader.Restart(t)
	others[0].Restart(t)
	leader = cluster.WaitLeader(t)
	leader.Put(t, 2, kv2, "containers/db", map[string]any{"K": canary + "2"})
	first := func(a string) int { // the leader
		if a == leader.Address {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(c.Addresses, func(a, b string) int { return first(a) - first(b) })
	wantValue(t, c, "db", 0, "2", false)
	for _, s := range cluster.Servers {
		s.Stop()
	}
	wantValue(t, c, "db", 0, "2", true)
}

// TestNotKept has a disk that takes nothing: that is told, and no reason to
// refuse.
func TestNotKept(t *testing.T) {
	server.Put(t, 2, kv2, "containers/unkept", map[string]any{"K": canary})
	c := remembering(t, server, server.RootToken)
	if err := os.WriteFile(c.Outage.Directory, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	secret, record, err := begin(t, c, "unkept", 0)
	if err != nil || reveal(t, secret)["K"] != canary {
		t.Errorf("got %v, %v", secret, err)
	}
	if told := strings.Join(record.Notes(), "\n"); !strings.Contains(told, "the answer for containers/unkept is not kept for an outage: ") {
		t.Errorf("told: %q", told)
	}
}

// TestWithdrawn has what was withdrawn while the server was there: it does not
// come back when the server goes.
func TestWithdrawn(t *testing.T) {
	own := vaulttest.Start(t, vaulttest.Options{})
	own.Mount(t, kv2, 2)
	names := []string{"deleted", "destroyed", "gone", "forbidden", "left"}
	for _, name := range names {
		own.Put(t, 2, kv2, "containers/"+name, map[string]any{"K": canary})
	}
	own.Put(t, 2, kv2, "containers/forbidden", map[string]any{"K": canary}) // a second version
	own.Policy(t, "all", `path "secret/data/containers/*" { capabilities = ["read"] }`)
	c := remembering(t, own, own.Token(t, "all"))
	for _, name := range names {
		wantValue(t, c, name, 0, "", false)
		wantValue(t, c, name, 1, "", false)
	}

	del := func(path string) {
		if _, err := own.Client.Logical().DeleteWithContext(t.Context(), path); err != nil {
			t.Fatal(err)
		}
	}
	del("secret/data/containers/deleted")
	own.Write(t, "secret/destroy/containers/destroyed", map[string]any{"versions": []int{1}})
	del("secret/metadata/containers/gone")
	own.Policy(t, "all", `
path "secret/data/containers/*" { capabilities = ["read"] }
path "secret/data/containers/forbidden" { capabilities = ["deny"] }`)
	for name, version := range map[string]int{"deleted": 0, "destroyed": 1, "gone": 0, "forbidden": 1} {
		class := fault.Missing
		if name == "forbidden" {
			class = fault.Refused
		}
		_, record, err := begin(t, c, name, version)
		wantFault(t, err, class)
		if record.Notes() != nil {
			t.Errorf("told: %q", record.Notes())
		}
	}
	own.Stop()
	for _, name := range names[:4] {
		for version := range 2 {
			_, _, err := begin(t, c, name, version)
			wantFault(t, err, fault.Unreachable, "none is kept")
		}
	}
	wantValue(t, c, "left", 0, "", true)
	wantValue(t, c, "left", 1, "", true)
}

// TestOutageSettings has settings that do not go together.
func TestOutageSettings(t *testing.T) {
	c := config(server, kv2, "x")
	c.Outage = vault.Outage{LastKnownGood: true, MaxAge: time.Hour, Directory: "/x"}
	_, err := vault.New(c, resolver.Container{})
	wantFault(t, err, fault.Settings, "needs a state directory")
	c.StateDir = "/y"
	c.Auth = vault.Auth{Method: "jwt", Role: "web", AsWorkload: true}
	_, err = vault.New(c, resolver.Container{})
	wantFault(t, err, fault.Settings, "does not go with as_workload")
}
