// SPDX-License-Identifier: Apache-2.0

package spec

import "testing"

// TestRedirects has what crun takes for its annotations, wherever else the
// document is wrong.
func TestRedirects(t *testing.T) {
	for _, c := range []struct {
		name, annotations string
		want              bool
	}{
		{"nothing", `{}`, false},
		{"no object", `[]`, false},
		{"a file", `{"run.oci.hooks.stderr": "/x"}`, true},
		{"a file for standard output", `{"run.oci.hooks.stdout": "/x"}`, true},
		{"no name", `{"run.oci.hooks.stdout": ""}`, true},
		{"no string", `{"run.oci.hooks.stderr": 5}`, true},
		{"standard error", `{"run.oci.hooks.stderr": "\/dev\/std\u0065rr"}`, false},
		{"standard error, another way", `{"run.oci.hooks.stderr": "/dev/./stderr"}`, true},
		{"the first of two", `{"run.oci.hooks.stderr": "/x", "run.oci.hooks.stderr": "/dev/stderr"}`, true},
		{"the second of two", `{"run.oci.hooks.stderr": "/dev/stderr", "run.oci.hooks.stderr": "/x"}`, true},
		{"a key with a NUL, where crun ends it", `{"run.oci.hooks.stderr\u0000.x": "/x"}`, true},
		{"an escaped key", `{"run.oci.hooks.std\u0065rr": "/x"}`, true},
		{"another key", `{"run.oci.hooks.stderr2": "/x"}`, false},
		{"beside what is wrong", `{"secrets.oci/from": 5, "secrets.oci/from": [], "run.oci.hooks.stderr": "/x"}`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc, err := ParseDoc([]byte(`{"id": 5, "annotations": ` + c.annotations + `}`))
			if err != nil {
				t.Fatal(err)
			}
			if got := doc.Redirects(); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
