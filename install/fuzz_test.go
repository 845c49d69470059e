// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"testing"
)

// FuzzDaemon edits any daemon.json. What comes out is not edited again, and
// becomes what it was, byte for byte.
func FuzzDaemon(f *testing.F) {
	for _, s := range []string{
		"", " ", "{}", "{\n}\n", `{"a": 1e400}`, `{"runtimes": {}}`, `{"runtimes": {"a": {"path": "/a"}}, "default-runtime": "a"}`,
		`{"runtimes": {"oci-secrets": {"path": "/b", "runtimeArgs": []}}}`, `{"default-runtime" : "runc" , "z":[]}`, `{"default-runtiMe": "a"}`, `[]`, `{"runtimes": null}`,
	} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, text []byte, byDefault bool) {
		o := Options{Hook: Hook{Path: "/b/oci-secrets"}, Default: byDefault}
		edits(t, text, func(text []byte) ([]byte, error) { return withRuntime(text, o) }, withoutRuntime)
	})
}

// FuzzConfig does the same with a config.toml of containerd.
func FuzzConfig(f *testing.F) {
	for _, s := range []string{
		"", "version = 2\n", "version = 3", "version = 1\n", "# c\n\nversion = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]\n",
		"version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd]\n  default_runtime_name = \"crun\" # c\n[x]\ndefault_runtime_name=1",
		"version = 2\nplugins = {}\n", "version = 2\n[a]\nb = '''\n[plugins]\n'''\n",
	} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, text []byte, byDefault bool) {
		with := func(text []byte) ([]byte, error) {
			c := containerdConfig{shim: "/b/oci-secrets-runtime", byDefault: byDefault}
			return c.with(text)
		}
		edits(t, text, with, withoutHandler)
	})
}

func edits(t *testing.T, text []byte, with func([]byte) ([]byte, error), without func(text, original []byte) ([]byte, error)) {
	if bare, err := without(text, nil); err != nil || !bytes.Equal(bare, text) {
		return // it has something of ours, or is none: that is no original
	}
	edited, err := with(text)
	if err != nil {
		return
	}
	if again, err := with(edited); err != nil || !bytes.Equal(again, edited) {
		t.Errorf("%q\nis edited to\n%q\nand that to\n%q, %v", text, edited, again, err)
	}
	if back, err := without(edited, text); err != nil || !bytes.Equal(back, text) {
		t.Errorf("%q\nis edited to\n%q\nand comes back as\n%q, %v", text, edited, back, err)
	}
}
