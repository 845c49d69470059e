// SPDX-License-Identifier: Apache-2.0

package package_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// rpm is Debian's, which is not installed: copied to the root, where it finds its
// own files, and keeps its database in memory.
func rpm(t *testing.T, r *root) []string {
	t.Helper()
	set := filepath.Join(rig.Root(t), "test/setup/rpm.sh")
	dir := strings.TrimSpace(rig.MustRun(t, set, "--path").Stdout)
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("%v: unpack it with %s", err, set)
	}
	rig.MustRun(t, "cp", "-r", dir, r.path("tmp/rpm"))
	lib, err := filepath.Glob(r.path("tmp/rpm/usr/lib/*-linux-gnu"))
	if err != nil || len(lib) != 1 {
		t.Fatalf("its libraries: %q, %v", lib, err)
	}
	return []string{
		"env", "LD_LIBRARY_PATH=/tmp/rpm/usr/lib/" + filepath.Base(lib[0]), "RPM_CONFIGDIR=/tmp/rpm/usr/lib/rpm",
		"/tmp/rpm/usr/bin/rpm", "--dbpath", "/tmp/rpmdb",
	}
}

// TestRPM has rpm install what dpkg does, with the same scripts. Debian's rpm
// knows nothing of the programs that are installed, so it must not ask for them.
func TestRPM(t *testing.T) {
	needTools(t, "unshare", "nsenter")
	file := packages(t, "rpm")
	r := newRoot(t)
	rig.CopyFile(t, file, r.path("tmp/oci-secrets.rpm"), 0o644)
	before := r.left(t)
	rpm := rpm(t, r)

	var got strings.Builder
	const query = `[%{FILEMODES:perms} %{FILENAMES} -> %{FILELINKTOS}\n]`
	for line := range strings.Lines(r.must(t, append(rpm, "--query", "--package", "--queryformat", query, "/tmp/oci-secrets.rpm")...).Stdout) {
		mode, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch path, to, _ := strings.Cut(rest, " -> "); {
		case mode[0] == 'l':
			got.WriteString("link " + path + " -> " + to + "\n")
		case mode[0] == 'd' && !strings.Contains(path, "/oci-secrets") && !strings.HasPrefix(path, "/usr/share/zsh"):
			t.Errorf("it owns a directory of others, %s", path)
		case mode[0] != 'd':
			got.WriteString(mode + " " + path + "\n")
		}
	}
	if diff := cmp.Diff(sorted(contents(t, false)), sorted(got.String())); diff != "" {
		t.Errorf("make install and the package (-install +package)\n%s", diff)
	}

	rpm = append(rpm, "--nodeps")
	r.must(t, append(rpm, "--install", "/tmp/oci-secrets.rpm")...)
	r.must(t, "oci-secrets", "--version")
	if info, err := os.Stat(r.path("etc/oci-secrets/secrets")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory of secrets: %v, %v", info, err)
	}
	remove := r.write(t, "etc/docker/daemon.json", inDocker)
	r.must(t, append(rpm, "--upgrade", "--replacepkgs", "/tmp/oci-secrets.rpm")...)
	res := r.run(t, append(rpm, "--erase", "oci-secrets")...)
	if res.Code == 0 || !strings.Contains(res.Stderr, "hint: oci-secrets uninstall docker") {
		t.Errorf("rpm removed it: %d, %s%s", res.Code, res.Stdout, res.Stderr)
	}
	r.must(t, "oci-secrets", "--version")
	remove()
	r.must(t, append(rpm, "--erase", "oci-secrets")...)
	// Directories that are not its own stay, where it is not Debian's to have them.
	if diff := cmp.Diff(files(before), files(r.left(t))); diff != "" {
		t.Errorf("(-before +after)\n%s", diff)
	}
}
