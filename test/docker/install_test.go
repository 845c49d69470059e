// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// host is a docker without the shim, as install finds it, and the binary beside
// it. The settings of oci-secrets are in their usual place.
type host struct {
	*daemon
	binary string
}

func newHost(t *testing.T, e engine) *host {
	t.Helper()
	dir, err := os.MkdirTemp(base, "host-") //nolint:usetesting // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	h := &host{binary: dir + "/oci-secrets"}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	rig.CopyFile(t, rig.Binary(t), h.binary, 0o755)
	if err := os.Symlink("oci-secrets", h.binary+"-runtime"); err != nil {
		t.Fatal(err)
	}
	h.daemon = e.start(t, dir, map[string]any{})
	h.must(t, "import", "--change", `CMD ["/payload","report"]`, archive(t), image)
	h.sh(t, `umask 022; mkdir -p /etc/oci-secrets/secrets; umask 077
printf '[db]\nDB_USER = "app"\n' >/etc/oci-secrets/secrets/db.toml`)
	return h
}

// sh runs a script in the namespaces, and gives its output.
func (h *host) sh(t *testing.T, script string) string {
	t.Helper()
	return rig.MustRun(t, h.command("sh", "-c", script)...).Stdout
}

// oci runs oci-secrets.
func (h *host) oci(t *testing.T, args ...string) rig.Result {
	t.Helper()
	return rig.RunWith(t, h.client(), "", h.command(append([]string{h.binary}, args...)...)...)
}

// done is oci where it must succeed; it gives the output.
func (h *host) done(t *testing.T, args ...string) string {
	t.Helper()
	r := h.oci(t, args...)
	if r.Code != 0 || r.Stderr != "" {
		t.Fatalf("%q: exit code %d\n%s%s", args, r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// tree is all there is below the places that install writes to, and what docker has.
func (h *host) tree(t *testing.T) []string {
	t.Helper()
	files := h.sh(t, `for d in /etc /etc/docker /var/lib; do
	find $d -xdev -printf '%p %y %m %U:%G %l\n'
	find $d -xdev -type f -exec sha256sum {} +
done`)
	return append(strings.Split(files, "\n"), h.must(t, "images", "--all", "--quiet"), h.must(t, "ps", "--all", "--quiet"))
}

// TestInstall does what README says: install, verify, run, uninstall.
func TestInstall(t *testing.T) {
	t.Parallel()
	h := newHost(t, docker29(t))
	before := h.tree(t)
	refused := func(r rig.Result, code int, line string) {
		t.Helper()
		if r.Code != code || !strings.Contains(r.Stderr, line) {
			t.Errorf("exit code %d, want %d and %q\n%s%s", r.Code, code, line, r.Stdout, r.Stderr)
		}
	}
	run := func(args ...string) rig.Result {
		t.Helper()
		return h.docker(t, slices.Concat([]string{"run", "--rm", "--network", "host", from("db")}, args, []string{image})...)
	}
	verified := func(column string) {
		t.Helper()
		want := "CHECK " + column + `
the annotation arrived yes
the hook ran yes
the first process has the secret yes
exec has the secret yes
inspect does not show it yes
refused when a secret is missing yes
`
		if d := cmp.Diff(want, regexp.MustCompile(" +").ReplaceAllString(h.done(t, "verify", "docker"), " ")); d != "" {
			t.Errorf("table (-want +got):\n%s", d)
		}
	}

	refused(h.oci(t, "verify", "docker"), 1, "hint: oci-secrets install docker --reload")
	refused(run("--runtime", shim), 125, "unknown or invalid runtime name: oci-secrets")
	h.done(t, "install", "docker", "--reload")
	verified("docker run --runtime oci-secrets")
	rig.WantVar(t, rig.ParseReport(t, run("--runtime", shim).Stdout).Env, "DB_USER", "app")
	rig.WantNone(t, rig.ParseReport(t, run().Stdout).Env, "DB_USER")

	installed := h.tree(t)
	h.done(t, "install", "docker", "--reload")
	if d := cmp.Diff(installed, h.tree(t)); d != "" {
		t.Errorf("a second run changes (-before +after):\n%s", d)
	}
	h.done(t, "install", "docker", "--set-default", "--reload")
	verified("docker")
	rig.WantVar(t, rig.ParseReport(t, run().Stdout).Env, "DB_USER", "app")

	h.must(t, "create", "--name", "web", image)
	refused(h.oci(t, "uninstall", "docker"), 1, "oci-secrets: containers still use it: web\n")
	h.must(t, "rm", "web")
	if out := h.done(t, "uninstall", "docker"); !strings.Contains(out, "restart docker") {
		t.Errorf("it does not say that docker must be restarted:\n%s", out)
	}
	if d := cmp.Diff(before, h.tree(t)); d != "" {
		t.Errorf("left behind (-before +after):\n%s", d)
	}

	// Docker keeps a runtime that its settings do not name any more until it is
	// started again, and refuses a container whose runtime is gone.
	rig.WantVar(t, rig.ParseReport(t, run("--runtime", shim).Stdout).Env, "DB_USER", "app")
	if err := os.Remove(h.binary + "-runtime"); err != nil {
		t.Fatal(err)
	}
	refused(run("--runtime", shim), 127, "fork/exec "+h.binary+"-runtime: no such file or directory")
	h.end(t)
	h.launch(t)
	refused(run("--runtime", shim), 125, "unknown or invalid runtime name: oci-secrets")
}

// The user of a docker that has no annotations is told so.
func TestInstallDocker20(t *testing.T) {
	t.Parallel()
	h := newHost(t, docker20(t))
	before := h.tree(t)
	note := "note: docker 20 knows no annotations, so no container can ask for secrets; 24 and later have `docker run --annotation`\n"
	if out := h.done(t, "install", "docker", "--reload"); !strings.Contains(out, note) {
		t.Errorf("install says %q, want %q", out, note)
	}
	want := rig.Result{Code: 1, Stderr: "oci-secrets: docker 20.10.24+dfsg1 knows no annotations, so no container can ask for secrets\n" +
		"hint: 24 and later have `docker run --annotation`\n"}
	if d := cmp.Diff(want, h.oci(t, "verify", "docker")); d != "" {
		t.Errorf("verify (-want +got):\n%s", d)
	}
	h.must(t, "run", "--rm", "--network", "host", "--runtime", shim, image)
	h.done(t, "uninstall", "docker")
	if d := cmp.Diff(before, h.tree(t)); d != "" {
		t.Errorf("left behind (-before +after):\n%s", d)
	}
}
