// SPDX-License-Identifier: Apache-2.0

// Package containerd tests both ways into containerd, as a kubelet uses it (CRI)
// and by hand (ctr): the NRI plugin, and the runtime shim as the program of a
// runtime.
//
// Each test has a containerd of its own, in mount and pid namespaces of its own
// in which /run and /dev/shm are empty: containerd and its shims share places
// there with every other containerd of a host. Everything that the engine could
// write to can be searched, and with the namespaces' first process all of it
// ends, however the test run ends. Pods use the host's network, so that no CNI
// plugin is needed.
package containerd

import (
	"os"
	"testing"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// base holds all that the tests write.
var base string

func TestMain(m *testing.M) {
	os.Exit(rig.RunEngine(m, "oci-secrets-ctd-", &base))
}
