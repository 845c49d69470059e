// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/oci-secrets/oci-secrets/hook/report"
	"github.com/oci-secrets/oci-secrets/hook/start"
	"github.com/oci-secrets/oci-secrets/resolver/lease"
	"github.com/oci-secrets/oci-secrets/resolver/memory"
	"github.com/oci-secrets/oci-secrets/resolver/vault"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

func logoutCommand() *cli.Command {
	return &cli.Command{
		Name: "logout", Usage: "revoke the Vault tokens that are kept for containers to come",
		Description: "The next start of a container logs in anew. Those that run keep what they have;\n" +
			"but leases end with their token, so it refuses while containers have some.\n" +
			"Unwrapped secret ids stay, as they cannot be had again; uninstall removes them.\n" +
			"Examples:\n   oci-secrets logout\n   oci-secrets logout --force      # leases of running containers end, too",
		OnUsageError: usageError, HideHelpCommand: true,
		Flags: []cli.Flag{configFlag(), &cli.BoolFlag{Name: "force", Usage: "also while containers have leases, which end then"}},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return report.Usage("logout takes no argument, and got %q", c.Args().First())
			}
			return logout(c)
		},
	}
}

func logout(c *cli.Context) error {
	if err := start.Harden(); err != nil {
		return err
	}
	start.LockMemory()
	settings, err := newStart(c).Settings(c.Context)
	if err != nil {
		return err
	}
	holders, left, err := leaseHolders(settings.StateDir)
	if err != nil {
		return err
	}
	if len(holders) > 0 && !c.Bool("force") {
		return fault.New(fault.Refused, "stop them first; with --force their leases end now, and what they were given stops working",
			"leases would end of containers that run: %s", strings.Join(holders, ", "))
	}
	ctx, cancel := context.WithTimeout(c.Context, settings.Deadline.Duration)
	defer cancel()
	if settings.Vault != nil {
		if err := lease.GiveBack(ctx, settings.StateDir, left, openLeases(settings)); err != nil && !c.Bool("force") {
			return fmt.Errorf("what was leased for containers that are gone is not revoked: %w", err)
		}
	}
	f, err := vault.Logout(ctx, settings.StateDir)
	lines := did(f)
	if len(lines) == 0 && err == nil {
		lines = []string{"nothing to do: no login is kept in " + settings.StateDir}
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(c.App.Writer, line); err != nil {
			return err
		}
	}
	return err
}

// did says in words what became of what was kept.
func did(f vault.Farewell) (lines []string) {
	for _, l := range []struct {
		n         int
		one, many string
	}{
		{f.Revoked, "revoked 1 token", "revoked %d tokens"},
		{f.Ended, "removed 1 token that had ended", "removed %d tokens that had ended"},
		{f.Forgotten, "removed 1 token, which ends by itself", "removed %d tokens, which end by themselves"},
		{f.Notes, "removed what was remembered of mounts and refusals", "removed what was remembered of mounts and refusals"},
		{f.SecretIDs, "kept 1 unwrapped secret id, which cannot be had again", "kept %d unwrapped secret ids, which cannot be had again"},
	} {
		switch {
		case l.n == 1 || l.n > 1 && l.one == l.many:
			lines = append(lines, l.one)
		case l.n > 1:
			lines = append(lines, fmt.Sprintf(l.many, l.n))
		}
	}
	return lines
}

// forget takes away what is kept of logins when an engine is uninstalled, so that
// the state directory can go. Another engine's next start logs in anew.
func forget(c *cli.Context, stateDir string) error {
	f, needed, err := vault.Forget(stateDir)
	switch {
	case err != nil:
		return nil //nolint:nilerr // it is not ours, and so stays as it is
	case needed:
		_, err = fmt.Fprintf(c.App.Writer, "note: logins to Vault are kept in %s; oci-secrets logout ends them\n", stateDir)
		return err
	case f.Forgotten > 0:
		_, err = fmt.Fprintln(c.App.Writer, "note: removed Vault tokens without revoking them, as oci-secrets logout would have; they end by themselves")
	}
	if f.SecretIDs > 0 && err == nil {
		_, err = fmt.Fprintln(c.App.Writer, "note: removed unwrapped secret ids; put a new wrapping token into wrapped_secret_id_file before the next start")
	}
	return err
}

// leaseHolders are the containers that run and have leases, and the leases that
// are left of others: nobody may have come to revoke them, and without their
// logins nobody could any more. What has ended by itself is forgotten.
func leaseHolders(stateDir string) (ids []string, left []lease.Record, err error) {
	records, err := lease.List(stateDir)
	for _, r := range records {
		switch {
		case r.Broken != nil:
			ids = append(ids, "one that "+filepath.Join(stateDir, r.Path)+" does not tell")
		case !r.Gone():
			ids = append(ids, r.Container)
		case r.Expires() > memory.Now():
			left = append(left, r)
		default:
			err = errors.Join(err, lease.Remove(stateDir, r))
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), left, err
}
