// SPDX-License-Identifier: Apache-2.0

package start

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/config"
	"github.com/oci-secrets/oci-secrets/resolver/lease"
	"github.com/oci-secrets/oci-secrets/spec"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// stateDir is a directory in memory.
func stateDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("test", dir, "tmpfs", 0, "mode=0700"); err != nil {
		t.Skipf("mount a tmpfs: %v: run it as root", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// lessor leases, and takes back.
type lessor struct {
	lease.Server
	mu       sync.Mutex
	revoked  []string
	released int
	err      error
}

func (*lessor) Name() string { return "vault" }

func (*lessor) Get(_ context.Context, name string, _ int) (*resolver.Secret, error) {
	if name == "none" {
		return nil, fault.New(fault.Missing, "", "there is none")
	}
	return &resolver.Secret{Source: "vault", Entries: []resolver.Entry{{Key: "K", Value: resolver.NewValue("v")}}}, nil
}

func (l *lessor) Release(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok || ctx.Err() != nil {
		return errors.New("no time of its own")
	}
	l.released++
	return l.err
}

func (l *lessor) Revoke(ctx context.Context, id string) error {
	if end, ok := ctx.Deadline(); !ok || time.Until(end) > poststopTime {
		return errors.New("no bound")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.revoked = append(l.revoked, id)
	return l.err
}

// withVault has settings with a Vault, and a start with l in its place.
func withVault(t *testing.T, l *lessor) (s *Start, dir string) {
	t.Helper()
	dir = stateDir(t)
	return &Start{
		Config:     settings(t, fmt.Sprintf("state_dir = %q\n[vault]\naddress = \"https://vault.example\"\n", dir)),
		OpenVault:  func(*config.Settings, resolver.Container) (resolver.Source, error) { return l, nil },
		OpenLeases: func(*config.Settings) lease.Opener { return func(string) (lease.Server, error) { return l, nil } },
	}, dir
}

const stopped = `{"id":"web","status":"stopped","bundle":"/b","annotations":{"secrets.oci/from":"vault:database/creds/web"}}`

func TestPoststop(t *testing.T) {
	l := &lessor{}
	s, dir := withVault(t, l)
	put := func(id, container, bundle string) {
		t.Helper()
		if err := lease.Put(dir, lease.Record{Container: container, Bundle: bundle, ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	left := func(want ...string) {
		t.Helper()
		records, err := lease.List(dir)
		var got []string
		for _, r := range records {
			got = append(got, r.ID)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("recorded are %q, want %q: %v", got, want, err)
		}
	}
	put("1", "web", "/b")
	put("2", "web", "/b")
	put("3", "other", "/b")
	put("4", "web", "/elsewhere")
	open := s.OpenLeases
	s.OpenLeases = nil // who has no Vault leaves it to who has
	if err := s.Hook(t.Context(), []byte(stopped)); !errors.Is(err, ErrVault) {
		t.Errorf("got %v", err)
	}
	s.OpenLeases = open

	l.err = fault.New(fault.Unreachable, "", "nobody there")
	if err := s.Hook(t.Context(), []byte(stopped)); err != nil {
		t.Errorf("it failed: %v", err)
	}
	left("3", "1", "2", "4")
	l.err, l.revoked = nil, nil
	if err := s.Hook(t.Context(), []byte(stopped)); err != nil {
		t.Error(err)
	}
	slices.Sort(l.revoked)
	if !slices.Equal(l.revoked, []string{"1", "2"}) {
		t.Errorf("revoked %q", l.revoked)
	}
	left("3", "4")
	l.revoked = nil
	s.OpenLeases = nil // nor is it needed any more
	if err := s.Hook(t.Context(), []byte(stopped)); err != nil || l.revoked != nil {
		t.Errorf("the second time: %v, %v", l.revoked, err)
	}

	// The settings have another directory by now, and the hook's line still the one.
	put("5", "web", "/b")
	later := &Start{
		Config: settings(t, fmt.Sprintf("state_dir = %q\n[vault]\naddress = \"https://vault.example\"\n", stateDir(t))), Keep: dir, OpenLeases: open,
	}
	if err := later.Hook(t.Context(), []byte(stopped)); err != nil || !slices.Equal(l.revoked, []string{"5"}) {
		t.Errorf("with other settings: %v, %v", l.revoked, err)
	}
	left("3", "4")

	// Whatever is wrong, a poststop does not fail.
	if err := s.Hook(t.Context(), []byte(`{"id":5,"status":"stopped","annotations":{"secrets.oci/from":5}}`)); err != nil {
		t.Errorf("a strange state: %v", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.Hook(t.Context(), []byte(stopped)); err != nil {
		t.Errorf("an open directory: %v", err)
	}
	for _, s := range []*Start{{Config: settings(t, "nonsense")}, {Config: filepath.Join(t.TempDir(), "none"), Keep: dir}} {
		if err := s.Hook(t.Context(), []byte(stopped)); err != nil {
			t.Errorf("settings that are none: %v", err)
		}
	}
}

// TestGiveBack has a start that fails after something was leased.
func TestGiveBack(t *testing.T) {
	l := &lessor{}
	s, _ := withVault(t, l)
	asks := func(names string) spec.Asked {
		asked, err := spec.Parse(map[string]string{"secrets.oci/from": names})
		if err != nil {
			t.Fatal(err)
		}
		return asked
	}
	s.GiveBack(t.Context(), "web") // before anything was asked
	if _, err := s.Resolve(t.Context(), resolver.Container{ID: "web"}, asks("vault:db")); err != nil || l.released != 0 {
		t.Errorf("given back %d times: %v", l.released, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := s.Resolve(ctx, resolver.Container{ID: "web"}, asks("vault:db vault:none"))
	if !errors.Is(err, fault.Missing) || l.released != 1 {
		t.Errorf("given back %d times: %v", l.released, err)
	}
	cancel()
	s.GiveBack(ctx, "web") // the start's time is over
	if l.released != 2 {
		t.Errorf("given back %d times", l.released)
	}
}
