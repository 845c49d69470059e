// SPDX-License-Identifier: Apache-2.0

package lastgood

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/resolver"
)

// canary is in every value.
const canary = "canary-4b1e"

// store is one with directories of its own.
func store(t testing.TB) *Store {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounts: run it as root")
	}
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	t.Cleanup(func() { _ = unix.Unmount(state, unix.MNT_DETACH) })
	return &Store{Directory: filepath.Join(dir, "lib", "answers"), StateDir: state, MaxAge: time.Hour, Source: "here"}
}

// again is the same store in another start, where other may change it.
func again(s *Store, other func(*Store)) *Store {
	c := &Store{Directory: s.Directory, StateDir: s.StateDir, MaxAge: s.MaxAge, Source: s.Source}
	if other != nil {
		other(c)
	}
	return c
}

func secret(version int, value string) *resolver.Secret {
	return &resolver.Secret{Version: version, Entries: []resolver.Entry{{Key: "NAME", Value: resolver.NewValue(canary + value)}}}
}

func keep(t testing.TB, s *Store, path string, asked int, answer *resolver.Secret) {
	t.Helper()
	if err := s.Keep(path, asked, answer); err != nil {
		t.Fatal(err)
	}
}

// want checks what a later start finds: "" for nothing.
func want(t testing.TB, s *Store, path string, asked int, value string) {
	t.Helper()
	got, err := again(s, nil).Find(path, asked)
	switch {
	case value == "":
		if !errors.Is(err, ErrNone) {
			t.Errorf("%s@%d: got %v, %v; want nothing", path, asked, got, err)
		}
	case err != nil || len(got.Entries) != 1 || got.Entries[0].Key != "NAME" || got.Entries[0].Value.Reveal() != canary+value:
		t.Errorf("%s@%d: got %v, %v", path, asked, got, err)
	case got.Age <= 0 || got.Age > time.Minute:
		t.Errorf("%s@%d: age %v", path, asked, got.Age)
	}
}

