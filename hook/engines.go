// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/urfave/cli/v2"
)

// told is an engine that can be told about the hook.
type told struct {
	name, usage string
	rootless    bool // a user can have one
	setDefault  bool // it has a default runtime
	example     string
}

var engines = []told{
	{
		"podman", "a drop-in of containers.conf, and a file in a hooks directory of our own", true, true,
		"oci-secrets install podman --dry-run      show what would change\n" +
			"   oci-secrets install podman                for root, and for every user's podman\n" +
			"   oci-secrets install podman --rootless     for your own",
	},
	{
		"docker", "a runtime in daemon.json: docker run --runtime oci-secrets --annotation ...", true, true,
		"oci-secrets install docker --reload\n" +
			"   oci-secrets install docker --set-default --reload      no --runtime is needed then",
	},
	{
		"containerd", "a runtime handler in config.toml, for a RuntimeClass", false, true,
		"oci-secrets install containerd --reload\n" +
			"   oci-secrets install containerd --root /mnt/image       in the tree of an image",
	},
	{"crio", "a runtime handler in a drop-in, for a RuntimeClass", false, true, "oci-secrets install crio --reload"},
	{"bundle", "the hook in a bundle's config.json, for runc or crun by hand", false, false, "oci-secrets install bundle /run/containers/web"},
}

// examples are those of a command.
func (e told) examples(command string) string {
	switch {
	case command == "install":
		return e.example
	case e.name == "bundle":
		return "oci-secrets uninstall bundle /run/containers/web"
	}
	return "oci-secrets uninstall " + e.name + " --dry-run      show what would change\n" +
		"   oci-secrets uninstall " + e.name
}

func engineFlags(command string, e told) []cli.Flag {
	flags := []cli.Flag{&cli.BoolFlag{Name: "dry-run", Usage: "show the changes as a diff, and make none"}}
	if e.rootless {
		flags = append(flags, &cli.BoolFlag{Name: "rootless", Usage: "your own " + e.name + ", and not the system's"})
	}
	if e.name != "bundle" {
		flags = append(flags,
			&cli.StringFlag{Name: "root", Usage: "work in the tree below `DIR`, and ask no engine"})
	}
	if e.name != "bundle" && e.name != "podman" && (e.name != "docker" || command == "install") {
		flags = append(flags, &cli.BoolFlag{Name: "reload", Usage: "make the engine read its configuration"})
	}
	if e.name == "containerd" {
		flags = append(flags, &cli.StringFlag{Name: "file", Usage: "containerd's configuration `PATH` (default: /etc/containerd/config.toml)"})
	}
	if command == "uninstall" {
		if e.name == "bundle" {
			return flags
		}
		return append(flags, &cli.BoolFlag{Name: "force", Usage: "also while containers still use it"})
	}
	flags = append(flags, &cli.StringFlag{Name: "path", Usage: "the `BINARY` that the engine runs (default: this one)"})
	if e.setDefault {
		flags = append(flags, &cli.BoolFlag{Name: "set-default", Usage: "use the shim for every container that names no runtime"})
	}
	switch e.name {
	case "podman", "bundle":
		flags = append(flags, &cli.StringFlag{Name: "config", Usage: "the settings `FILE` that the hook reads"})
	case "containerd":
		flags = append(flags, &cli.BoolFlag{Name: "nri", Usage: "let containerd start the NRI plugin as well"})
	}
	return flags
}
