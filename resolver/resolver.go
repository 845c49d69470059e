// SPDX-License-Identifier: Apache-2.0

// Package resolver turns the names that a container asks for into the
// variables that it gets.
//
// A [Source] answers for one place where secrets live; a [Chain] of them is
// itself a source. A miss moves on to the next source and any other error
// stops, so that an outage never looks like an absence. [Resolver] applies a
// container's whole list: all or nothing.
//
// The package knows no particular source; those are its sub-packages.
package resolver

import (
	"context"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// ErrMiss is the one error that moves a [Chain] on to its next source: the
// source was asked, it answered, and it does not have the secret.
var ErrMiss error = fault.Missing

// Source is one place where secrets live.
type Source interface {
	// Name is the scheme that pins a request to this source.
	Name() string

	// Get gives the secret called name, in the given version (0 for the
	// newest). Asking again is safe and gives the same answer while the secret
	// does not change. It is called from several goroutines at once.
	//
	// An error that is ErrMiss says that the source does not have it (a source
	// without versions has no version but 0); its text says where it looked
	// and, where known, why it is not there. Every other error carries its
	// fault class. No error text holds a value.
	Get(ctx context.Context, name string, version int) (*Secret, error)
}
