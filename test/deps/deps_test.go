// SPDX-License-Identifier: Apache-2.0

// Package deps holds the packages that every start runs through to what they
// may import: an import is initialised whether it is used or not, and the order
// of initialisation follows from the imports (see hook/pass).
package deps

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/oci-secrets/oci-secrets/"

// first are the standard library's packages that are initialised before those
// that most others wait for: os, reflect, time, unicode.
var first = strings.Fields("cmp errors iter math math/bits runtime slices strconv sync sync/atomic syscall " +
	"unicode/utf16 unicode/utf8 unsafe")

// heavy are those that cost at start, or open a way out.
var heavy = []string{"crypto", "crypto/tls", "encoding/json", "flag", "log", "net", "net/http", "os/exec", "regexp", "text/template"}

func TestImports(t *testing.T) {
	tests := map[string]struct {
		ours    []string          // packages of the module that may be imported
		allowed func(string) bool // of the standard library
	}{
		// They take over before the rest is initialised.
		"hook/pass":            {[]string{"resolver/memory/place", "hook/shim/argv", "resolver/config/runtimeline", "spec/jsontext"}, func(p string) bool { return slices.Contains(first, p) }},
		"hook/inflight/tracer": {[]string{"hook/printable", "hook/syslog"}, func(p string) bool { return slices.Contains(first, p) }},
		// The core knows no particular source, and no command line.
		"spec":     {[]string{"spec/fault", "spec/jsontext", "spec/limit"}, func(p string) bool { return !slices.Contains(heavy, p) }},
		"resolver": {[]string{"spec", "spec/fault", "spec/jsontext", "spec/limit"}, func(p string) bool { return !slices.Contains(heavy, p) }},
	}
	for pkg, tt := range tests {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", module+pkg).Output()
		if err != nil {
			t.Fatal(err)
		}
		deps := strings.Fields(string(out))
		if !slices.Contains(deps, module+pkg) {
			t.Fatalf("%s: the list of imports is not one: %q", pkg, deps)
		}
		for _, p := range deps {
			name, isOurs := strings.CutPrefix(p, module)
			domain, _, _ := strings.Cut(p, "/")
			switch {
			case isOurs && (name == pkg || slices.Contains(tt.ours, name)):
			case !isOurs && strings.HasPrefix(p, "internal/"):
			case !isOurs && !strings.Contains(domain, ".") && tt.allowed(p):
			default:
				t.Errorf("%s imports %s", pkg, p)
			}
		}
	}
}
