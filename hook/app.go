// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	_ "embed"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/oci-secrets/oci-secrets/hook/fast"
	"github.com/oci-secrets/oci-secrets/hook/nri"
	"github.com/oci-secrets/oci-secrets/hook/report"
	"github.com/oci-secrets/oci-secrets/hook/shim/argv"
	"github.com/oci-secrets/oci-secrets/hook/start"
	"github.com/oci-secrets/oci-secrets/resolver/config"
	"github.com/oci-secrets/oci-secrets/spec"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

//go:embed VERSION
var version string

const description = `A container names its secrets in annotations:

   secrets.oci/from: db+stripe#API_KEY+dotenv:web?

and its process starts with them in its environment. Later ones win. If one is
missing, the container does not start.

Examples:
   runc, crun   oci-secrets hook-config runc      the hooks of a bundle
   podman       oci-secrets hook-config podman    a file for a hooks directory
   anywhere     oci-secrets explain --annotation secrets.oci/from=db

Exit codes:
    2  the command line is wrong
   10  an annotation, or a variable it leads to, is not acceptable
   11  a secret or key is in none of the places it was looked for
   12  a source said no: token, policy, file mode, broken file
   13  a source did not answer before the deadline
   14  config.json or the state cannot be read as what it must be
   15  the settings are broken
   16  the variables cannot be delivered here: stage, ptrace, virtual machine
    1  anything else`

// newApp is the command line. Errors come back to main, which prints them; but
// those of a container's start are told, and the program ended, where they are
// known (startCommand).
func newApp(stdout io.Writer) *cli.App {
	return &cli.App{
		Name:                   "oci-secrets",
		Usage:                  "start containers with the secrets they name",
		Description:            description,
		Version:                strings.TrimSpace(version),
		Writer:                 stdout,
		ErrWriter:              report.Writer{W: os.Stderr},
		EnableBashCompletion:   true,
		UseShortOptionHandling: true,
		HideHelpCommand:        true,
		// An annotation's list may have commas in it.
		DisableSliceFlagSeparator: true,
		Suggest:                   true,
		ExitErrHandler:            func(*cli.Context, error) {},
		OnUsageError:              func(_ *cli.Context, err error, _ bool) error { return misused("%w", err) },
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return misused("unknown command %q", c.Args().First())
			}
			if o, ok := nri.Launched(os.Args); ok {
				return runNRI(c, o)
			}
			return cli.ShowAppHelp(c)
		},
		Commands: []*cli.Command{
			startCommand("hook", "deliver in flight: the OCI hook, with the container's state on standard input",
				"For the stages createRuntime and prestart, and poststop.\nA runtime calls it; `oci-secrets hook-config` prints how to tell it.",
				&cli.StringFlag{Name: strings.TrimPrefix(spec.KeepFlag, "--"), Usage: "keep the variables in the state directory `DIR`, for exec through the runtime shim, until poststop"}),
			startCommand("precreate", "podman's filter: config.json on standard input, amended on standard output",
				"The values are then in config.json and in what podman keeps of it."),
			explainCommand(),
			logoutCommand(),
			installCommand(),
			uninstallCommand(),
			verifyCommand(),
			probeCommand(),
			hookConfigCommand(),
			leasesCommand(),
			nriCommand(),
			completionCommand(),
		},
	}
}

// misused is a usage error of the command line as a whole. One that is a runtime's
// comes from an engine that knows this program by another name than the shim's.
func misused(format string, args ...any) error {
	if !argv.IsCommand(argv.Parse(os.Args[1:]).Command) {
		return report.Usage(format, args...)
	}
	return fault.New(fault.Usage, "as a runtime this program is called oci-secrets-runtime, or oci-secrets-runtime-NAME for the runtime NAME: have the engine run a link by such a name",
		format, args...)
}

func usageError(_ *cli.Context, err error, _ bool) error { return report.Usage("%w", err) }

func configFlag() cli.Flag {
	return &cli.StringFlag{
		Name:  "config",
		Usage: "read the settings from `FILE` (default: $" + config.Env + ", the user's, /etc/oci-secrets/config.toml)",
	}
}

// startCommand is one of the two commands that a container's start waits for.
// Its failures also go to the system log, which those of a mistyped command
// line do not.
func startCommand(name, usage, description string, flags ...cli.Flag) *cli.Command {
	return &cli.Command{
		Name: name, Usage: usage, Description: description, OnUsageError: usageError, HideHelpCommand: true,
		Flags: append(flags, configFlag()),
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return report.Usage("%s takes no argument, and got %q", name, c.Args().First())
			}
			err := fast.Run(c.Context, newStart(c), name)
			if code := fast.Exit(err); code != 0 {
				os.Exit(code)
			}
			return nil
		},
	}
}

// newStart is a start with the settings that the command line names, also before
// the name of a command in a command.
func newStart(c *cli.Context) *start.Start {
	config := ""
	for _, at := range c.Lineage() {
		config = cmp.Or(config, at.String("config"))
	}
	return &start.Start{Config: config, Keep: c.String("keep"), OpenVault: openVault, OpenLeases: openLeases}
}
