// SPDX-License-Identifier: Apache-2.0

package package_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// deb is a root and the package, which is not installed there yet.
func deb(t *testing.T) *root {
	t.Helper()
	needTools(t, "dpkg", "unshare", "nsenter", "systemd-analyze")
	file := packages(t, "deb")
	r := newRoot(t)
	rig.CopyFile(t, file, r.path("tmp/oci-secrets.deb"), 0o644)
	return r
}

// install installs, or upgrades; without the manual's index, which is slow.
func (r *root) install(t *testing.T) {
	t.Helper()
	r.must(t, "dpkg", "--no-triggers", "--install", "/tmp/oci-secrets.deb")
}

// contents are the files of a package as `make install` has them, but for zsh's,
// which Debian keeps elsewhere.
func contents(t *testing.T, debian bool) string {
	t.Helper()
	list := files(golden(t))
	if debian {
		list = strings.ReplaceAll(list, "/usr/share/zsh/site-functions/", "/usr/share/zsh/vendor-completions/")
	}
	return list
}

// sorted has the lines in order.
func sorted(list string) []string {
	lines := strings.Split(strings.TrimSuffix(list, "\n"), "\n")
	slices.Sort(lines)
	return lines
}

func TestDeb(t *testing.T) {
	r := deb(t)
	before := r.left(t)
	r.install(t)

	dirs := map[string]bool{}
	var got strings.Builder
	for line := range strings.Lines(r.must(t, "dpkg", "--listfiles", "oci-secrets").Stdout) {
		path := strings.TrimSuffix(line, "\n")
		info, err := os.Lstat(r.path(path))
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case info.IsDir():
			dirs[path] = true
		case info.Mode()&os.ModeSymlink != 0:
			to, _ := os.Readlink(r.path(path))
			got.WriteString("link " + path + " -> " + to + "\n")
		default:
			got.WriteString(info.Mode().String() + " " + path + "\n")
		}
	}
	if diff := cmp.Diff(sorted(contents(t, true)), sorted(got.String())); diff != "" {
		t.Errorf("make install and the package (-install +package)\n%s", diff)
	}
	for dir, mode := range map[string]os.FileMode{"/etc/oci-secrets": 0o755, "/etc/oci-secrets/secrets": 0o700, "/etc/oci-secrets/env": 0o700} {
		if info, err := os.Stat(r.path(dir)); err != nil || info.Mode().Perm() != mode || !dirs[dir] {
			t.Errorf("%s: %v, %v", dir, info, err)
		}
	}

	if out := r.must(t, "oci-secrets", "--version").Stdout; !strings.HasPrefix(out, "oci-secrets version ") {
		t.Errorf("the binary says %q", out)
	}
	r.must(t, "oci-secrets", "explain", "--offline", "--annotation", "secrets.oci/from=db")
	r.must(t, "sh", "-c", "man -w oci-secrets oci-secrets-runtime oci-secrets-config.toml oci-secrets-annotations")
	r.must(t, "systemd-analyze", "verify", "--man=no", "/usr/lib/systemd/system/"+units[0], "/usr/lib/systemd/system/"+units[1], "/usr/lib/systemd/system/"+keeper)

	r.must(t, "dpkg", "--no-triggers", "--remove", "oci-secrets")
	r.must(t, "dpkg", "--no-triggers", "--purge", "oci-secrets")
	if diff := cmp.Diff(before, r.left(t)); diff != "" {
		t.Errorf("(-before +after)\n%s", diff)
	}
}

