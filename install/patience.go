// SPDX-License-Identifier: Apache-2.0

package install

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"github.com/oci-secrets/oci-secrets/spec/limit"
)

// kubelet is how long a kubelet waits for the start of a container, unless its
// runtimeRequestTimeout says otherwise. It then tries again.
const kubelet = 2 * time.Minute

// patience is how long the engine waits for a container's start. docker does not
// limit it (moby, daemon/start.go, NewTask) and podman waits for 240 seconds (podman,
// libpod/define, ContainerCreateTimeout); so it is the hook's timeout there, which
// for podman is the installed one: another release may have written it.
func (m *Machine) patience(engine string) time.Duration {
	switch engine {
	case "containerd", "crio":
		return kubelet
	case "podman":
		var d hooksD
		text, err := m.read(filepath.Join(m.hooksDir(), "oci-secrets.json"))
		if err == nil && json.Unmarshal(text, &d) == nil && d.Hook.Timeout != nil {
			return time.Duration(*d.Hook.Timeout) * time.Second
		}
	}
	return limit.Hook
}

// TooLong says that an engine does not wait as long as the settings' deadline; ""
// where it does.
func (m *Machine) TooLong(engine string, deadline time.Duration) string {
	patience := m.patience(engine)
	if deadline+limit.Overtime <= patience {
		return ""
	}
	remedy := "install the hook anew"
	if patience == kubelet {
		remedy = "raise runtimeRequestTimeout of the kubelet"
	}
	return fmt.Sprintf("the settings have a deadline of %v, and %s gives a start up after %v: set it to %v at most, or %s",
		deadline, engine, patience, patience-limit.Overtime, remedy)
}
