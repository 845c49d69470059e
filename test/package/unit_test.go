// SPDX-License-Identifier: Apache-2.0

package package_test

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

var units = []string{"oci-secrets-nri.service", "oci-secrets-guard.service"}

// keeper is the one unit that has to reach more than an engine's socket.
const keeper = "oci-secrets-leases.service"

// TestKeeperUnit has the keeper of leases confined as the plugins are, but for
// what it is there for.
func TestKeeperUnit(t *testing.T) {
	path := filepath.Join(rig.Root(t), "install/systemd", keeper)
	text := readFile(t, path)
	_, confined, _ := strings.Cut(readFile(t, filepath.Join(rig.Root(t), "install/systemd", units[0])), "\nNoNewPrivileges=")
	confined, _, _ = strings.Cut(confined, "\n\n")
	holes := []string{"PrivateNetwork", "RestrictAddressFamilies", "IPAddressDeny", "InaccessiblePaths", "ProtectProc", "ProcSubset", "PrivateTmp", "ProtectHome"}
	for _, line := range strings.Split("NoNewPrivileges="+confined, "\n") {
		key, _, _ := strings.Cut(line, "=")
		line = strings.TrimSuffix(line, " @resources")
		if !slices.Contains(holes, key) && !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("%s lacks %s", keeper, line)
		}
	}
	// What it cannot see it takes for gone: bundles of containers that run.
	for _, line := range []string{"PrivateTmp=", "ProtectHome=yes", "ProtectHome=tmpfs", "ProtectProc=", "InaccessiblePaths="} {
		if strings.Contains(text, "\n"+line) {
			t.Errorf("%s has %s", keeper, line)
		}
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("the rest of this test needs systemd-analyze, of Debian's systemd")
	}
	r := rig.Run(t, "systemd-analyze", "security", "--no-pager", "--offline=yes", "--threshold=24", path)
	if r.Code != 0 {
		t.Errorf("%s is more exposed than 2.4: %s%s", keeper, r.Stdout, r.Stderr)
	}
}

// TestUnits has both confined alike, and as narrowly as systemd knows how to say.
func TestUnits(t *testing.T) {
	analyze := "systemd-analyze"
	if _, err := exec.LookPath(analyze); err != nil {
		analyze = ""
	}
	var confined []string
	for _, unit := range units {
		path := filepath.Join(rig.Root(t), "install/systemd", unit)
		_, rest, ok := strings.Cut(readFile(t, path), "\nCapabilityBoundingSet=\n")
		if !ok {
			t.Fatalf("%s keeps capabilities", unit)
		}
		confined = append(confined, rest)
		if analyze == "" {
			continue
		}
		r := rig.Run(t, analyze, "security", "--no-pager", "--offline=yes", "--threshold=10", path)
		if r.Code != 0 {
			t.Errorf("%s is more exposed than 1.0: %s%s", unit, r.Stdout, r.Stderr)
		}
	}
	if diff := cmp.Diff(confined[0], confined[1]); diff != "" {
		t.Error(diff)
	}
	if analyze == "" {
		t.Skip("the rest of this test needs systemd-analyze, of Debian's systemd")
	}
}
