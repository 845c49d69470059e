// SPDX-License-Identifier: Apache-2.0

package podman

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// host is a podman that reads the configuration of the machine, as that of a
// person does; /etc and /var/lib are the namespace's own.
type host struct {
	*store
	binary string
	etc    string // the machine's configuration, or the user's
}

// command is a command line in the namespace, as the store's user.
func (h *host) command(argv ...string) []string {
	in := slices.DeleteFunc(h.argv(nil), func(arg string) bool { return strings.HasPrefix(arg, "CONTAINERS_CONF=") })
	return append(in[:len(in)-1], argv...) // without podman
}

// oci runs oci-secrets.
func (h *host) oci(t *testing.T, args ...string) rig.Result {
	t.Helper()
	return rig.Run(t, h.command(append([]string{h.binary}, args...)...)...)
}

// ok is a command that must succeed, and gives its output.
func (h *host) ok(t *testing.T, argv ...string) string {
	t.Helper()
	return rig.MustRun(t, h.command(argv...)...).Stdout
}

// file writes a file as the user.
func (h *host) file(t *testing.T, path, text, mode string) {
	t.Helper()
	h.ok(t, "sh", "-c", `umask 022; mkdir -p "$(dirname "$1")" && printf %s "$2" >"$1" && chmod "$3" "$1"`, "sh", path, text, mode)
}

// tree is all there is below the places that install writes to.
func (h *host) tree(t *testing.T) []string {
	t.Helper()
	const script = `for d; do [ ! -e "$d" ] || {
	find "$d" -xdev -printf '%p %y %m %U:%G %l\n'
	find "$d" -xdev -type f -exec sha256sum {} +
}; done`
	dirs := []string{"/etc", "/var/lib"}
	if h.asUser {
		dirs = []string{rootless.HomeDir + "/.config", rootless.HomeDir + "/.local/state", "/etc", "/var/lib"}
	}
	// As root, who sees everything.
	out := rig.MustRun(t, append(h.command()[:2], append([]string{"sh", "-c", script, "sh"}, dirs...)...)...).Stdout
	lines := strings.Split(out, "\n")
	slices.Sort(lines)
	return lines
}

