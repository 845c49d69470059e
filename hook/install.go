// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/oci-secrets/oci-secrets/hook/report"
	"github.com/oci-secrets/oci-secrets/install"
	"github.com/oci-secrets/oci-secrets/resolver/config"
	"github.com/oci-secrets/oci-secrets/resolver/memory"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

func installCommand() *cli.Command {
	return enginesCommand("install", "tell an engine about the hook and the runtime shim",
		"Second runs change nothing. What is edited is kept beside the file, as *.before-oci-secrets.\n"+
			"Examples:\n   oci-secrets install podman --dry-run\n   oci-secrets install docker --reload", runInstall)
}

func uninstallCommand() *cli.Command {
	return enginesCommand("uninstall", "take out of an engine's configuration what install put there",
		"Files that nobody edited since are then as they were, byte for byte.\n"+
			"Examples:\n   oci-secrets uninstall podman --dry-run\n   oci-secrets uninstall containerd --reload", runUninstall)
}

// enginesCommand is a command with one sub-command for each engine, so that flags
// can follow the engine's name.
func enginesCommand(name, usage, description string, run func(*cli.Context, told) error) *cli.Command {
	names := install.Engines()
	c := &cli.Command{
		Name: name, Usage: usage, Description: description, ArgsUsage: strings.Join(names, "|"), HideHelpCommand: true,
		OnUsageError: func(_ *cli.Context, err error, _ bool) error {
			return fault.New(fault.Usage, "flags follow the engine: oci-secrets "+name+" podman --dry-run", "%w", err)
		},
		Action: func(c *cli.Context) error {
			hint := "the engines are " + strings.Join(names, ", ")
			if !c.Args().Present() {
				return fault.New(fault.Usage, hint, "%s takes an engine", name)
			}
			return fault.New(fault.Usage, hint, "unknown engine %q", c.Args().First())
		},
	}
	for _, e := range engines {
		sub := &cli.Command{
			Name: e.name, Usage: e.usage, HideHelpCommand: true, OnUsageError: usageError, Flags: engineFlags(name, e),
			Description: "Examples:\n   " + e.examples(name),
			Action:      func(c *cli.Context) error { return run(c, e) },
		}
		if e.name == "bundle" {
			sub.ArgsUsage = "DIR"
		}
		c.Subcommands = append(c.Subcommands, sub)
	}
	return c
}

func runInstall(c *cli.Context, e told) error {
	m, o, err := target(c, e)
	if err != nil {
		return err
	}
	if o.Hook, err = hookFlags(c); err != nil {
		return err
	}
	if _, named, _ := config.Find(c.String("config")); e.name == "podman" && !m.Rootless() && !named {
		o.Hook.Config = "" // it is for the podman of every user, who may have settings of his own
	}
	p, err := m.Install(e.name, o)
	if err != nil {
		return err
	}
	if err := carryOut(c, p); err != nil {
		return err
	}
	return noteDeadline(c, m, e.name, o.Hook.Config)
}

// noteDeadline says where the settings have a deadline for which an engine does not
// wait. Settings that cannot be read have none: they may come later.
func noteDeadline(c *cli.Context, m *install.Machine, engine, path string) error {
	if m.Root != "" {
		path = filepath.Join(m.Root, cmp.Or(path, "/etc/oci-secrets/config.toml"))
	}
	settings, err := config.Load(path)
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	note := m.TooLong(engine, settings.Deadline.Duration)
	if note != "" {
		_, err = fmt.Fprintln(c.App.Writer, "note: "+note)
	}
	return err
}

func runUninstall(c *cli.Context, e told) error {
	m, o, err := target(c, e)
	if err != nil {
		return err
	}
	if !c.Bool("force") && !c.Bool("dry-run") {
		if err := m.InUse(e.name); err != nil {
			return err
		}
	}
	p, err := m.Uninstall(e.name, o)
	if err != nil {
		return err
	}
	if err := carryOut(c, p); err != nil || c.Bool("dry-run") || m.Run == nil {
		return err
	}
	if settings, err := config.Load(c.String("config")); err == nil {
		if err := forget(c, settings.StateDir); err != nil {
			return err
		}
		_ = memory.Release(settings.StateDir) // another engine's container may have something there
	}
	return nil
}

