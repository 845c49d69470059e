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
		k := &kept{token: resolver.NewValue("hvs.x"), ttl: time.Hour, obtained: now(), expires: now() + ends}
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
	h.refuse(a, fault.New(fault.Refused, "", "no"))
	if err := h.store(d+refusedSuffix, refusal{Class: 12, Text: "x", At: now() - remember}); err != nil {
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