// newHost gives a host with the binary, a link to it, and one secret.
func newHost(t *testing.T, m mode) *host {
	t.Helper()
	h := &host{store: openStore(t, m), binary: filepath.Join(base, "bin/oci-secrets"), etc: "/etc"}
	if m.rootless {
		h.etc = rootless.HomeDir + "/.config"
	}
	if err := os.MkdirAll(filepath.Dir(h.binary), 0o755); err != nil {
		t.Fatal(err)
	}
	rig.CopyFile(t, rig.Binary(t), h.binary, 0o755)
	if err := os.Symlink("oci-secrets", h.binary+"-runtime"); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	conf := h.settings(m.runtime, "/nohooks")
	conf = strings.Replace(conf, "hooks_dir = [\"/nohooks\"]\n", "", 1)
	h.file(t, h.etc+"/containers/containers.conf", conf, "0644")
	h.file(t, h.etc+"/oci-secrets/secrets/db.toml", "[db]\nDB_USER = \"app\"\n", "0600")
	t.Cleanup(func() { // when the test's context has ended
		argv := h.command("rm", "-rf", h.etc+"/containers/containers.conf", h.etc+"/oci-secrets")
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	return h
}

// images and containers of a host.
func (h *host) state(t *testing.T) string {
	t.Helper()
	return h.ok(t, "podman", "images", "--all", "--quiet") + h.ok(t, "podman", "ps", "--all", "--quiet")
}

// TestInstall does what README says: install, verify, run, uninstall.
func TestInstall(t *testing.T) {
	for _, m := range []mode{root, user1Crun} {
		t.Run(m.String(), func(t *testing.T) {
			h := newHost(t, m)
			before := h.tree(t)
			var flags []string
			if m.rootless {
				flags = []string{"--rootless"}
			}
			installed := func(args ...string) {
				t.Helper()
				if r := h.oci(t, append(args, flags...)...); r.Code != 0 {
					t.Fatalf("%q: exit code %d\n%s%s", args, r.Code, r.Stdout, r.Stderr)
				}
			}

			r := h.oci(t, "verify", "podman")
			if r.Code != 1 || !strings.Contains(r.Stderr, "hint: oci-secrets install podman") {
				t.Errorf("verify before install: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
			}
			installed("install", "podman")
			existing := h.state(t)
			verified(t, h.oci(t, "verify", "podman"), map[string][]string{
				"CHECK":                            {"podman", "podman --runtime oci-secrets"},
				"the annotation arrived":           {"yes", "yes"},
				"the hook ran":                     {"yes", "yes"},
				"the first process has the secret": {"yes", "yes"},
				"exec has the secret":              {"no: that needs the shim", "yes"},
				"inspect does not show it":         {"yes", "yes"},
				"refused when a secret is missing": {"yes", "yes"},
			})

			// One that is ended while a container runs leaves nothing either.
			const ended = `"$1" verify podman &
until [ "$(podman ps --quiet)" ]; do kill -0 $! || break; done
kill -TERM $!
wait $!`
			r = rig.Run(t, h.command("sh", "-c", ended, "sh", h.binary)...)
			if now := h.state(t); r.Code != 1 || r.Stderr != "oci-secrets: interrupted\n" || now != existing {
				t.Errorf("ended: exit code %d\n%s\nimages and containers before %q, after %q", r.Code, r.Stderr, existing, now)
			}

			// As an earlier release left it.
			hooks := h.etc + "/oci-secrets/hooks.d/oci-secrets.json"
			if m.rootless {
				hooks = h.etc + "/containers" + strings.TrimPrefix(hooks, h.etc)
			}
			h.ok(t, "sed", "-i", `s|(\[^/\]\*\\\\\.)?||`, hooks)
			r = h.oci(t, "verify", "podman")
			if want := "oci-secrets: " + hooks + " is of another release"; r.Code != 1 || !strings.HasPrefix(r.Stderr, want) {
				t.Errorf("verify of an earlier install: exit code %d, want %q\n%s%s", r.Code, want, r.Stdout, r.Stderr)
			}
			installed("install", "podman")

			rig.WantVar(t, rig.ParseReport(t, h.ok(t, "podman", "run", "--rm", from("db"), image)).Env, "DB_USER", "app")
			name := "user-" + m.String()
			h.ok(t, "podman", "--runtime", "oci-secrets", "run", "--detach", "--name", name, image, rig.PayloadPath, "wait", "/tmp/report")
			r = h.oci(t, append([]string{"uninstall", "podman"}, flags...)...)
			if r.Code != 1 || !strings.HasPrefix(r.Stderr, "oci-secrets: containers still use it: "+name+"\n") {
				t.Errorf("uninstall in use: exit code %d\n%s", r.Code, r.Stderr)
			}
			h.ok(t, "podman", "rm", "--force", "--time", "0", name)

			installed("install", "podman", "--set-default")
			verified(t, h.oci(t, "verify", "podman"), map[string][]string{
				"CHECK": {"podman"}, "exec has the secret": {"yes"}, "refused when a secret is missing": {"yes"},
			})
			if now := h.state(t); now != existing {
				t.Errorf("images and containers before %q, after %q", existing, now)
			}
			installed("uninstall", "podman")
			if diff := cmp.Diff(before, h.tree(t)); diff != "" {
				t.Errorf("left behind (-before +after)\n%s", diff)
			}
		})
	}
}

// verified checks rows of the table that verify prints.
func verified(t *testing.T, r rig.Result, rows map[string][]string) {
	t.Helper()
	if r.Code != 0 || r.Stderr != "" {
		t.Errorf("verify: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	got := map[string][]string{}
	for line := range strings.Lines(r.Stdout) {
		cells := slices.DeleteFunc(strings.Split(line, "  "), func(s string) bool { return strings.TrimSpace(s) == "" })
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if _, ok := rows[cells[0]]; ok {
			got[cells[0]] = cells[1:]
		}
	}
	if diff := cmp.Diff(rows, got); diff != "" {
		t.Errorf("table (-want +got)\n%s\n%s", diff, r.Stdout)
	}
}

// TestNoCgroups runs containers without control groups, which crun can do and the
// shim in its place must not stop.
func TestNoCgroups(t *testing.T) {
	for _, m := range []mode{rootCrun, user1Crun} {
		t.Run(m.String(), func(t *testing.T) {
			h := newHost(t, m)
			h.file(t, h.etc+"/oci-secrets/config.toml", "[runtime]\npath = \"/usr/bin/crun\"\n[dict]\n", "0644")
			var flags []string
			if m.rootless {
				flags = []string{"--rootless"}
			}
			if r := h.oci(t, append([]string{"install", "podman", "--set-default"}, flags...)...); r.Code != 0 {
				t.Fatalf("exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
			}
			r := rig.Run(t, h.command("podman", "run", "--rm", "--cgroups", "disabled", from("db"), image)...)
			if r.Code != 0 {
				t.Fatalf("exit code %d\n%s", r.Code, r.Stderr)
			}
			rig.WantVar(t, rig.ParseReport(t, r.Stdout).Env, "DB_USER", "app")
			if r := h.oci(t, append([]string{"uninstall", "podman"}, flags...)...); r.Code != 0 {
				t.Errorf("exit code %d\n%s", r.Code, r.Stderr)
			}
		})
	}
}
