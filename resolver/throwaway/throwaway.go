// SPDX-License-Identifier: Apache-2.0

// Package throwaway is the source of the one secret that `oci-secrets verify`
// makes, and takes away when it is done.
//
// verify starts containers through an engine as it is configured, and must not
// depend on what the operator's sources have, or ask them. So names that begin
// with [Prefix] are reserved: they are looked up in the folder verify of the
// state directory and nowhere else, in memory, and only the host's root, or the
// user of a rootless engine, can put anything there. An annotation that names
// one gets no other secret by it, and at any other time a miss.
package throwaway

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/private"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

const (
	// Prefix begins the reserved names.
	Prefix = "oci-secrets-verify."
	// Folder is where the secrets are, below the state directory.
	Folder = "verify"
	// Variable is the only key of each.
	Variable = "OCI_SECRETS_VERIFY"
)

// Source is the folder in the state directory.
type Source struct{ StateDir string }

// Name is none that an annotation could pin.
func (Source) Name() string { return "verify" }

// Get reads the secret, which is a file with the value.
func (s Source) Get(_ context.Context, name string, version int) (*resolver.Secret, error) {
	miss := fault.New(fault.Missing, "", "no throw-away secret of `oci-secrets verify` in %s", s.StateDir)
	if version != 0 {
		return nil, miss
	}
	root, err := private.OpenRoot(filepath.Join(s.StateDir, Folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, miss
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // only read from
	value, err := private.ReadIn(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, miss
	}
	if err != nil {
		return nil, err
	}
	return &resolver.Secret{Source: s.Name(), Entries: []resolver.Entry{{Key: Variable, Value: resolver.NewValue(string(value))}}}, nil
}
