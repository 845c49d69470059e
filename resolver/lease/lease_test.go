// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/resolver/memory"
	"github.com/oci-secrets/oci-secrets/resolver/memory/place"
	"github.com/oci-secrets/oci-secrets/resolver/process"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// inMemory is a directory in memory, of the given size.
func inMemory(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("test", dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
		t.Skipf("mount a tmpfs: %v: run it as root", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// record is one of a container that this process is.
func record(t *testing.T, container, id string) Record {
	t.Helper()
	started, err := process.Started(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	return Record{
		Container: container, Bundle: "/bundle", Pid: os.Getpid(), Started: started, ID: id, Path: "database/creds/web",
		Issued: memory.Now(), Asked: time.Hour, TTL: time.Hour, Renewable: true, Session: "key",
	}
}

func put(t *testing.T, dir string, records ...Record) {
	t.Helper()
	for _, r := range records {
		if err := Put(dir, r); err != nil {
			t.Fatal(err)
		}
	}
}

func want(t *testing.T, what string, got []Record, err error, want ...Record) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if len(got) == 0 && len(want) == 0 {
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s:\n%s", what, diff)
	}
}

func TestRecords(t *testing.T) {
	dir := inMemory(t, "1m")
	got, err := List(dir)
	want(t, "none", got, err)
	a1, a2, b := record(t, "a", "database/creds/web/1"), record(t, "a", "database/creds/web/2"), record(t, "b", "database/creds/web/3")
	put(t, dir, b, a2, a1)
	got, err = List(dir)
	want(t, "all", got, err, a1, a2, b)
	got, err = Of(dir, "a")
	want(t, "of a", got, err, a1, a2)
	got, err = Of(dir, "c")
	want(t, "of c", got, err)
	if a1.Gone() || a1.Expires() <= memory.Now() {
		t.Error("a container that runs is gone, or its lease has ended")
	}

	b.TTL = 2 * time.Hour
	if err := Update(dir, b); err != nil {
		t.Error(err)
	}
	got, err = Of(dir, "b")
	want(t, "updated", got, err, b)
	for range 2 { // twice is fine
		if err := Remove(dir, b); err != nil {
			t.Error(err)
		}
	}
	// What was removed does not come back by an update that was under way.
	if err := Update(dir, b); err != nil {
		t.Error(err)
	}
	got, err = List(dir)
	want(t, "without b", got, err, a1, a2)
	if _, err := os.Stat(filepath.Join(dir, place.Lease("b"))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of a container without leases: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, place.Lease("a"))); err != nil {
		t.Errorf("the folder of a container with leases: %v", err)
	}
}

func TestWithoutStateDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	got, err := List(dir)
	want(t, "all", got, err)
	got, err = Of(dir, "a")
	want(t, "of a", got, err)
	if err := errors.Join(Remove(dir, Record{Container: "a", ID: "1"})); err != nil {
		t.Error(err)
	}
}

func TestBroken(t *testing.T) {
	dir := inMemory(t, "1m")
	good := record(t, "a", "database/creds/web/1")
	put(t, dir, good, record(t, "a", "database/creds/web/2"))
	other := record(t, "a", "database/creds/web/2")
	for name, text := range map[string]string{
		"garbage": "\x00\xff", "nothing": "", "cut": `{"container":"a"`, "not ours": `{}`, "another's": `{"container":"b","lease":"database/creds/web/2"}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, other.file()), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Of(dir, "a")
		if err != nil || len(got) != 2 {
			t.Fatalf("%s: %v, %v", name, got, err)
		}
		if got[0].Broken == nil || got[0].Path != other.file() {
			t.Errorf("%s: %+v", name, got[0])
		}
		want(t, name, got[1:], nil, good)
	}
}

// TestFull has no room for a record: it must not be half there.
func TestFull(t *testing.T) {
	dir := inMemory(t, "64k")
	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 64<<10), 0o600); err != nil && !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	if err := Put(dir, record(t, "a", "database/creds/web/1")); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v", err)
	}
	got, err := List(dir)
	want(t, "all", got, err)
	if _, err := os.Stat(filepath.Join(dir, place.Lease("a"))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder, which says that there are leases: %v", err)
	}
}

func TestNotOurs(t *testing.T) {
	dir := inMemory(t, "1m")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Put(dir, record(t, "a", "database/creds/web/1")); !errors.Is(err, fault.Delivery) {
		t.Errorf("put: %v", err)
	}
	if _, err := List(dir); !errors.Is(err, fault.Delivery) {
		t.Errorf("list: %v", err)
	}
}

// TestAbandoned has what a process leaves that is killed while it writes.
func TestAbandoned(t *testing.T) {
	dir := inMemory(t, "1m")
	good := record(t, "a", "database/creds/web/1")
	put(t, dir, good)
	cut := record(t, "b", "database/creds/web/2")
	live, dead := cut.file()+"."+strconv.Itoa(os.Getpid()), cut.file()+"."+strconv.Itoa(1<<30)
	if err := os.Mkdir(filepath.Join(dir, place.Lease("b")), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{live, dead} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(`{"conta`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	there := func(name string, is bool) {
		t.Helper()
		got, err := List(dir)
		want(t, "all", got, err, good)
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != is {
			t.Errorf("%s: %v", name, err)
		}
	}
	there(live, true)
	there(dead, false)
	if err := os.Remove(filepath.Join(dir, live)); err != nil {
		t.Fatal(err)
	}
	there(place.Lease("b"), false)
	there(place.Lease("a"), true)
}

// TestAtOnce has records come and go at once, as containers do.
func TestAtOnce(t *testing.T) {
	dir := inMemory(t, "1m")
	var wg sync.WaitGroup
	for i := range 8 {
		r := record(t, "a", fmt.Sprintf("database/creds/web/%d", i))
		wg.Go(func() {
			for range 100 {
				if err := errors.Join(Put(dir, r), Remove(dir, r)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	got, err := List(dir)
	want(t, "all", got, err)
}

func TestGone(t *testing.T) {
	dir := t.TempDir()
	alive := record(t, "a", "1")
	for name, tt := range map[string]struct {
		change func(*Record)
		want   bool
	}{
		"running":           {func(*Record) {}, false},
		"another's pid":     {func(r *Record) { r.Started += "0" }, true},
		"no process":        {func(r *Record) { r.Pid = 1 << 30 }, true},
		"elsewhere":         {func(r *Record) { r.Pid, r.Started, r.Bundle = 0, "", dir }, false},
		"elsewhere, gone":   {func(r *Record) { r.Pid, r.Started, r.Bundle = 0, "", dir+"/none" }, true},
		"elsewhere, no way": {func(r *Record) { r.Pid, r.Started, r.Bundle = 0, "", "none" }, false},
	} {
		r := alive
		tt.change(&r)
		if got := r.Gone(); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// server revokes all leases but those it refuses.
type server struct {
	Server
	mu      sync.Mutex
	refuse  map[string]bool
	revoked map[string]bool
}

func (s *server) Revoke(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse[id] {
		return fault.New(fault.Refused, "", "not that one")
	}
	s.revoked[id] = true
	return nil
}

func TestGiveBack(t *testing.T) {
	dir := inMemory(t, "1m")
	s := &server{refuse: map[string]bool{"3": true}, revoked: map[string]bool{}}
	var all []Record
	for i := range 20 {
		r := record(t, "a", fmt.Sprint(i))
		if i == 5 {
			r.Session = "unknown"
		}
		all = append(all, r)
	}
	put(t, dir, all...)
	err := GiveBack(t.Context(), dir, all, func(session string) (Server, error) {
		if session != "key" {
			return nil, fault.New(fault.Settings, "", "no such session")
		}
		return s, nil
	})
	if !errors.Is(err, fault.Refused) || !errors.Is(err, fault.Settings) {
		t.Errorf("got %v", err)
	}
	got, err := List(dir)
	want(t, "left", got, err, all[3], all[5])
	if len(s.revoked) != 18 {
		t.Errorf("%d revoked", len(s.revoked))
	}
}
