// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestImports keeps the process small that waits beside every created
// container: what this package imports is initialised before it takes over.
func TestImports(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	allowed := strings.Fields("cmp errors iter math math/bits runtime slices strconv sync sync/atomic syscall unicode/utf8 unsafe " +
		"github.com/oci-secrets/oci-secrets/hook/syslog github.com/oci-secrets/oci-secrets/hook/inflight/tracer")
	for pkg := range strings.FieldsSeq(string(out)) {
		if !strings.HasPrefix(pkg, "internal/") && !slices.Contains(allowed, pkg) {
			t.Errorf("imports %s", pkg)
		}
	}
}
