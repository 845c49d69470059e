// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/oci-secrets/oci-secrets/install"
	"github.com/oci-secrets/oci-secrets/install/verify"
	"github.com/oci-secrets/oci-secrets/resolver/config"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

func verifyCommand() *cli.Command {
	engines := verify.Engines()
	list := strings.Join(engines, "|")
	return &cli.Command{
		Name: "verify", Usage: "start throw-away containers, and show whether they get a secret", ArgsUsage: list,
		Description: "The engine is used as it is configured, by you: as root, or rootless.\n" +
			"Nothing is left behind, and your own secrets are not asked for.\n" +
			"Examples:\n   oci-secrets verify podman\n   oci-secrets verify runc      # the runtime and this machine, without an engine",
		OnUsageError: usageError, HideHelpCommand: true, BashComplete: words(engines...),
		Flags: []cli.Flag{configFlag()},
		Action: func(c *cli.Context) error {
			hint := "the engines are " + strings.Join(engines, ", ") + "; flags come before them"
			name := c.Args().First()
			switch {
			case c.NArg() != 1:
				return fault.New(fault.Usage, hint, "verify takes one engine")
			case !strings.Contains("|"+list+"|", "|"+name+"|"):
				return fault.New(fault.Usage, hint, "unknown engine %q", name)
			}
			settings, err := newStart(c).Settings(c.Context)
			if err != nil {
				return err
			}
			m := &install.Machine{}
			if os.Geteuid() != 0 {
				m.Config, m.State, _ = userDirectories() // without them it is the system's engine
			}
			notes := settings.Warnings
			if note := m.TooLong(name, settings.Deadline.Duration); note != "" {
				notes = append(notes, note)
			}
			for _, note := range notes {
				if _, err := fmt.Fprintln(c.App.Writer, "note: "+note); err != nil {
					return err
				}
			}
			return verify.Run(c.Context, c.App.Writer, name, settings.StateDir, config.ForHook(c.String("config")))
		},
	}
}

// probeCommand is what the containers of verify run.
func probeCommand() *cli.Command {
	return &cli.Command{
		Name: verify.ProbeCommand, Hidden: true, HideHelpCommand: true,
		Action: func(c *cli.Context) error { return verify.Probe(c.Context, c.App.Writer, c.Args().First() == "wait") },
	}
}
