// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/oci-secrets/oci-secrets/install"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// runtimeName is what engines call the shim.
const runtimeName = "oci-secrets"

// openPodman verifies podman with its default runtime, and with the shim where
// that is registered and not the default.
func openPodman(ctx context.Context, image string) (*engine, error) {
	out, err := output(ctx, []string{"podman", "info", "--format", "{{.Host.OCIRuntime.Name}}"})
	if err != nil {
		return nil, fault.New(failed, "is it installed, and does `podman info` work?", "podman: %w", err)
	}
	fix := "oci-secrets install podman"
	if os.Geteuid() != 0 {
		fix += " --rootless"
	}
	byDefault := strings.TrimSpace(out) == runtimeName
	m := &install.Machine{}
	if os.Geteuid() != 0 {
		if m.Config, err = os.UserConfigDir(); err != nil {
			return nil, fault.New(failed, "", "your configuration cannot be found: %w", err)
		}
	}
	e := &engine{
		problem: errors.Join(m.Quadlets(), m.Unseen("podman")),

		ways:   []way{podmanWay("podman", byDefault, fix, image)},
		load:   [][]string{{"podman", "load", "--quiet"}},
		unload: [][]string{{"podman", "rmi", "--force", image}},
	}
	if byDefault {
		return e, nil
	}
	if _, err := output(ctx, []string{"podman", "--runtime", runtimeName, "info"}); err == nil {
		e.ways = append(e.ways, podmanWay("podman --runtime "+runtimeName, true, fix, image))
	} else {
		e.notes = append(e.notes, "podman does not know the runtime "+runtimeName+", which exec needs: "+fix)
	}
	return e, nil
}

func podmanWay(name string, shim bool, fix, image string) way {
	podman := strings.Fields(name)
	command := func(args ...string) []string { return append(podman[:len(podman):len(podman)], args...) }
	return way{
		name: name, shim: shim, fix: fix + "; and $CONTAINERS_CONF, where it is set, hides what that writes",
		run: func(name, secret string, args ...string) ([]string, error) {
			return append(command("run", "--rm", "--name", name, "--pull", "never", "--network", "none",
				"--annotation", "secrets.oci/from="+secret, image), args...), nil
		},
		exec: func(name string, args ...string) []string { return append(command("exec", name), args...) },
		annotations: func(name string) []string {
			return command("inspect", "--format", "{{json .Config.Annotations}}", name)
		},
		inspect: func(name string) []string { return command("inspect", name) },
		remove: func(name string) [][]string {
			return [][]string{command("rm", "--force", "--ignore", "--time", "0", name)}
		},
	}
}
