// SPDX-License-Identifier: Apache-2.0

package install

import (
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// asking are keys of each form by which a container may ask.
var asking = []string{"secrets.oci/from", "secrets.oci/from.web", "web.secrets.oci/from", "secrets.oci/dict"}

// Unseen returns an error for each key that a file of ours keeps from the hook or
// the shim, as one of an earlier release does that did not know the key. A container
// that asks by it starts bare. Files that are not there keep nothing back.
func (m *Machine) Unseen(engine string) error {
	var errs fault.List
	check := func(file string, passes func(key string) bool) {
		for _, key := range asking {
			if !passes(key) {
				errs.Add(refuse("run `oci-secrets install "+engine+"` again",
					"%s is of another release, and does not let %s through: a container that asks by it starts bare", m.Root+file, key))
			}
		}
	}
	switch engine {
	case "podman":
		for _, dir := range slices.Compact([]string{m.hooksDir(), systemHooks}) {
			file := filepath.Join(dir, "oci-secrets.json")
			var d hooksD
			if text, err := m.read(file); err != nil || json.Unmarshal(text, &d) != nil {
				continue
			}
			check(file, func(key string) bool {
				for pattern := range d.When.Annotations {
					if ok, _ := regexp.MatchString(pattern, key); !ok {
						return false
					}
				}
				return true
			})
		}
	case "containerd":
		const file = "/etc/containerd/config.toml"
		text, err := m.read(file)
		if err != nil {
			break
		}
		config, err := decode(text)
		if err != nil {
			break
		}
		for _, plugin := range []string{criPlugins[2], criPlugins[3]} {
			handler := table(config, "plugins", plugin, "containerd", "runtimes", runtimeName)
			if handler == nil {
				continue
			}
			check(file, func(key string) bool {
				for _, name := range annotationLists {
					globs, _ := handler[name].([]any)
					if !slices.ContainsFunc(globs, func(glob any) bool {
						ok, _ := path.Match(fmt.Sprint(glob), key)
						return ok
					}) {
						return false
					}
				}
				return true
			})
		}
	}
	return errs.Err()
}
