// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/oci-secrets/oci-secrets/hook/report"
	"github.com/oci-secrets/oci-secrets/install"
	"github.com/oci-secrets/oci-secrets/resolver/config"
)

func hookConfigCommand() *cli.Command {
	return &cli.Command{
		Name:      "hook-config",
		Usage:     "print how an engine is told about the hook",
		ArgsUsage: "podman|runc",
		Description: "podman: a file for a directory of containers.conf's hooks_dir.\n" +
			"runc: the \"hooks\" member for a bundle's config.json; crun takes the same.",
		OnUsageError:    usageError,
		HideHelpCommand: true,
		BashComplete:    words("podman", "runc"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "path", Usage: "the `BINARY` that the engine runs (default: this one)"},
			&cli.StringFlag{Name: "config", Usage: "the settings `FILE` that the hook reads"},
			&cli.BoolFlag{Name: "precreate", Usage: "podman: filter config.json instead of delivering in flight"},
		},
		Action: func(c *cli.Context) error {
			out, err := hookConfig(c)
			if err != nil {
				return err
			}
			_, err = c.App.Writer.Write(out)
			return err
		},
	}
}

// hookFlags is the hook that --path and --config describe.
func hookFlags(c *cli.Context) (hook install.Hook, err error) {
	path := c.String("path")
	if path == "" {
		self, err := os.Executable()
		if err != nil {
			return install.Hook{}, report.Usage("where this program is cannot be found out: name it with --path")
		}
		path = self
	}
	for _, p := range []struct {
		to   *string
		from string
	}{{&hook.Path, path}, {&hook.Config, config.ForHook(c.String("config"))}} {
		if p.from == "" {
			continue
		}
		abs, err := filepath.Abs(p.from)
		if err != nil {
			return install.Hook{}, report.Usage("%q: give an absolute path", p.from)
		}
		*p.to = abs
	}
	return hook, nil
}

func hookConfig(c *cli.Context) ([]byte, error) {
	hook, err := hookFlags(c)
	if err != nil {
		return nil, err
	}
	if c.NArg() != 1 {
		return nil, report.Usage("hook-config takes one engine, podman or runc (flags come before it)")
	}
	engine := c.Args().First()
	switch {
	case engine == "podman" && c.Bool("precreate"):
		return hook.PodmanPrecreate()
	case engine == "podman":
		return hook.Podman()
	case engine == "runc" && c.Bool("precreate"):
		return nil, report.Usage("only podman has precreate hooks")
	case engine == "runc":
		return hook.Runc()
	}
	return nil, report.Usage("unknown engine %q: podman or runc", engine)
}
