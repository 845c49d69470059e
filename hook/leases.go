// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/oci-secrets/oci-secrets/hook/keeper"
	"github.com/oci-secrets/oci-secrets/hook/printable"
	"github.com/oci-secrets/oci-secrets/hook/report"
	"github.com/oci-secrets/oci-secrets/hook/start"
	"github.com/oci-secrets/oci-secrets/hook/syslog"
	"github.com/oci-secrets/oci-secrets/resolver/config"
	"github.com/oci-secrets/oci-secrets/resolver/lease"
	"github.com/oci-secrets/oci-secrets/resolver/memory"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

func leasesCommand() *cli.Command {
	return &cli.Command{
		Name:  "leases",
		Usage: "show what was leased for which container",
		Description: "Examples:\n" +
			"   oci-secrets leases --json\n" +
			"   oci-secrets leases keep       # the service of a host that renews and revokes",
		OnUsageError:    usageError,
		HideHelpCommand: true,
		Flags: []cli.Flag{
			configFlag(),
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return report.Usage("leases takes the argument keep or none, and got %q", c.Args().First())
			}
			return listLeases(c)
		},
		Subcommands: []*cli.Command{{
			Name:  "keep",
			Usage: "renew the leases of running containers, and revoke those of containers that are gone",
			Description: "It runs until it is stopped, and stays while Vault is not there. One is enough\n" +
				"for a host. When a lease cannot be renewed any more it does what at_max_ttl in\n" +
				"the settings says.",
			OnUsageError:    usageError,
			HideHelpCommand: true,
			Flags:           []cli.Flag{configFlag()},
			Action: func(c *cli.Context) error {
				if c.Args().Present() {
					return report.Usage("leases keep takes no argument, and got %q", c.Args().First())
				}
				return keepLeases(c)
			},
		}},
	}
}

// leased is one lease as it is printed.
type leased struct {
	Container string    `json:"container,omitempty"`
	Path      string    `json:"path"`
	Lease     string    `json:"lease,omitempty"`
	Expires   time.Time `json:"expires,omitzero"`
	ExpiresIn int       `json:"expires_in"` // seconds
	Renewable bool      `json:"renewable"`
	State     string    `json:"state"` // running, gone, or unreadable
}

func listLeases(c *cli.Context) error {
	settings, err := newStart(c).Settings(c.Context)
	if err != nil {
		return err
	}
	records, err := lease.List(settings.StateDir)
	if err != nil {
		return err
	}
	list := make([]leased, len(records))
	for i, r := range records {
		left := r.Expires() - memory.Now()
		list[i] = leased{r.Container, r.Path, r.ID, time.Now().Add(left).Truncate(time.Second), int(left.Seconds()), r.Renewable, "running"}
		switch {
		case r.Broken != nil:
			list[i] = leased{Path: r.Path, State: "unreadable"}
		case r.Gone():
			list[i].State = "gone"
		}
	}
	if c.Bool("json") {
		enc := json.NewEncoder(c.App.Writer)
		enc.SetIndent("", "  ")
		return enc.Encode(list)
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(c.App.Writer, "nothing is leased")
		return err
	}
	t := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
	row(t, "CONTAINER", "PATH", "LEASE", "EXPIRES IN", "RENEWABLE", "STATE")
	for _, l := range list {
		expires := ""
		if l.Lease != "" {
			expires = (time.Duration(l.ExpiresIn) * time.Second).String()
		}
		row(t, l.Container, l.Path, l.Lease, expires, strconv.FormatBool(l.Renewable), l.State)
	}
	return t.Flush()
}

// keepLeases is the service. Lines for the operator also go to the system log,
// as those of hooks do.
func keepLeases(c *cli.Context) error {
	if err := start.Harden(); err != nil {
		return err
	}
	settings, err := newStart(c).Settings(c.Context)
	if err != nil {
		return err
	}
	if settings.Vault == nil {
		return fault.New(fault.Settings, "add a [vault] table to the settings", "there is no source that leases")
	}
	open := openLeases(settings)
	if _, err := open(""); err != nil { // better now than at the first lease
		return err
	}
	start.LockMemory()
	k := &keeper.Keeper{Dir: settings.StateDir, Open: open, Stop: settings.Vault.Leases.AtMaxTTL == config.Stop, Log: func(format string, args ...any) {
		line := printable.Line("leases: " + fmt.Sprintf(format, args...))
		_, _ = fmt.Fprintln(os.Stderr, "oci-secrets: "+line) // a log that is closed is none
		syslog.Error(line)
	}}
	return k.Run(c.Context)
}
