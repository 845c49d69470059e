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
	"time"

	"github.com/oci-secrets/oci-secrets/hook/delivery"
	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/config"
	"github.com/oci-secrets/oci-secrets/resolver/lease"
	"github.com/oci-secrets/oci-secrets/spec"
)

// ErrVault says that the settings have a Vault and the caller brought no way
// to open it.
var ErrVault = errors.New("the settings name a Vault")

// Start is one start of a container.
type Start struct {
	Config    string             // path of the settings; "" for the usual places
	Keep      string             // the state directory where what is delivered is kept for exec; "" for not
	OpenVault config.VaultOpener // nil: fail with ErrVault where it would be needed

	OpenLeases func(*config.Settings) lease.Opener // the same for what was leased

	opened   *resolver.Resolver // what was asked, if anything was
	delivery *delivery.Delivery // the one that is under way; nil where nobody is told
	begun    time.Time          // see Watch
	watch    *time.Timer        // nil where nobody watches
}

// Tell does deliver, which delivers what a container asks for in one of the ways
// of package delivery, and tells what came of it. What deliver resolves is in
// that.
func (s *Start) Tell(ctx context.Context, way, container string, asked spec.Asked, deliver func(context.Context) error) error {
	ctx, s.delivery = delivery.Begin(ctx, way, container, asked)
	err := deliver(ctx)
	if !errors.Is(err, ErrVault) { // who can open it begins again
		s.delivery.End(err)
	}
	return err
}

// refuse gives err, of a start that is refused before it needs the settings. They
// are read all the same, because they say where that is told.
func (s *Start) refuse(ctx context.Context, err error) error {
	LockMemory() // a token may be in them
	if settings, unread := s.Settings(ctx); unread == nil {
		s.delivery.Configure(settings.Log)
	}
	return err
}

// Resolve gives the variables that a container gets for what it asks. It ends
// at the settings' deadline. Where the container does not start after all, what
// was leased for it must be given back.
func (s *Start) Resolve(ctx context.Context, c resolver.Container, asked spec.Asked) ([]resolver.Variable, error) {
	r, deadline, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	vars, err := s.resolve(ctx, r, asked)
	if err != nil {
		s.GiveBack(ctx, c.ID)
	}
	return vars, err
}

func (s *Start) resolve(ctx context.Context, r *resolver.Resolver, asked spec.Asked) ([]resolver.Variable, error) {
	vars, err := r.Resolve(ctx, asked)
	s.delivery.Resolved(vars)
	return vars, err
}

// Settings reads the settings, and notes what they warn of. How long that may
// take they cannot say themselves: it is the default deadline.
func (s *Start) Settings(ctx context.Context) (*config.Settings, error) {
	ctx, cancel := context.WithTimeout(ctx, config.DefaultDeadline)
	defer cancel()
	settings, err := resolver.Await(ctx, "settings", func() (*config.Settings, error) { return config.Load(s.Config) })
	if err != nil {
		return nil, err
	}
	s.until(settings.Deadline.Duration)
	for _, warning := range settings.Warnings {
		resolver.RecordOf(ctx).Note("%s", warning)
	}
	return settings, nil
}

// open reads the settings, and no source yet. The deadline is that of all that
// follows, up to the delivery; it began before the settings were read.
func (s *Start) open(ctx context.Context, c resolver.Container) (r *resolver.Resolver, deadline time.Time, err error) {
	begun := time.Now()
	ended := resolver.RecordOf(ctx).Phase("settings")
	settings, err := s.Settings(ctx)
	ended()
	if err != nil {
		return nil, time.Time{}, err
	}
	s.delivery.Configure(settings.Log)
	if (s.Keep != "" || settings.Vault != nil) && !settings.Keeps() {
		resolver.RecordOf(ctx).Note("nothing is kept between starts, because %s has no place: logins are not shared, exec asks anew, and nothing can be leased; "+
			"set state_dir to a directory of this user's on a tmpfs", settings.StateDir)
	}
	if settings.Vault != nil && s.OpenVault == nil {
		return nil, time.Time{}, ErrVault
	}
	r, err = settings.Resolver(s.OpenVault, c)
	s.opened = r
	return r, begun.Add(settings.Deadline.Duration), err
}