// files are the paths of what is kept.
func files(t testing.TB, s *Store) []string {
	t.Helper()
	names, err := filepath.Glob(s.Directory + "/*")
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestKeepAndFind(t *testing.T) {
	s := store(t)
	want(t, s, "a/db", 0, "")
	if err := s.Forget("a/db", 0); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.StateDir); err == nil {
		t.Error("to look for an answer makes a state directory")
	}
	keep(t, s, "a/db", 0, secret(5, "latest"))
	keep(t, s, "a/db", 3, secret(3, "third"))
	keep(t, s, "a/other", 0, secret(1, "other"))
	want(t, s, "a/db", 0, "latest")
	want(t, s, "a/db", 3, "third")
	want(t, s, "a/db", 5, "")
	want(t, s, "a/other", 0, "other")
	want(t, s, "a", 0, "")
	want(t, again(s, func(s *Store) { s.Source = "elsewhere" }), "a/db", 0, "")
	if got, err := s.Find("a/db", 0); err != nil || got.Version != 5 {
		t.Errorf("got %v, %v", got, err)
	}
	keep(t, s, "a/db", 0, secret(6, "newer"))
	want(t, s, "a/db", 0, "newer")
	if n := len(files(t, s)); n != 3 {
		t.Errorf("%d files", n)
	}
	for path, mode := range map[string]os.FileMode{s.Directory: 0o700, s.StateDir + "/" + keyFile: 0o600, files(t, s)[0]: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	for _, name := range files(t, s) {
		b, err := os.ReadFile(name)
		if err != nil || !bytes.HasPrefix(b, []byte("age-encryption.org/v1\n")) {
			t.Errorf("%s: %v", name, err)
		}
		for _, plain := range []string{"canary", "NAME", "a/db", "here"} {
			if bytes.Contains(b, []byte(plain)) || strings.Contains(filepath.Base(name), "other") {
				t.Errorf("%s tells %q", name, plain)
			}
		}
	}
}

func TestForget(t *testing.T) {
	for name, tt := range map[string]struct {
		version int
		left    map[int]string // by version that is asked for
	}{
		"all":                 {0, map[int]string{0: "", 3: "", 5: ""}},
		"one":                 {3, map[int]string{0: "latest", 3: "", 5: "fifth"}},
		"the latest's number": {5, map[int]string{0: "", 3: "third", 5: ""}},
		"one that is none":    {9, map[int]string{0: "latest", 3: "third", 5: "fifth"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := store(t)
			keep(t, s, "db", 0, secret(5, "latest"))
			keep(t, s, "db", 3, secret(3, "third"))
			keep(t, s, "db", 5, secret(5, "fifth"))
			keep(t, s, "db2", 0, secret(5, "other"))
			if err := again(s, nil).Forget("db", tt.version); err != nil {
				t.Fatal(err)
			}
			for version, value := range tt.left {
				want(t, s, "db", version, value)
			}
			want(t, s, "db2", 0, "other")
		})
	}
}

// TestRewrite holds a start that brings nothing new to write nothing.
func TestRewrite(t *testing.T) {
	s := store(t)
	inode := func() uint64 {
		info, err := os.Stat(files(t, s)[0])
		if err != nil {
			t.Fatal(err)
		}
		return info.Sys().(*syscall.Stat_t).Ino
	}
	keep(t, s, "db", 0, secret(1, "x"))
	first := inode()
	held, err := os.Open(files(t, s)[0]) // so that its number is not used again
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close() }()
	keep(t, again(s, nil), "db", 0, secret(1, "x"))
	if inode() != first {
		t.Error("the same answer was written again")
	}
	keep(t, again(s, func(s *Store) { s.MaxAge = 1 }), "db", 0, secret(1, "x"))
	if inode() == first {
		t.Error("an answer that is growing old was not written again")
	}
	keep(t, again(s, nil), "db", 0, secret(1, "y"))
	want(t, s, "db", 0, "y")
}

func TestTooOld(t *testing.T) {
	s := store(t)
	keep(t, s, "db", 0, secret(1, "x"))
	_, err := again(s, func(s *Store) { s.MaxAge = 1 }).Find("db", 0)
	if err == nil || !strings.Contains(err.Error(), "old, more than 1ns") {
		t.Errorf("got %v", err)
	}
}