// target is the machine that a command is about.
func target(c *cli.Context, e told) (*install.Machine, install.Options, error) {
	o := install.Options{Default: c.Bool("set-default"), NRI: c.Bool("nri"), File: c.String("file")}
	m := &install.Machine{Run: ask}
	switch args := c.Args(); {
	case e.name == "bundle":
		dir, err := filepath.Abs(args.First())
		if err != nil || args.Len() != 1 || args.First() == "" {
			return nil, o, fault.New(fault.Usage, "the flags come before it", "bundle takes the bundle's directory")
		}
		o.Bundle, m.Run = dir, nil
		return m, o, nil
	case args.Present():
		return nil, o, report.Usage("%s takes no argument, and got %q", e.name, args.First())
	}
	root := c.String("root")
	if o.File != "" && !filepath.IsAbs(o.File) {
		return nil, o, fault.New(fault.Usage, "with --root it is the path in that tree", "--file %q: give an absolute path", o.File)
	}
	switch {
	case c.Bool("rootless") && root != "":
		return nil, o, report.Usage("--rootless is for your own %s here, and --root for another tree", e.name)
	case root != "":
		abs, err := filepath.Abs(root)
		if err != nil {
			return nil, o, report.Usage("%q: give an absolute path", root)
		}
		if m.Run = nil; abs != "/" {
			m.Root = abs
		}
		if c.Bool("reload") {
			return nil, o, report.Usage("--reload is for the engine of this machine, and --root for another tree")
		}
	case c.Bool("rootless"):
		if os.Geteuid() == 0 {
			return nil, o, report.Usage("--rootless is for the user whose %s it is, and you are root", e.name)
		}
		var err error
		if m.Config, m.State, err = userDirectories(); err != nil {
			return nil, o, err
		}
	case os.Geteuid() != 0 && !c.Bool("dry-run"):
		hint := "sudo oci-secrets ..."
		if e.rootless {
			hint = "use --rootless for your own " + e.name + ", or sudo"
		}
		return nil, o, fault.New(fault.Usage, hint, "only root can change the system's %s", e.name)
	}
	return m, o, nil
}

// userDirectories are where a user's own configuration and state are.
func userDirectories() (config, state string, err error) {
	home := os.Getenv("HOME")
	if config, state = os.Getenv("XDG_CONFIG_HOME"), os.Getenv("XDG_STATE_HOME"); config == "" {
		config = filepath.Join(home, ".config")
	}
	if state == "" {
		state = filepath.Join(home, ".local/state")
	}
	if !filepath.IsAbs(config) || !filepath.IsAbs(state) {
		return "", "", report.Usage("HOME is not set, so your configuration cannot be found")
	}
	return config, state, nil
}

// ask runs an engine's client.
func ask(argv ...string) (string, error) {
	out, err := exec.Command(argv[0], argv[1:]...).Output() //nolint:gosec // package install's own words
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%s: %w: %s", strings.Join(argv[:2], " "), err, strings.TrimSpace(string(exit.Stderr)))
	}
	return string(out), err
}

// carryOut prints a plan, or makes its changes and says what is to be done next.
func carryOut(c *cli.Context, p *install.Plan) error {
	w := c.App.Writer
	if c.Bool("dry-run") {
		if err := p.Print(w); err != nil {
			return err
		}
	} else if err := p.Apply(); err != nil {
		return err
	}
	var lines []string
	if len(p.Changes) == 0 {
		lines = append(lines, "nothing to change: "+p.Engine+" is as it should be")
	} else if !c.Bool("dry-run") {
		for _, change := range p.Changes {
			lines = append(lines, change.String())
		}
	}
	for _, note := range p.Notes {
		lines = append(lines, "note: "+note)
	}
	switch next := p.Next(); {
	case next == "" || c.String("root") != "":
	case c.Bool("reload") && !c.Bool("dry-run"):
		if err := p.Reload(); err != nil {
			return err
		}
		lines = append(lines, "reloaded: "+next)
	case len(p.Changes) > 0:
		lines = append(lines, "next: "+next)
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}
