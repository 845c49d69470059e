// SPDX-License-Identifier: Apache-2.0

package resolver_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestImports keeps the core free of any particular source and of the command
// line: a container that asks for a file must not pay for Vault.
func TestImports(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	const module = "github.com/oci-secrets/oci-secrets/"
	for pkg := range strings.FieldsSeq(string(out)) {
		first, _, _ := strings.Cut(pkg, "/")
		ours := pkg == module+"resolver" || strings.HasPrefix(pkg, module+"spec")
		if strings.Contains(first, ".") && !ours {
			t.Errorf("imports %s", pkg)
		}
		if slices.Contains([]string{"net", "net/http", "crypto/tls", "os/exec"}, pkg) {
			t.Errorf("imports %s, which costs at start", pkg)
		}
	}
}
