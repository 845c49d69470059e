// SPDX-License-Identifier: Apache-2.0

// Package cluster holds the Vault source to what it promises of a cluster whose
// servers fail: three genuine ones with raft, of which these tests kill, freeze
// and seal some, and real containers that start meanwhile. Whatever happens, a
// container has its secrets or does not start, and is told why before its
// deadline.
package cluster

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/vault"
	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/test/rig"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// vaults are the three servers. A test gets them in order from whole.
var vaults *vaulttest.Cluster

// value is that of the variable SECRET of the secret db.
var value = rig.Canary()

func TestMain(m *testing.M) {
	var err error
	if vaults, err = vaulttest.LaunchCluster(3); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	vaults.Close()
	rig.Cleanup()
	os.Exit(code)
}

// whole gives the cluster as it is when nothing is wrong with it, and what tests
// before this one did is mended: the leader first.
func whole(t *testing.T) []*vaulttest.Server {
	t.Helper()
	for _, s := range vaults.Servers {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		status, err := s.Client.Sys().SealStatusWithContext(ctx)
		cancel()
		switch {
		case err != nil:
			s.Restart(t)
		case status.Sealed:
			s.Unseal(t)
		}
	}
	leader := vaults.WaitLeader(t)
	rig.Eventually(t, "every server has a vote and knows the leader", func() bool {
		leader = vaults.WaitLeader(t)
		state, err := leader.Client.Sys().RaftAutopilotStateWithContext(t.Context())
		if err != nil || !state.Healthy || len(state.Voters) != len(vaults.Servers) {
			return false
		}
		return !slices.ContainsFunc(vaults.Servers, func(s *vaulttest.Server) bool {
			got, err := s.Client.Sys().LeaderWithContext(t.Context())
			return err != nil || got.LeaderAddress != leader.Address
		})
	})
	mounts, err := leader.Client.Sys().ListMountsWithContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if mounts["secret/"] == nil {
		leader.Mount(t, "secret", 2)
		leader.Policy(t, "containers", `path "secret/data/containers/*" { capabilities = ["read"] }`)
		leader.Put(t, 2, "secret", "containers/db", map[string]any{"SECRET": value})
	}
	servers := []*vaulttest.Server{leader}
	for _, s := range vaults.Servers {
		if s != leader {
			servers = append(servers, s)
		}
	}
	return servers
}

func addresses(servers []*vaulttest.Server) []string {
	var all []string
	for _, s := range servers {
		all = append(all, s.Address)
	}
	return all
}

// read reads the secret db as one container start would, from servers that are
// asked in this order, and gives what is told of it.
func read(t *testing.T, deadline time.Duration, addresses ...string) (notes []string, took time.Duration, err error) {
	t.Helper()
	s, err := vault.New(vault.Config{
		Addresses: addresses, CACert: vaults.CAFile, Prefix: "containers",
		Auth: vault.Auth{Method: "token", Token: resolver.NewValue(vaults.RootToken)},
	}, resolver.Container{})
	if err != nil {
		t.Fatal(err)
	}
	record := &resolver.Record{}
	ctx, cancel := context.WithTimeout(resolver.WithRecord(t.Context(), record), deadline)
	defer cancel()
	begun := time.Now()
	secret, err := s.Get(ctx, "db", 0)
	took = time.Since(begun)
	for _, text := range append(record.Notes(), fmt.Sprint(err)) {
		if strings.Contains(text, value) || strings.Contains(text, vaults.RootToken) {
			t.Errorf("a value or token in %q", text)
		}
	}
	if err == nil && (len(secret.Entries) != 1 || secret.Entries[0].Value.Reveal() != value) {
		t.Errorf("got %v", secret.Entries)
	}
	if took > deadline+time.Second {
		t.Errorf("took %s, the deadline was %s", took, deadline)
	}
	t.Logf("%s: %v %q", took.Round(time.Millisecond), err, record.Notes())
	return record.Notes(), took, err
}

// wantNote checks that something was told.
func wantNote(t *testing.T, notes []string, texts ...string) {
	t.Helper()
	if !slices.ContainsFunc(notes, func(note string) bool {
		return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(note, text) })
	}) {
		t.Errorf("no note has all of %q: %q", texts, notes)
	}
}

// wantRefused checks class, reason and text of an error.
func wantRefused(t *testing.T, err error, reason fault.Reason, texts ...string) {
	t.Helper()
	if class, _ := fault.ClassOf(err); class != fault.Unreachable {
		t.Errorf("class %q: %v", class, err)
	}
	if got := fault.Outcome(err); got != string(reason) {
		t.Errorf("outcome %q, want %q: %v", got, reason, err)
	}
	for _, text := range texts {
		if !strings.Contains(fmt.Sprint(err), text) {
			t.Errorf("error lacks %q: %v", text, err)
		}
	}
}
