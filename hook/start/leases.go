// SPDX-License-Identifier: Apache-2.0

package start

import (
	"context"
	"slices"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-secrets/oci-secrets/hook/report"
	"github.com/oci-secrets/oci-secrets/hook/syslog"
	"github.com/oci-secrets/oci-secrets/resolver/lease"
)

const (
	// giveBackTime is for giving back what was leased for a start that failed,
	// beyond its deadline, which may be spent.
	giveBackTime = 2 * time.Second
	// poststopTime bounds a poststop, for which an engine's delete waits.
	poststopTime = 10 * time.Second
)

// GiveBack gives back what was leased for a container that does not start. What
// cannot be given back now stays recorded, and its keeper does it.
func (s *Start) GiveBack(ctx context.Context, container string) {
	if s.opened == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackTime)
	defer cancel()
	notGivenBack(container, s.opened.Release(ctx))
}

// poststop gives back what was leased for a container that has ended. It never
// fails: runc reports a failed poststop hook as a failed delete, and engines then
// keep what belongs to a container that is gone.
func (s *Start) poststop(ctx context.Context, st *specs.State) error {
	container := st.ID
	settings, err := s.Settings(ctx)
	if err != nil {
		if s.Keep != "" { // or else it is not known that there are leases
			notGivenBack(container, err)
		}
		return nil
	}
	if settings.Vault == nil {
		return nil
	}
	if s.Keep != "" { // the settings may have changed since the container's start
		settings.StateDir = s.Keep
	}
	records, err := lease.Of(settings.StateDir, container)
	// Another container of another engine may have the same id.
	records = slices.DeleteFunc(records, func(r lease.Record) bool { return st.Bundle != "" && r.Broken == nil && r.Bundle != st.Bundle })
	if len(records) > 0 && s.OpenLeases == nil {
		return ErrVault
	}
	ctx, cancel := context.WithTimeout(ctx, min(settings.Deadline.Duration, poststopTime))
	defer cancel()
	if err == nil && len(records) > 0 {
		LockMemory() // a token may be in the settings
		err = lease.GiveBack(ctx, settings.StateDir, records, s.OpenLeases(settings))
	}
	notGivenBack(container, err)
	return nil
}

// notGivenBack tells that a lease lives on, unless err is nil.
func notGivenBack(container string, err error) {
	if err == nil {
		return
	}
	for _, line := range report.Logged(err) {
		syslog.Error("container " + container + ": what was leased for it is left to `oci-secrets leases keep`: " + line)
	}
}
