// SPDX-License-Identifier: Apache-2.0

package package_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// What engines are told, in the least that runs the binary.
const (
	inDocker = `{"runtimes": {"oci-secrets": {"path": "/usr/bin/oci-secrets-runtime"}}}`
	inPodman = `{"version": "1.0.0", "hook": {"path": "/usr/bin/oci-secrets", "args": ["oci-secrets", "hook"]}}`
	inToml   = "x = '/usr/bin/oci-secrets-runtime'\n"
)

// told are files that tell an engine to run the package's binary, and the hint
// that each is worth.
var told = map[string]struct{ file, text, hint string }{
	"podman's hook":             {"etc/oci-secrets/hooks.d/oci-secrets.json", inPodman, "oci-secrets uninstall podman"},
	"a hook by hand":            {"usr/share/containers/oci/hooks.d/mine.json", inPodman, "oci-secrets uninstall podman"},
	"a hook in /etc":            {"etc/containers/oci/hooks.d/mine.json", inPodman, "oci-secrets uninstall podman"},
	"containers.conf":           {"etc/containers/containers.conf", inToml, "oci-secrets uninstall podman"},
	"a drop-in of it":           {"etc/containers/containers.conf.d/90-oci-secrets.conf", inToml, "oci-secrets uninstall podman"},
	"docker":                    {"etc/docker/daemon.json", inDocker, "oci-secrets uninstall docker"},
	"docker, by name":           {"etc/docker/daemon.json", `{"runtimes": {"x": {"path": "oci-secrets-runtime"}}}`, "oci-secrets uninstall docker"},
	"docker, through a link":    {"etc/docker/daemon.json", `{"runtimes": {"x": {"path": "/bin/oci-secrets-runtime-crun"}}}`, "oci-secrets uninstall docker"},
	"docker, a link":            {"etc/docker/daemon.json", "-> /usr/bin/oci-secrets-dangles", "oci-secrets uninstall docker"},
	"containerd":                {"etc/containerd/config.toml", inToml, "oci-secrets uninstall containerd"},
	"an import":                 {"etc/containerd/conf.d/x.toml", inToml, "oci-secrets uninstall containerd"},
	"a plugin":                  {"opt/nri/plugins/10-oci-secrets", "-> /usr/bin/oci-secrets", "oci-secrets uninstall containerd"},
	"CRI-O":                     {"etc/crio/crio.conf.d/90-oci-secrets.conf", inToml, "oci-secrets uninstall crio"},
	"CRI-O's own":               {"etc/crio/crio.conf", inToml, "oci-secrets uninstall crio"},
	"a unit":                    {"etc/systemd/system/containerd.service.wants/oci-secrets-nri.service", "-> /usr/lib/systemd/system/oci-secrets-nri.service", "systemctl disable --now"},
	"a unit, by the other path": {"etc/systemd/system/crio.service.wants/oci-secrets-guard.service", "-> /lib/systemd/system/oci-secrets-guard.service", "systemctl disable --now"},
	"the keeper of leases":      {"etc/systemd/system/multi-user.target.wants/oci-secrets-leases.service", "-> /usr/lib/systemd/system/oci-secrets-leases.service", "systemctl disable --now oci-secrets-leases"},
	"a user's podman":           {"home/somebody/.config/containers/oci-secrets/hooks.d/oci-secrets.json", inPodman, "oci-secrets uninstall podman --rootless, as somebody"},
	"a user's containers.conf":  {"home/somebody/.config/containers/containers.conf.d/90-oci-secrets.conf", inToml, "oci-secrets uninstall podman --rootless, as somebody"},
	"a user's docker":           {"home/somebody/.config/docker/daemon.json", inDocker, "oci-secrets uninstall docker --rootless, as somebody"},
}

// others name us and do not run the package's binary.
var others = map[string]struct{ file, text string }{
	"another prefix":     {"etc/docker/daemon.json", `{"runtimes": {"x": {"path": "/usr/local/bin/oci-secrets-runtime"}}}`},
	"another program":    {"etc/docker/daemon.json", `{"runtimes": {"x": {"path": "/usr/bin/my-oci-secrets"}}}`},
	"an annotation":      {"etc/containerd/config.toml", `pod_annotations = ["secrets.oci/*"]`},
	"the directory":      {"etc/containers/containers.conf", `hooks_dir = ["/etc/oci-secrets/hooks.d"]`},
	"a backup":           {"etc/docker/daemon.json.before-oci-secrets", inDocker},
	"nothing of ours":    {"etc/crio/crio.conf.d/10-crun.conf", `runtime_path = "/usr/bin/crun"`},
	"a link to nowhere":  {"etc/docker/daemon.json", "-> /nowhere"},
	"somebody else's":    {"opt/nri/plugins/20-other", "-> /usr/bin/other"},
	"a user's own tests": {"home/somebody/.config/docker/other.json", inDocker},
}

