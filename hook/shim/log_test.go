// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"os"
	"strings"
	"testing"

	"github.com/oci-secrets/oci-secrets/hook/shim/argv"
)

// TestLogOfCrun has what crun takes for a log, of which only one is a file.
func TestLogOfCrun(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, log := range []string{"syslog:x", "journald:x", "file:a", "b"} {
		s := &shim{Line: argv.Parse([]string{"--log", log, "create", "c"}), real: "/usr/bin/crun"}
		s.log("text")
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != "a b" {
		t.Errorf("wrote %q", got)
	}
}
