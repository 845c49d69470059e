// SPDX-License-Identifier: Apache-2.0

// Package lastgood keeps what a source answered for the time when it is not
// there.
//
// The answers lie on a disk, encrypted with age for one X25519 identity, whose
// key is made once per boot and lies in the state directory, which is in memory
// (package memory). So a disk that is stolen, copied or backed up gives nothing,
// and neither does the directory after a boot. The names of the files are made
// with that key, too. A copy of one file under the name of another is not taken
// for the other's.
//
// How old an answer is, the clock says that counts from the boot on, like the key:
// nobody sets it, and it goes on while the machine sleeps.
//
// What it does not protect against: root, who can read the key, and the user
// whose directories these are.
package lastgood

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/memory"
	"github.com/oci-secrets/oci-secrets/resolver/private"
)

// ErrNone says that nothing is kept.
var ErrNone = errors.New("none is kept")

// Store has the answers of one source.
type Store struct {
	Directory string        // of the answers; ours alone
	StateDir  string        // of the key; see package memory
	MaxAge    time.Duration // of an answer that is used
	Source    string        // all that decides what the source answers, such as where it is and who asks

	mu  sync.Mutex
	key *key // nil until it is needed
}

// Keep keeps what the source answered just now for version of the secret at
// path. An answer that is there already is written again when a quarter of its
// time is over, and not at every start.
func (s *Store) Keep(path string, version int, secret *resolver.Secret) error {
	now := memory.Now()
	dir, err := s.open(true)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // each file's own is checked
	k, err := s.ready(dir)
	if err != nil {
		return err
	}
	r := record{Source: s.Source, Path: path, Asked: version, Version: secret.Version, At: now}
	for _, e := range secret.Entries {
		r.Entries = append(r.Entries, [2]string{e.Key, e.Value.Reveal()})
	}
	name := k.name(s.Source, path, version)
	if old, err := s.read(dir, k, name); err == nil && old.same(r) && now-old.At < s.MaxAge/4 {
		return nil
	}
	b, err := k.seal(r)
	if err != nil {
		return err
	}
	return replace(dir, name, b)
}

// Find gives what is kept, with its age. An error that is [ErrNone] says that
// there is nothing, any other one why it is not used.
func (s *Store) Find(path string, version int) (*resolver.Secret, error) {
	now := memory.Now()
	dir, k, err := s.existing()
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }() // only read from
	r, err := s.read(dir, k, k.name(s.Source, path, version))
	switch {
	case err != nil:
		return nil, err
	case r.Source != s.Source || r.Path != path || r.Asked != version || r.At > now:
		return nil, errors.New("what is kept is another answer")
	case now-r.At > s.MaxAge:
		return nil, fmt.Errorf("the one that is kept is %s old, more than %s", Round(now-r.At), s.MaxAge)
	}
	// An age of 0 would say that it is new.
	secret := &resolver.Secret{Version: r.Version, Age: max(now-r.At, 1)}
	for _, e := range r.Entries {
		secret.Entries = append(secret.Entries, resolver.Entry{Key: e[0], Value: resolver.NewValue(e[1])})
	}
	return secret, nil
}

// Forget removes what is kept of version, or, where that is 0, of all versions
// of the secret at path: the source has withdrawn it. Where the latest answer is
// that version, it goes, too.
func (s *Store) Forget(path string, version int) error {
	dir, k, err := s.existing()
	if errors.Is(err, ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // only removed from
	names := []string{k.name(s.Source, path, version)}
	if latest := k.name(s.Source, path, 0); version != 0 {
		if r, err := s.read(dir, k, latest); err != nil || r.Version == version {
			names = append(names, latest)
		}
	} else {
		entries, err := fs.ReadDir(dir.FS(), ".")
		if err != nil {
			return err
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), strings.TrimSuffix(latest, "0")) {
				names = append(names, e.Name())
			}
		}
	}
	var errs []error
	for _, name := range names {
		if err := dir.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Round makes an age readable.
func Round(d time.Duration) time.Duration {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond)
	case d < time.Hour:
		return d.Round(time.Second)
	}
	return d.Round(time.Minute)
}

// read reads a file of the directory.
func (s *Store) read(dir *os.Root, k *key, name string) (record, error) {
	b, err := private.ReadIn(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return record{}, ErrNone
	}
	if err != nil {
		return record{}, fmt.Errorf("what is kept is not used: %w", err)
	}
	r, err := k.open(b)
	if err != nil {
		return record{}, errors.New("what is kept cannot be read")
	}
	return r, nil
}

// replace puts b into the file called name. It is not synchronised with the
// disk: a failure of power takes the key, too.
func replace(dir *os.Root, name string, b []byte) error {
	temp, err := unique(name)
	if err != nil {
		return err
	}
	err = dir.WriteFile(temp, b, 0o600)
	if err == nil {
		err = dir.Rename(temp, name)
	}
	if err != nil {
		_ = dir.Remove(temp) // it may not be there
	}
	return err
}

// record is what a file holds.
type record struct {
	Source, Path   string
	Asked, Version int
	At             time.Duration // since the boot
	Entries        [][2]string
}

// same reports whether the source answered the same.
func (r record) same(other record) bool {
	return r.Source == other.Source && r.Path == other.Path && r.Asked == other.Asked && r.Version == other.Version &&
		r.At <= other.At && slices.Equal(r.Entries, other.Entries)
}

// fileName is the form of a file's name.
func fileName(hash string, version int) string { return hash + "." + strconv.Itoa(version) }
