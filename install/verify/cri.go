// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
)

// The scripts of a pod with one container, both called $1. A client of CRI that
// runs something in one step there is not.
const (
	criRun = `set -e
pod=$(crictl runp --runtime ` + runtimeName + ` "$2/pod.json")
container=$(crictl create "$pod" "$2/container.json" "$2/pod.json")
crictl start "$container" >&2
exec crictl logs --follow "$container"`
	criContainer = `$(crictl ps --all --quiet --pod "$(crictl pods --quiet --name "$1")")`
	// A host that is busy does not end a container within crictl's two seconds.
	criRemove = `crictl --timeout 60s rmp --force $(crictl pods --quiet --name "$1")`
)

// criWay starts a pod of the handler through CRI, as the kubelet does. Files are
// written below dir.
func criWay(dir, image string) way {
	sh := func(script string) func(string, ...string) []string {
		return func(name string, args ...string) []string {
			return append([]string{"sh", "-c", script, "sh", name}, args...)
		}
	}
	one := func(script string) func(string) []string {
		return func(name string) []string { return sh(script)(name) }
	}
	return way{
		name: "crictl runp --runtime " + runtimeName, shim: true,
		fix: "oci-secrets install containerd --reload",
		run: func(name, secret string, args ...string) ([]string, error) {
			files := filepath.Join(dir, name)
			err := os.Mkdir(files, 0o700)
			for file, v := range map[string]any{
				"pod.json": map[string]any{
					"metadata":      map[string]any{"name": name, "namespace": "oci-secrets-verify", "uid": name, "attempt": 1},
					"annotations":   map[string]string{"secrets.oci/from": secret},
					"log_directory": files,
					// The host's network (2), so that none needs to be set up.
					"linux": map[string]any{"security_context": map[string]any{"namespace_options": map[string]any{"network": 2}}},
				},
				"container.json": map[string]any{
					"metadata": map[string]any{"name": "probe"},
					"image":    map[string]any{"image": image},
					"command":  args, "log_path": "log", "linux": map[string]any{},
				},
			} {
				text, marshal := json.Marshal(v)
				err = errors.Join(err, marshal, os.WriteFile(filepath.Join(files, file), text, 0o600))
			}
			return sh(criRun)(name, files), err
		},
		exec:        sh("c=" + criContainer + `; shift; exec crictl exec --sync "$c" "$@"`),
		annotations: one("crictl inspect " + criContainer),
		inspect:     one("crictl inspect " + criContainer + "; " + "crictl inspectp $(crictl pods --quiet --name \"$1\")"),
		remove:      func(name string) [][]string { return [][]string{sh(criRemove)(name)} },
	}
}
