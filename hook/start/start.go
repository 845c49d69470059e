// SPDX-License-Identifier: Apache-2.0

// Package start is what happens when a container starts: the line from its
// annotations to its environment. [Start.Hook] is the OCI hook, which delivers
// in flight; [Start.Precreate] is podman's filter, which amends config.json.
//
//	annotations -> spec.Parse -> Asked -> resolver.Resolve -> []Variable -> deliver
//
// A container that asks for nothing passes at once: no settings are read, no
// process is looked at, and nothing is sent anywhere.
package start

import (
	"context"
	"errors"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/config"
	"github.com/oci-secrets/oci-secrets/spec"
)

// ErrVault says that the settings have a Vault and the caller brought no way
// to open it.
var ErrVault = errors.New("the settings name a Vault")

// Start is one start of a container.
type Start struct {
	Config    string             // path of the settings; "" for the usual places
	OpenVault config.VaultOpener // nil: fail with ErrVault where it would be needed
}

// Resolve gives the variables that a container gets for what it asks. It ends
// at the settings' deadline.
func (s *Start) Resolve(ctx context.Context, asked spec.Asked) ([]resolver.Variable, error) {
	resolve, err := s.open()
	if err != nil {
		return nil, err
	}
	return resolve(ctx, asked)
}

// open reads the settings, and no source yet.
func (s *Start) open() (resolve func(context.Context, spec.Asked) ([]resolver.Variable, error), err error) {
	settings, err := config.Load(s.Config)
	if err != nil {
		return nil, err
	}
	if settings.Vault != nil && s.OpenVault == nil {
		return nil, ErrVault
	}
	r, err := settings.Resolver(s.OpenVault)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, asked spec.Asked) ([]resolver.Variable, error) {
		ctx, cancel := context.WithTimeout(ctx, settings.Deadline.Duration)
		defer cancel()
		return r.Resolve(ctx, asked)
	}, nil
}
