// SPDX-License-Identifier: Apache-2.0

package install

import (
	"errors"
	"os/exec"
	"strings"
)

// notHere is the error of an engine that nobody could ask.
func notHere(engine string) error {
	return refuse("install it first; or, to prepare a machine that will have it, use --root /", "%s is not on this machine", engine)
}

// InUse refuses to uninstall while containers would lose the shim or the hook:
// the next start of each would fail, or, with podman's hook, be without secrets.
func (m *Machine) InUse(name string) error {
	if m.Run == nil {
		return nil
	}
	var users []string
	var err error
	switch name {
	case "podman":
		users, err = m.podmanUsers()
	case "docker":
		users, err = m.dockerUsers()
	case "containerd":
		users, err = m.containerdUsers()
	case "crio":
		users, err = m.crioUsers()
	}
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil // who has no client has no containers
	case err != nil:
		return refuse("or use --force", "which containers use it cannot be found out: %w", err)
	case len(users) > 0:
		return refuse("remove them first, or use --force", "containers still use it: %s", strings.Join(users, ", "))
	}
	return nil
}