// TestRemove runs the package's own script for each; and dpkg once, which must
// leave everything as it was.
func TestRemove(t *testing.T) {
	r := deb(t)
	r.install(t)
	script := func() rig.Result { return r.run(t, "/var/lib/dpkg/info/oci-secrets.prerm", "remove") }
	if res := script(); res.Code != 0 {
		t.Fatalf("refused where nothing is configured: %s", res.Stderr)
	}
	for name, tt := range told {
		remove := r.write(t, tt.file, tt.text)
		res := script()
		if res.Code == 0 || !strings.Contains(res.Stderr, "  /"+tt.file+"\nhint: "+tt.hint) {
			t.Errorf("%s: exit code %d, %s", name, res.Code, res.Stderr)
		}
		if upgrade := r.run(t, "/var/lib/dpkg/info/oci-secrets.prerm", "upgrade", "1.0.0"); upgrade.Code != 0 {
			t.Errorf("%s: an upgrade is refused: %s", name, upgrade.Stderr)
		}
		remove()
	}
	for name, tt := range others {
		remove := r.write(t, tt.file, tt.text)
		if res := script(); res.Code != 0 {
			t.Errorf("%s: refused: %s", name, res.Stderr)
		}
		remove()
	}

	// What a user has put there is not waited for.
	r.must(t, "sh", "-c", "mkdir -p /home/somebody/.config/docker && mkfifo /home/somebody/.config/docker/daemon.json")
	if res := script(); res.Code != 0 {
		t.Errorf("a pipe: %s", res.Stderr)
	}

	remove := r.write(t, "etc/docker/daemon.json", inDocker)
	before := tree(t, r.path("usr/bin")) + tree(t, r.path("etc/oci-secrets"))
	res := r.run(t, "dpkg", "--no-triggers", "--remove", "oci-secrets")
	if want := "oci-secrets: not removed, because these run it"; res.Code == 0 || !strings.Contains(res.Stderr, want) {
		t.Errorf("dpkg removed it: %d, %s%s", res.Code, res.Stdout, res.Stderr)
	}
	if status := r.must(t, "dpkg-query", "--show", "--showformat", "${Status}", "oci-secrets").Stdout; !strings.HasSuffix(status, " ok installed") {
		t.Errorf("dpkg says it is %q", status)
	}
	if after := tree(t, r.path("usr/bin")) + tree(t, r.path("etc/oci-secrets")); after != before {
		t.Error("something has changed all the same")
	}
	r.write(t, "run/oci-secrets.remove", "")
	r.must(t, "dpkg", "--no-triggers", "--remove", "oci-secrets")
	if _, err := os.Stat(r.path("run/oci-secrets.remove")); err == nil {
		t.Error("the next removal would not ask, either")
	}
	remove()
}

// TestMakeUninstall refuses as the package does, for its own prefix.
func TestMakeUninstall(t *testing.T) {
	needTools(t, "unshare", "nsenter")
	r := newRoot(t)
	dir := source(t)
	for _, d := range []string{"bin", "install", "docs"} {
		rig.MustRun(t, "cp", "-r", filepath.Join(dir, d), r.path("tmp"))
	}
	for _, f := range []string{"README.md", "SECURITY.md", "CHANGELOG.md", "LICENSE"} {
		rig.CopyFile(t, filepath.Join(dir, f), r.path("tmp/"+f), 0o644)
	}
	r.must(t, "/tmp/install/tree.sh", "install")
	remove := r.write(t, "etc/docker/daemon.json", `{"runtimes": {"x": {"path": "/usr/local/bin/oci-secrets-runtime"}}}`)
	res := r.run(t, "/tmp/install/tree.sh", "uninstall")
	if res.Code == 0 || !strings.Contains(res.Stderr, "hint: oci-secrets uninstall docker") {
		t.Errorf("exit code %d: %s", res.Code, res.Stderr)
	}
	r.must(t, "/usr/local/bin/oci-secrets", "--version")
	remove()
	r.write(t, "etc/docker/daemon.json", `{"runtimes": {"x": {"path": "/usr/bin/oci-secrets"}}}`)
	r.must(t, "/tmp/install/tree.sh", "uninstall")
}
