// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// prepare makes a containerd's namespace look like a machine: /etc, /var/lib and
// /opt are copies without what the host has there of ours, config.toml and the plugins are where they usually are, and
// the binary and its link are on the path.
const prepare = `set -e
for d in /etc /var/lib /opt; do
	mkdir -p /run/own$d /run/work$d
	mount -t overlay -o lowerdir=$d,upperdir=/run/own$d,workdir=/run/work$d overlay $d
done
cd /` + rig.Uninstalled + `
mkdir -p /etc/containerd /opt/nri "$1/bin"
ln -s "$1/config.toml" /etc/containerd/config.toml
ln -s "$1/plugins" /opt/nri/plugins
cp "$2" "$1/bin/oci-secrets"
ln -s oci-secrets "$1/bin/oci-secrets-runtime"`

// command is a command line in the engine's namespaces.
func (s *site) command(t *testing.T, argv ...string) []string {
	t.Helper()
	in := []string{
		"nsenter", "--mount", "--pid", "--target", strconv.Itoa(s.first.Pid), "env", "-i",
		"PATH=" + s.dir + "/bin:" + filepath.Dir(rig.Engine(t, "crictl.sh")) + ":" + s.path, "OCI_SECRETS_CONFIG=" + s.config,
		"CONTAINERD_ADDRESS=" + s.dir + "/socket", "CONTAINER_RUNTIME_ENDPOINT=unix://" + s.dir + "/socket",
	}
	return append(in, argv...)
}

// ok is a command that must succeed; it gives the output.
func (s *site) ok(t *testing.T, argv ...string) string {
	t.Helper()
	return rig.MustRun(t, s.command(t, argv...)...).Stdout
}

// TestInstall does what README says: install, verify, run, uninstall.
func TestInstall(t *testing.T) {
	cgroups := func() []string {
		found, _ := filepath.Glob("/sys/fs/cgroup/*/k8s.io")
		return found
	}
	theirs := cgroups()
	t.Cleanup(func() { // where CRI puts pods that name no control group
		for _, dir := range cgroups() {
			if !slices.Contains(theirs, dir) {
				_ = os.Remove(dir)
			}
		}
	})
	s := newSite(t, way{}, three)
	s.ok(t, "sh", "-c", prepare, "sh", s.dir, rig.Binary(t))
	tree := func() []string {
		t.Helper()
		const script = `set -- /etc /var/lib /opt "$1/config.toml" "$1/plugins"
find "$@" -xdev -printf '%p %y %m %U:%G %l\n'; find "$@" -xdev -type f -exec sha256sum {} +`
		lines := strings.Split(s.ok(t, "sh", "-c", script, "sh", s.dir), "\n")
		slices.Sort(lines)
		return lines
	}
	state := func() string {
		t.Helper()
		return s.must(t, "namespaces", "list", "--quiet") + s.must(t, "--namespace", "k8s.io", "images", "list", "--quiet") +
			s.must(t, "--namespace", "k8s.io", "containers", "list", "--quiet") + s.must(t, "--namespace", "k8s.io", "snapshots", "list")
	}
	before, existing := tree(), state()

	r := rig.Run(t, s.command(t, "oci-secrets", "verify", "containerd")...)
	if r.Code != 1 || !strings.Contains(r.Stderr, `no runtime for "oci-secrets" is configured`) || !strings.HasSuffix(r.Stderr, "hint: oci-secrets install containerd --reload\n") {
		t.Errorf("verify before install: exit code %d\n%s", r.Code, r.Stderr)
	}
	if out := s.ok(t, "oci-secrets", "install", "containerd", "--set-default"); !strings.Contains(out, "next: systemctl restart containerd\n") {
		t.Errorf("install says\n%s", out)
	}
	s.restart(t)
	const table = `CHECK                             ctr run --runc-binary oci-secrets-runtime  crictl runp --runtime oci-secrets
the annotation arrived            yes                                        yes
the hook ran                      yes                                        yes
the first process has the secret  yes                                        yes
exec has the secret               yes                                        yes
inspect does not show it          yes                                        yes
refused when a secret is missing  yes                                        yes
`
	if diff := cmp.Diff(table, s.ok(t, "oci-secrets", "verify", "containerd")); diff != "" {
		t.Errorf("verify (-want +got)\n%s", diff)
	}
	if now := state(); now != existing {
		t.Errorf("before verify\n%s\nafter\n%s", existing, now)
	}

	p := s.pod(t, from("db"))
	id, report := s.up(t, p, "web", nil)
	rig.WantVar(t, report.Env, "DB_USER", "app")
	r = rig.Run(t, s.command(t, "oci-secrets", "uninstall", "containerd")...)
	if r.Code != 1 || !strings.HasPrefix(r.Stderr, "oci-secrets: containers still use it: ") || !strings.Contains(r.Stderr, "k8s.io/"+id) {
		t.Errorf("uninstall in use: exit code %d\n%s", r.Code, r.Stderr)
	}
	s.removeAll(t)
	uninstalled := func() {
		t.Helper()
		s.ok(t, "oci-secrets", "uninstall", "containerd")
		if diff := cmp.Diff(before, tree()); diff != "" {
			t.Errorf("left behind (-before +after)\n%s", diff)
		}
	}
	uninstalled()

	// The plugin, with no shim in the way.
	s.ok(t, "oci-secrets", "install", "containerd", "--nri")
	s.restart(t)
	_, report = s.up(t, s.pod(t, from("db")), "plugged", nil)
	rig.WantVar(t, report.Env, "DB_USER", "app")
	s.removeAll(t)
	uninstalled()
	s.restart(t)
	_, report = s.up(t, s.pod(t, nil), "bare", nil)
	rig.WantNone(t, report.Env, "DB_USER")
}
