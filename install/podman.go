// SPDX-License-Identifier: Apache-2.0

package install

import specs "github.com/opencontainers/runtime-spec/specs-go"

// hooksD is a file of podman's hooks directories (oci-hooks(5)).
type hooksD struct {
	Version string     `json:"version"`
	Hook    specs.Hook `json:"hook"`
	When    struct {
		Annotations map[string]string `json:"annotations"`
	} `json:"when"`
	Stages []string `json:"stages"`
}

// hookSeconds is podman's limit for one run of the hook. It must be above the
// deadline of the settings and the time to attach; the hook ends by itself.
const hookSeconds = 60

// Podman gives the file for a hooks directory that delivers in flight to every
// container with one of our annotations.
func (h Hook) Podman() ([]byte, error) {
	return marshal(h.hooksD("hook", "createRuntime", "poststop"))
}

// PodmanPrecreate gives the file that filters config.json instead. Such a file
// belongs in a directory that only podman reads: CRI-O and buildah refuse the
// stage.
func (h Hook) PodmanPrecreate() ([]byte, error) {
	return marshal(h.hooksD("precreate", "precreate"))
}

func (h Hook) hooksD(command string, stages ...string) hooksD {
	seconds := hookSeconds
	d := hooksD{
		Version: "1.0.0",
		Hook:    specs.Hook{Path: h.Path, Args: h.args(command), Timeout: &seconds},
		Stages:  stages,
	}
	// Both are unanchored regular expressions. A key that is ours but for the
	// case of its letters must reach the hook, which refuses it.
	d.When.Annotations = map[string]string{`(?i)^secrets\.oci/`: ".*"}
	return d
}
