// SPDX-License-Identifier: Apache-2.0

package throwaway_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/throwaway"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

func TestGet(t *testing.T) {
	state := t.TempDir()
	s := throwaway.Source{StateDir: state}
	const name = throwaway.Prefix + "abc"
	miss := func(name string, version int) {
		t.Helper()
		if _, err := s.Get(t.Context(), name, version); !errors.Is(err, resolver.ErrMiss) {
			t.Errorf("%s@%d: error %v, want a miss", name, version, err)
		}
	}
	miss(name, 0) // when verify does not run there is nothing
	dir := filepath.Join(state, throwaway.Folder)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{filepath.Join(dir, name), filepath.Join(state, "outside")} {
		if err := os.WriteFile(file, []byte("hunter2"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	miss(name+".missing", 0)
	miss(name+"/more", 0)
	miss(name, 1)
	secret, err := s.Get(t.Context(), name, 0)
	if err != nil || len(secret.Entries) != 1 || secret.Entries[0].Key != throwaway.Variable || secret.Entries[0].Value.Reveal() != "hunter2" {
		t.Errorf("got %v, %v", secret, err)
	}
	// What somebody else could have put there is none.
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), name, 0); !errors.Is(err, fault.Refused) {
		t.Errorf("in a directory for all: %v", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, name), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), name, 0); !errors.Is(err, fault.Refused) {
		t.Errorf("a file for all: %v", err)
	}
}
