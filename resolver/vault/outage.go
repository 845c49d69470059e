// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/lastgood"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// Outage says what happens while the server is not there: nothing, or the last
// answer is used again.
type Outage struct {
	LastKnownGood bool
	MaxAge        time.Duration // of an answer that is used again
	Directory     string        // where answers are kept, encrypted
}

// outage is the work of Outage in one Source; nil where there is none.
type outage struct {
	store *lastgood.Store

	mu       sync.Mutex
	deadline time.Time // of the start
	until    time.Time // when Vault has had its half of the time
}

// newOutage checks the settings.
func newOutage(c Config) (*outage, error) {
	if !c.Outage.LastKnownGood {
		return nil, nil
	}
	switch {
	case c.Auth.AsWorkload:
		return nil, settings("vault: last-known-good does not go with as_workload: while the server is away nobody can check who the workload is")
	case c.StateDir == "" || c.Outage.Directory == "" || c.Outage.MaxAge <= 0:
		return nil, settings("vault: last-known-good needs a state directory, a directory and a greatest age")
	}
	return &outage{store: &lastgood.Store{
		Directory: c.Outage.Directory, StateDir: c.StateDir, MaxAge: c.Outage.MaxAge, Source: identity(c),
	}}, nil
}

// identity is all of the settings that decides what the server answers. A token
// is in it by its hash.
func identity(c Config) string {
	b, err := json.Marshal(struct {
		Addresses                []string
		Namespace, Mount, CACert string
		Auth                     Auth
		Token                    [sha256.Size]byte
	}{slices.Sorted(slices.Values(c.Addresses)), c.Namespace, c.Mount, c.CACert, c.Auth, sha256.Sum256([]byte(c.Auth.Token.Reveal()))})
	if err != nil {
		panic(err) // of strings and booleans, which do not fail
	}
	return string(b)
}

// half gives ctx until half of what is left of its time is over, so that there
// is some to go on in. It is the same moment for all secrets of a start, which
// would wait one after another otherwise.
func (o *outage) half(ctx context.Context) (context.Context, context.CancelFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if deadline, _ := ctx.Deadline(); deadline != o.deadline {
		o.deadline, o.until = deadline, time.Now().Add(time.Until(deadline)/2)
	}
	return context.WithDeadline(ctx, o.until)
}

// orKept gives what read reads of the secret at path, below the mount; or, where
// the settings say so and the server is not there, the answer it gave last.
//
// Not there is a server that does not answer, fails, is sealed, or is a standby
// without an active node among the addresses: nobody could say no. One that throttles, answers with something else or is
// not who it should be is there. What it says no to is forgotten, so that
// it does not come back with the next outage.
func (s *Source) orKept(ctx context.Context, path string, version int, read func(context.Context) (*resolver.Secret, error)) (*resolver.Secret, error) {
	if s.outage == nil {
		return read(ctx)
	}
	half, cancel := s.outage.half(ctx)
	secret, err := read(half)
	cancel()
	record, store := resolver.RecordOf(ctx), s.outage.store
	var f *fault.Error
	switch {
	case err == nil:
		if secret.Lease != "" {
			break // it ends with its lease
		}
		if err := store.Keep(path, version, secret); err != nil {
			record.Note("vault: the answer for %s is not kept for an outage: %s", path, clean(err.Error()))
		}
	case errors.Is(err, fault.Missing), errors.As(err, &f) && f.Reason == fault.Denied:
		all := version
		if !errors.Is(err, fault.Missing) {
			all = 0
		}
		if err := store.Forget(path, all); err != nil {
			record.Note("vault: the answer kept for %s cannot be removed: %s", path, clean(err.Error()))
		}
	case ctx.Err() == nil && f != nil && away(f):
		return s.kept(ctx, path, version, f)
	}
	return secret, err
}

// away reports whether the server is not there.
func away(f *fault.Error) bool {
	return f.Class == fault.Unreachable && (f.Reason == "" || f.Reason == fault.Sealed || f.Reason == fault.Standby)
}

// kept gives the last answer instead of f.
func (s *Source) kept(ctx context.Context, path string, version int, f *fault.Error) (*resolver.Secret, error) {
	record := resolver.RecordOf(ctx)
	secret, err := s.outage.store.Find(path, version)
	if err != nil {
		if !errors.Is(err, lastgood.ErrNone) {
			record.Note("vault: the answer kept for %s: %s", path, clean(err.Error()))
		}
		why := *f
		why.Err = fmt.Errorf("%w; no answer from before can be used: %s", f.Err, clean(err.Error()))
		return nil, &why
	}
	secret.Source = s.Name()
	record.Count("stale_answers")
	record.Note("vault is %s: the answer for %s is %s old", fault.Outcome(f), path, lastgood.Round(secret.Age))
	return secret, nil
}
