// SPDX-License-Identifier: Apache-2.0

// Package install knows how each engine is told about the hook.
package install

import (
	"encoding/json"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-secrets/oci-secrets/spec"
)

// Hook is the command line that an engine is to run.
type Hook struct {
	Path   string // absolute, of the oci-secrets binary
	Config string // passed on as --config; "" for the usual places
}

// args is the command line of the given command, which takes what the hook does;
// args[0] is the program.
func (h Hook) args(command string) []string {
	args := spec.HookArgs(h.Config, "")
	args[1] = command
	return args
}

// marshal is the form of every file that is printed for a person to install.
func marshal(v any) ([]byte, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	return append(b, '\n'), err
}

// Runc gives the "hooks" member for a bundle's config.json, with its braces,
// for runc, crun and any other runtime of the runtime-spec. prestart is
// deprecated in the specification and understood by every runtime.
func (h Hook) Runc() ([]byte, error) {
	seconds := spec.HookTimeout
	hook := specs.Hook{Path: h.Path, Args: h.args("hook"), Timeout: &seconds}
	return marshal(map[string]any{"hooks": map[string]any{
		"prestart": []specs.Hook{hook},
		"poststop": []specs.Hook{hook},
	}})
}