// TestUpgrade installs over what is installed and in use, and keeps what the
// operator has written and chosen, as a removal and a purge do.
func TestUpgrade(t *testing.T) {
	r := deb(t)
	r.install(t)
	mine := map[string]string{
		"etc/oci-secrets/config.toml": "deadline = \"5s\"\n", "etc/oci-secrets/secrets/db.toml": "[db]\n", "etc/oci-secrets/secret-id": "x",
	}
	for name, text := range mine {
		r.write(t, name, text)
	}
	if err := os.Chmod(r.path("etc/oci-secrets/secrets"), 0o750); err != nil {
		t.Fatal(err)
	}
	told := r.write(t, "etc/docker/daemon.json", inDocker)
	before := tree(t, r.path("etc/oci-secrets"))
	kept := func(after string) {
		t.Helper()
		if diff := cmp.Diff(before, tree(t, r.path("etc/oci-secrets"))); diff != "" {
			t.Errorf("after %s (-before +after)\n%s", after, diff)
		}
		for name, text := range mine {
			if got := readFile(t, r.path(name)); got != text {
				t.Errorf("after %s, %s is %q", after, name, got)
			}
		}
	}
	r.install(t)
	kept("an upgrade")
	told()
	r.must(t, "dpkg", "--no-triggers", "--remove", "oci-secrets")
	before = strings.ReplaceAll(before, "drwx------ /env\n", "") // it was empty
	kept("a removal")
	r.must(t, "dpkg", "--no-triggers", "--purge", "oci-secrets")
	kept("a purge")
}

// TestUpgradeWarns upgrades where the settings have what the next release refuses,
// where all is well, and where they are broken.
func TestUpgradeWarns(t *testing.T) {
	r := deb(t)
	r.install(t)
	for text, want := range map[string]string{
		"[vault]\naddress = \"http://127.0.0.1:8200\"\n[vault.auth]\nmethod = \"token_file\"\ntoken_file = \"/t\"\n": "oci-secrets: settings /etc/oci-secrets/config.toml: vault: an http:// address",
		"deadlin = \"5s\"\n": "oci-secrets: settings /etc/oci-secrets/config.toml: unknown key",
		"[dict]\n":           "",
	} {
		r.write(t, "etc/oci-secrets/config.toml", text)
		if got := r.must(t, "dpkg", "--no-triggers", "--install", "/tmp/oci-secrets.deb").Stderr; !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: told %q", text, got)
		}
	}
}

// TestRunning removes what was kept in memory for containers that run.
func TestRunning(t *testing.T) {
	r := deb(t)
	r.install(t)
	r.must(t, "sh", "-c", "mkdir /run/oci-secrets && mount -t tmpfs -o mode=0700 tmpfs /run/oci-secrets && touch /run/oci-secrets/x")
	r.must(t, "dpkg", "--no-triggers", "--remove", "oci-secrets")
	if _, err := os.Stat(r.path("run/oci-secrets")); err == nil {
		t.Error("/run/oci-secrets is still there")
	}
}

// TestAnswers purges what Vault answered last, and what else there is not.
func TestAnswers(t *testing.T) {
	r := deb(t)
	r.install(t)
	kept := "var/lib/oci-secrets/last-known-good/0123.0"
	r.write(t, kept, "age-encryption.org/v1\n")
	other := r.write(t, "var/lib/oci-secrets/directories", "/etc/x\n")
	// Of another tree, dpkg without chroot.
	r.must(t, "env", "DPKG_ROOT=/tmp/tree", "/var/lib/dpkg/info/oci-secrets.postrm", "purge")
	if readFile(t, r.path(kept)) == "" {
		t.Error("a purge of another tree is one of this machine")
	}
	r.must(t, "dpkg", "--no-triggers", "--remove", "oci-secrets")
	if readFile(t, r.path(kept)) == "" {
		t.Error("a removal is a purge")
	}
	r.must(t, "dpkg", "--no-triggers", "--purge", "oci-secrets")
	if _, err := os.Stat(r.path("var/lib/oci-secrets/last-known-good")); err == nil {
		t.Error("answers are still there after a purge")
	}
	if readFile(t, r.path("var/lib/oci-secrets/directories")) == "" {
		t.Error("what uninstall needs is gone")
	}
	other()
}

// TestReproducible makes the packages again, from files of another time.
func TestReproducible(t *testing.T) {
	needTools(t)
	for _, format := range []string{"deb", "rpm"} {
		packages(t, format)
	}
	again := filepath.Join(rig.Root(t), "bin/package")
	rig.MustRun(t, "sh", "-c", `cd "$1" && touch bin/* && make -s package >/dev/null`, "sh", rig.Root(t))
	for _, format := range []string{"deb", "rpm"} {
		first := packages(t, format)
		if readFile(t, first) != readFile(t, filepath.Join(again, filepath.Base(first))) {
			t.Errorf("the %s is another one", format)
		}
	}
}
