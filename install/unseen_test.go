// SPDX-License-Identifier: Apache-2.0

package install_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// TestUnseen has what earlier releases installed, and what this one does.
func TestUnseen(t *testing.T) {
	const (
		hook    = `{"version":"1.0.0","hook":{"path":"/b/oci-secrets"},"when":{"annotations":{"PATTERN":".*"}},"stages":["prestart"]}`
		handler = "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.oci-secrets]\n"
		globs   = `_annotations = ["secrets.oci/*"]` + "\n"
		both    = `_annotations = ["secrets.oci/*", "*.secrets.oci/*"]` + "\n"

		system, users, config = "/etc/oci-secrets/hooks.d/oci-secrets.json", "/home/user/.config/containers/oci-secrets/hooks.d/oci-secrets.json", "/etc/containerd/config.toml"
	)
	earlier := strings.Replace(hook, "PATTERN", `(?i)^secrets\\.oci/`, 1)
	for name, tt := range map[string]struct {
		engine   string
		rootless bool
		files    map[string]string
		unseen   []string // the files that keep a key back
	}{
		"podman, earlier":              {engine: "podman", files: map[string]string{system: earlier}, unseen: []string{system}},
		"podman, a user's, earlier":    {engine: "podman", rootless: true, files: map[string]string{users: earlier}, unseen: []string{users}},
		"podman, of all users":         {engine: "podman", rootless: true, files: map[string]string{system: earlier}, unseen: []string{system}},
		"podman, every container":      {engine: "podman", files: map[string]string{system: strings.Replace(hook, "PATTERN", ".*", 1)}},
		"containerd, earlier":          {engine: "containerd", files: map[string]string{config: handler + "pod" + globs + "container" + globs}, unseen: []string{config}},
		"containerd, of containers":    {engine: "containerd", files: map[string]string{config: handler + "pod" + both + "container" + globs}, unseen: []string{config}},
		"containerd, version 2":        {engine: "containerd", files: map[string]string{config: strings.NewReplacer("3", "2", "cri.v1.runtime", "grpc.v1.cri").Replace(handler) + "pod" + globs}, unseen: []string{config}},
		"containerd, this release":     {engine: "containerd", files: map[string]string{config: handler + "pod" + both + "container" + both}},
		"containerd without a handler": {engine: "containerd", files: map[string]string{config: "version = 3\n"}},
		"podman, nothing there":        {engine: "podman"},
		"containerd, nothing there":    {engine: "containerd"},
		"another engine":               {engine: "docker", files: map[string]string{system: earlier}},
	} {
		t.Run(name, func(t *testing.T) {
			m := machine(t, tt.files, nil, tt.rootless)
			err := m.Unseen(tt.engine)
			var got []string
			if err != nil {
				for line := range strings.Lines(err.Error()) {
					file, rest, _ := strings.Cut(strings.TrimPrefix(line, m.Root), " ")
					if strings.Contains(rest, " does not let web.secrets.oci/from through: ") {
						got = append(got, file)
					}
				}
				if hints := fault.Hints(err); len(hints) != 1 || hints[0] != "run `oci-secrets install "+tt.engine+"` again" {
					t.Errorf("hints %q", hints)
				}
			}
			if diff := cmp.Diff(tt.unseen, got); diff != "" {
				t.Errorf("%v (-want +got)\n%s", err, diff)
			}
		})
	}
	for _, engine := range []string{"podman", "containerd"} {
		m := machine(t, nil, nil, false)
		p, err := m.Install(engine, options)
		if err == nil {
			err = p.Apply()
		}
		if err == nil {
			err = m.Unseen(engine)
		}
		if err != nil {
			t.Errorf("%s, as install leaves it: %v", engine, err)
		}
	}
}
