// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"

	"github.com/urfave/cli/v2"

	"github.com/oci-secrets/oci-secrets/hook/nri"
	"github.com/oci-secrets/oci-secrets/hook/report"
)

func nriCommand() *cli.Command {
	return &cli.Command{
		Name:  "nri",
		Usage: "be a plugin of containerd or CRI-O that adds the hook to the containers of pods",
		Description: "It runs until it is stopped, and connects again when the engine is restarted.\n" +
			"A link called 10-oci-secrets (99-oci-secrets-guard) to this program in the\n" +
			"engine's directory of plugins does without a service: the engine starts it.",
		OnUsageError:    usageError,
		HideHelpCommand: true,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "socket", Value: nri.Socket, Usage: "the engine's NRI `SOCKET`"},
			&cli.StringFlag{Name: "name", Usage: "the plugin's `NAME` (default: oci-secrets, oci-secrets-guard)"},
			&cli.StringFlag{Name: "index", Usage: "its place among the plugins, two `DIGITS` (default: 10, of the guard 99)"},
			&cli.BoolFlag{Name: "guard", Usage: "refuse containers that ask for secrets and have no hook, and add nothing"},
			&cli.StringFlag{Name: "path", Usage: "the `BINARY` that the engine runs as the hook (default: this one)"},
			&cli.StringFlag{Name: "config", Usage: "the settings `FILE` that the hook reads"},
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return report.Usage("nri takes no argument, and got %q", c.Args().First())
			}
			o := nri.Options{Guard: c.Bool("guard"), Name: "oci-secrets", Index: "10", Socket: c.String("socket")}
			if o.Guard {
				o.Name, o.Index = "oci-secrets-guard", "99"
			}
			if c.IsSet("name") {
				o.Name = c.String("name")
			}
			if c.IsSet("index") {
				o.Index = c.String("index")
			}
			return runNRI(c, o)
		},
	}
}

// runNRI is the plugin, once it is known which.
func runNRI(c *cli.Context, o nri.Options) error {
	o.Log = os.Stderr
	hook, err := hookFlags(c)
	if err != nil {
		return err
	}
	o.Path, o.Config = hook.Path, hook.Config
	return nri.Run(c.Context, o)
}
