// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestImports keeps the package cheap to start: every container start on a host
// runs through it, and most ask for nothing.
func TestImports(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	heavy := []string{"net", "regexp", "encoding/json", "text/template", "crypto", "flag", "log", "os/exec"}
	for pkg := range strings.FieldsSeq(string(out)) {
		first, _, _ := strings.Cut(pkg, "/")
		ours := strings.HasPrefix(pkg, "github.com/oci-secrets/oci-secrets/spec")
		if strings.Contains(first, ".") && !ours {
			t.Errorf("imports %s, from outside the standard library", pkg)
		}
		if slices.Contains(heavy, pkg) {
			t.Errorf("imports %s, which costs at start", pkg)
		}
	}
}
