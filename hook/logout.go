// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/oci-secrets/oci-secrets/hook/report"
	"github.com/oci-secrets/oci-secrets/hook/start"
	"github.com/oci-secrets/oci-secrets/resolver/lease"
	"github.com/oci-secrets/oci-secrets/resolver/memory"
	"github.com/oci-secrets/oci-secrets/resolver/memory/place"
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
	running, gone, err := leaseHolders(settings.StateDir)
	switch {
	case err != nil:
		return err
	case c.Bool("force"):
	case len(running) > 0:
		return fault.New(fault.Refused, "stop them first; with --force their leases end now, and what they were given stops working",
			"leases would end of containers that run: %s", strings.Join(running, ", "))
	case len(gone) > 0:
		return fault.New(fault.Refused, "`oci-secrets leases keep` revokes them; with --force they end now, with their tokens",
			"leases are there still of containers that are gone: %s", strings.Join(gone, ", "))
	}
	ctx, cancel := context.WithTimeout(c.Context, settings.Deadline.Duration)
	defer cancel()
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

// leaseHolders are the containers for which leases are recorded.
func leaseHolders(stateDir string) (running, gone []string, err error) {
	root, err := memory.Open(stateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = root.Close() }() // only read from
	err = fs.WalkDir(root.FS(), place.Leases, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.Contains(d.Name(), ".") { // one that is being written
			return ignoreAbsent(err) // a container may just end
		}
		var record lease.Record
		data, err := root.ReadFile(name)
		if err != nil {
			return ignoreAbsent(err)
		}
		if json.Unmarshal(data, &record) != nil || record.Container == "" {
			record.Container = "one that " + filepath.Join(stateDir, name) + " does not tell"
		}
		if record.Gone() {
			gone = append(gone, record.Container)
		} else {
			running = append(running, record.Container)
		}
		return nil
	})
	slices.Sort(running)
	slices.Sort(gone)
	return slices.Compact(running), slices.Compact(gone), err
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
