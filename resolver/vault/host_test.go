// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/lease"
	"github.com/oci-secrets/oci-secrets/resolver/memory"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

func testHost(t *testing.T) *host {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "oci-secrets-host-")
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(dir, "state")
	t.Cleanup(func() {
		_ = unix.Unmount(state, unix.MNT_DETACH) // for a user it is none
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	h, why, err := openHost(state)
	if err != nil || why != "" {
		t.Fatal(why, err)
	}
	return h
}

// A lock whose file is removed, as logout and uninstall may do, keeps nobody out:
// who waited for it waits for the one that has the name now.
func TestLockIsRemoved(t *testing.T) {
	h := testHost(t)
	first, err := h.lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if h.tryLock("a") != nil {
		t.Error("two have it")
	}
	waited := make(chan func())
	go func() {
		unlock, err := h.lock(t.Context(), "a")
		if err != nil {
			t.Error(err)
		}
		waited <- unlock
	}()
	// It has opened the file when the kernel lists it as waiting.
	for !waits(t) {
		time.Sleep(time.Millisecond)
	}
	h.remove("a" + lockSuffix)
	second, err := h.lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	first()
	select {
	case <-waited:
		t.Error("it has a lock that is none")
	case <-time.After(50 * time.Millisecond):
		second()
		(<-waited)()
	}
}

// waits reports whether a thread of ours waits for a lock of a file (proc(5)).
func waits(t *testing.T) bool {
	t.Helper()
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(locks)) {
		f := strings.Fields(line)
		if len(f) > 5 && f[1] == "->" && f[2] == "FLOCK" && f[5] == strconv.Itoa(os.Getpid()) {
			return true
		}
	}
	return false
}

func TestSweep(t *testing.T) {
	h := testHost(t)
	ctx := resolver.WithRecord(context.Background(), &resolver.Record{})
	a, b, c, d := strings.Repeat("a", 64), strings.Repeat("b", 64), strings.Repeat("c", 64), strings.Repeat("d", 64)
	token := func(name string, ends time.Duration) {
		t.Helper()
		k := &kept{token: resolver.NewValue("hvs.x"), ttl: time.Hour, obtained: memory.Now(), expires: memory.Now() + ends}
		if err := h.keep(name, k, tokenHome{}); err != nil {
			t.Fatal(err)
		}
	}
	token(a, time.Minute)
	token(b, -time.Second)
	token(b+".0123456789abcdef", -time.Second)
	token(a+".0123456789abcdef", time.Minute)
	token(c, -time.Second)
	for _, name := range []string{a, b} {
		h.tryLock(name)()
	}
	unlock := h.tryLock(c) // somebody logs in
	defer unlock()
	h.tryLock(d)() // of a login that was refused
	h.refuse(a, fault.New(fault.Refused, "", "no"))
	if err := h.store(d+refusedSuffix, refusal{Class: 12, Text: "x", At: memory.Now() - remember}); err != nil {
		t.Fatal(err)
	}
	for _, temp := range []string{a + ".2147483647", a + "." + strconv.Itoa(os.Getpid())} { // no such process, and one that writes
		if err := h.root.WriteFile(file(temp), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.sweep(ctx)
	got := h.names()
	slices.Sort(got)
	want := []string{a, a + ".0123456789abcdef", a + "." + strconv.Itoa(os.Getpid()), a + ".lock", a + ".refused", c, c + ".lock"}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("left: %q\nwant: %q", got, want)
	}
}

// TestSweepOfTokensWithoutUse has tokens that would last for weeks, and that no
// start asks for any more. Those that have leases stay.
func TestSweepOfTokensWithoutUse(t *testing.T) {
	h := testHost(t)
	ctx := resolver.WithRecord(context.Background(), &resolver.Record{})
	workload := tokenHome{Workload: true}
	for name, tt := range map[string]struct {
		obtained, replaced time.Duration // ago; 0 for never
		at                 tokenHome
		leased, stays      bool
	}{
		"of the host":               {24 * time.Hour, 0, tokenHome{}, false, true},
		"of a workload":             {time.Minute, 0, workload, false, true},
		"of a workload, old":        {2 * time.Hour, 0, workload, false, false},
		"of a workload, old, lease": {2 * time.Hour, 0, workload, true, true},
		"replaced just now":         {24 * time.Hour, time.Minute, tokenHome{}, false, true},
		"replaced":                  {24 * time.Hour, 10 * time.Minute, tokenHome{}, false, false},
		"replaced, lease":           {24 * time.Hour, 10 * time.Minute, tokenHome{}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			k := &kept{token: resolver.NewValue("hvs.x"), ttl: 768 * time.Hour, obtained: memory.Now() - tt.obtained}
			if k.expires = memory.Now() + k.ttl; tt.replaced > 0 {
				k.replaced = memory.Now() - tt.replaced
			}
			key := digest(name)
			file := key
			if tt.replaced > 0 {
				file += "." + k.id()
			}
			if err := h.keep(file, k, tt.at); err != nil {
				t.Fatal(err)
			}
			if tt.leased {
				if err := lease.Put(h.root.Name(), lease.Record{Container: name, ID: name, Session: key + "." + k.id()}); err != nil {
					t.Fatal(err)
				}
			}
			h.sweep(ctx)
			if got := slices.Contains(h.names(), file); got != tt.stays {
				t.Errorf("it is there: %t", got)
			}
		})
	}
}

