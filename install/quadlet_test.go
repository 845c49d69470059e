// SPDX-License-Identifier: Apache-2.0

package install_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// TestQuadlets has annotations that podman cuts up, and others. lost is what the
// error says is lost, for the first line.
func TestQuadlets(t *testing.T) {
	for name, tt := range map[string]struct{ text, lost, hint string }{
		"plus":         {text: "Annotation=secrets.oci/from=db+stripe#API_KEY=KEY+dotenv:web?"},
		"quoted":       {text: `Annotation="secrets.oci/from=db stripe"`},
		"quoted value": {text: `Annotation=secrets.oci/from='db stripe'`},
		"two":          {text: "Annotation=secrets.oci/from=db io.x/y=1 a=b"},
		"another's":    {text: "Annotation=io.x/y=1 two three"},
		"a comment":    {text: "#Annotation=secrets.oci/from=db stripe"},
		"another key":  {text: "Label=secrets.oci/from=db stripe"},
		"a name":       {"Annotation=secrets.oci/from=db stripe", "stripe", "write Annotation=secrets.oci/from=db+stripe"},
		"a rename":     {"Annotation = secrets.oci/from=db  db#K=V x=y", "db#K=V", "write Annotation=secrets.oci/from=db+db#K=V"},
		"a scheme":     {"Annotation=a=b secrets.oci/from=db dotenv:web?", "dotenv:web?", "write Annotation=secrets.oci/from=db+dotenv:web?"},
		"one container, in other letters": {
			"Annotation=web.Secrets.oci/from=db stripe", "stripe", "write Annotation=web.Secrets.oci/from=db+stripe",
		},
		"continued": {"Annotation=secrets.oci/from=db \\\n# comment\n  stripe", "stripe", "write Annotation=secrets.oci/from=db+stripe"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, file := range []string{
				"etc/containers/systemd/web.container", "usr/share/containers/systemd/sub/web.container",
				"run/containers/systemd/web.container.d/10.conf", "etc/containers/systemd/users/1000/web.container",
			} {
				m := machine(t, map[string]string{file: "[Container]\n" + tt.text + "\n"}, nil, false)
				_, err := m.Install("podman", options)
				want := ""
				if tt.lost != "" {
					key, _, _ := strings.Cut(tt.text[strings.Index(strings.ToLower(tt.text), "secrets.oci"):], "=")
					if strings.Contains(tt.text, "web.S") {
						key = "web." + key
					}
					want = "/" + file + `:2: the value of ` + key + ` has a blank outside of quotes, where podman cuts it: "` + tt.lost + `" is lost`
				}
				got := ""
				if err != nil {
					got = strings.ReplaceAll(err.Error(), m.Root, "")
				}
				if got != want || strings.Join(fault.Hints(err), "\n") != tt.hint {
					t.Errorf("error %q, hints %q, want %q, %q", got, fault.Hints(err), want, tt.hint)
				}
			}
		})
	}
}

// TestQuadletsOfUsers has those of a user, of all users, and of root, which a user's
// podman does not read; and directories that are each other's links.
func TestQuadletsOfUsers(t *testing.T) {
	const cut = "[Container]\nAnnotation=secrets.oci/from=db stripe\n"
	m := machine(t, map[string]string{
		"home/user/.config/containers/systemd/a.container": cut,
		"etc/containers/systemd/users/b.container":         cut,
		"etc/containers/systemd/users/12345/c.container":   cut,
		"etc/containers/systemd/d.container":               cut,
	}, nil, true)
	link(t, ".", m.Root+"/home/user/.config/containers/systemd/loop")
	var got []string
	for line := range strings.Lines(m.Quadlets().Error()) {
		path, _, _ := strings.Cut(strings.TrimPrefix(line, m.Root), ":")
		got = append(got, path)
	}
	if diff := cmp.Diff([]string{"/home/user/.config/containers/systemd/a.container", "/etc/containers/systemd/users/b.container"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