// TestBoot has a state directory that was emptied: the answers are of no use, and
// go when there is a new key.
func TestBoot(t *testing.T) {
	s := store(t)
	keep(t, s, "db", 0, secret(1, "x"))
	keep(t, s, "gone", 0, secret(1, "x"))
	if err := os.WriteFile(s.Directory+"/README", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	old := files(t, s)
	if err := os.Remove(s.StateDir + "/" + keyFile); err != nil {
		t.Fatal(err)
	}
	want(t, s, "db", 0, "")
	if err := again(s, nil).Forget("db", 0); err != nil {
		t.Error(err)
	}
	s = again(s, nil)
	keep(t, s, "db", 0, secret(1, "y"))
	want(t, s, "db", 0, "y")
	want(t, s, "gone", 0, "")
	for _, name := range old {
		if _, err := os.Stat(name); (err == nil) != (filepath.Base(name) == "README") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNotUsed has files that nobody should have made like this.
func TestNotUsed(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(s *Store, file string) error
		want  string
		mends bool // the next answer replaces it
	}{
		"a broken file":        {func(_ *Store, f string) error { return os.Truncate(f, 150) }, "what is kept cannot be read", true},
		"an empty file":        {func(_ *Store, f string) error { return os.Truncate(f, 0) }, "what is kept cannot be read", true},
		"a file open to all":   {func(_ *Store, f string) error { return os.Chmod(f, 0o644) }, "others can read it", true},
		"another one's answer": {func(s *Store, f string) error { return os.Rename(other(s, f), f) }, "what is kept is another answer", true},
		"a directory":          {func(_ *Store, f string) error { return errors.Join(os.Remove(f), os.Mkdir(f, 0o700)) }, "must be a regular file", false},
		"a pipe":               {func(_ *Store, f string) error { return errors.Join(os.Remove(f), unix.Mkfifo(f, 0o600)) }, "must be a regular file", true},
		"a link out":           {func(_ *Store, f string) error { return errors.Join(os.Remove(f), os.Symlink("/etc/passwd", f)) }, "leads out of its directory", true},
		"somebody else's file": {func(_ *Store, f string) error { return os.Chown(f, 65534, 65534) }, "65534", true},
		"an open directory":    {func(s *Store, _ string) error { return os.Chmod(s.Directory, 0o755) }, "must be ours alone", false},
		"their directory":      {func(s *Store, _ string) error { return os.Chown(s.Directory, 65534, 65534) }, "must be ours alone", false},
		"a key open to all":    {func(s *Store, _ string) error { return os.Chmod(s.StateDir+"/"+keyFile, 0o644) }, "others can read it", false},
		"a broken key":         {func(s *Store, _ string) error { return os.Truncate(s.StateDir+"/"+keyFile, 20) }, "is not a key; remove it", false},
		"a directory for key": {func(s *Store, _ string) error {
			return errors.Join(os.Remove(s.StateDir+"/"+keyFile), os.Mkdir(s.StateDir+"/"+keyFile, 0o700))
		}, "must be a regular file", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := store(t)
			keep(t, s, "db", 0, secret(1, "x"))
			if err := tt.spoil(s, files(t, s)[0]); err != nil {
				t.Fatal(err)
			}
			got, err := again(s, nil).Find("db", 0)
			if err == nil || errors.Is(err, ErrNone) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, %v; want %s", got, err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "AGE-SECRET") {
				t.Error("the key is in the error")
			}
			if err := again(s, nil).Keep("db", 0, secret(1, "y")); (err == nil) != tt.mends {
				t.Errorf("kept anew: %v", err)
			}
			if tt.mends {
				want(t, s, "db", 0, "y")
			}
		})
	}
}

// other keeps an answer for another name, and gives its file.
func other(s *Store, file string) string {
	_ = s.Keep("other", 0, secret(1, "other")) // the test finds out
	names, _ := filepath.Glob(s.Directory + "/*")
	for _, n := range names {
		if n != file {
			return n
		}
	}
	return ""
}

// TestRace has many starts that are the first one.
func TestRace(t *testing.T) {
	s := store(t)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if err := again(s, nil).Keep(fmt.Sprint("own-", i), 0, secret(1, "own")); err != nil {
				t.Error(err)
			}
			if err := again(s, nil).Keep("db", 0, secret(i%2, fmt.Sprint(i%2))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got, err := s.Find("db", 0); err != nil || got.Entries[0].Value.Reveal() != canary+fmt.Sprint(got.Version) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, dir := range []string{s.StateDir, s.Directory} {
		if left, _ := filepath.Glob(dir + "/*" + tempEnd); left != nil {
			t.Errorf("left: %v", left)
		}
	}
	for i := range 16 { // one that lost to the sweep is kept with the next start
		keep(t, again(s, nil), fmt.Sprint("own-", i), 0, secret(1, "own"))
		want(t, s, fmt.Sprint("own-", i), 0, "own")
	}
}

func BenchmarkKeepUnchanged(b *testing.B) {
	s := store(b)
	keep(b, s, "db", 0, secret(1, "x"))
	for b.Loop() { // as a start of its own
		keep(b, again(s, nil), "db", 0, secret(1, "x"))
	}
}

func BenchmarkKeepNew(b *testing.B) {
	s := store(b)
	for i := 0; b.Loop(); i++ {
		keep(b, again(s, nil), "db", 0, secret(i, "x"))
	}
}