// A token that takes the place of one that is over stays.
func TestSweepWhileSomebodyLogsIn(t *testing.T) {
	h := testHost(t)
	ctx := resolver.WithRecord(context.Background(), &resolver.Record{})
	key := strings.Repeat("a", 64)
	fresh := func() {
		k := &kept{token: resolver.NewValue("hvs.y"), ttl: time.Hour, obtained: memory.Now(), expires: memory.Now() + time.Hour}
		if err := h.keep(key, k, tokenHome{}); err != nil {
			t.Fatal(err)
		}
	}
	k := &kept{token: resolver.NewValue("hvs.x"), ttl: time.Hour, obtained: 1, expires: memory.Now() + time.Hour, replaced: memory.Now() - 2*underWay}
	if err := h.keep(key, k, tokenHome{}); err != nil {
		t.Fatal(err)
	}
	h.sweepToken(ctx, key, func() func(string) bool {
		fresh()
		return func(string) bool { return false }
	})
	if k, _ := h.token(ctx, key); k == nil || k.token.Reveal() != "hvs.y" {
		t.Error("the new token is gone")
	}
}

// TestTidy has one sweep in a while, however many start.
func TestTidy(t *testing.T) {
	h := testHost(t)
	ctx := resolver.WithRecord(context.Background(), &resolver.Record{})
	old := func() string {
		t.Helper()
		if err := h.store("a"+refusedSuffix, refusal{Class: 12, Text: "x", At: memory.Now() - remember}); err != nil {
			t.Fatal(err)
		}
		return "a" + refusedSuffix
	}
	for _, tt := range []struct {
		ago   time.Duration
		stays bool
	}{{0, false}, {sweepEvery / 2, true}, {sweepEvery, false}} {
		if tt.ago > 0 {
			if err := h.store(sweptName, sweptRecord{memory.Now() - tt.ago}); err != nil {
				t.Fatal(err)
			}
		}
		name := old()
		h.tidy(ctx)
		if got := slices.Contains(h.names(), name); got != tt.stays {
			t.Errorf("%s ago: it is there: %t", tt.ago, got)
		}
	}
}

// A workload's token serves the starts of an hour.
func TestServes(t *testing.T) {
	for _, tt := range []struct {
		age  time.Duration
		at   tokenHome
		want bool
	}{
		{time.Minute, tokenHome{Workload: true}, true},
		{workloadLasts, tokenHome{Workload: true}, false},
		{workloadLasts, tokenHome{}, true},
	} {
		k := &kept{token: resolver.NewValue("hvs.x"), obtained: memory.Now() - tt.age}
		if got := (&Source{}).serves(k, tt.at); got != tt.want {
			t.Errorf("%s, workload %t: %t", tt.age, tt.at.Workload, got)
		}
	}
}
