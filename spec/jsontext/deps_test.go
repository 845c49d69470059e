// SPDX-License-Identifier: Apache-2.0

package jsontext

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestImports keeps the package among those that are initialised first.
func TestImports(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	late := []string{"bytes", "fmt", "os", "reflect", "strings", "time", "unicode"}
	for pkg := range strings.FieldsSeq(string(out)) {
		if slices.Contains(late, pkg) {
			t.Errorf("imports %s, which is initialised later", pkg)
		}
	}
}
