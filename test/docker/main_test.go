// SPDX-License-Identifier: Apache-2.0

// Package docker tests the runtime shim under real dockers, as their users see
// it through the docker command line: the Docker 29 line, and 20.10, which has
// no annotations.
//
// Each test has a docker of its own: a dockerd, and the containerd that it
// starts, in mount and pid namespaces of their own in which /run and /dev/shm are
// empty. Nothing is shared with a docker of the host, everything that the
// engine could write to can be searched, and with the namespaces' first process
// all of it ends, however the test run ends. Containers use the host's network,
// so that no daemon touches its interfaces and rules.
package docker

import (
	"os"
	"regexp"
	"sync"
	"testing"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// base holds all that the tests write.
var base string

var archived sync.Once

// What differs between two runs: the id of a container, the pids that docker top
// shows, and the time that was waited.
var (
	pids      = regexp.MustCompile(`(?m)^ *[0-9]+ +`)
	ids       = regexp.MustCompile(`[0-9a-f]{64}`)
	durations = regexp.MustCompile(`after [0-9.]+m?s`)
)

func TestMain(m *testing.M) {
	os.Exit(rig.RunEngine(m, "oci-secrets-docker-", &base))
}
