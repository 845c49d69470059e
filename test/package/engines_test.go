// SPDX-License-Identifier: Apache-2.0

package package_test

import (
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEngines has the package's script find whatever `oci-secrets install` does,
// and nothing of it after `oci-secrets uninstall`.
func TestEngines(t *testing.T) {
	r := deb(t)
	r.install(t)
	before := r.left(t)
	remove := []string{"/var/lib/dpkg/info/oci-secrets.prerm", "remove"}
	for _, engine := range []string{"podman", "docker", "containerd", "crio"} {
		r.must(t, "oci-secrets", "install", engine, "--root", "/")
		res := r.run(t, remove...)
		if res.Code == 0 || !strings.Contains(res.Stderr, "hint: oci-secrets uninstall "+engine+"\n") {
			t.Errorf("%s: exit code %d: %s", engine, res.Code, res.Stderr)
		}
		r.must(t, "oci-secrets", "uninstall", engine, "--root", "/")
		if res := r.run(t, remove...); res.Code != 0 {
			t.Errorf("%s is told no more, and it is refused: %s", engine, res.Stderr)
		}
		if diff := cmp.Diff(before, r.left(t)); diff != "" {
			t.Errorf("%s: uninstall leaves something (-before +after)\n%s", engine, diff)
		}
	}

	// Each of the files that it writes is enough.
	for _, engine := range []string{"podman", "containerd --nri"} {
		name, _, _ := strings.Cut(engine, " ")
		r.must(t, "sh", "-c", "oci-secrets install "+engine+" --root /")
		var wrote []string
		for line := range strings.Lines(files(r.left(t))) {
			if file := strings.Fields(line)[1]; !strings.Contains(before, line) && !strings.HasPrefix(file, "/var/lib/oci-secrets/") {
				wrote = append(wrote, file)
			}
		}
		if len(wrote) < 2 {
			t.Errorf("%s: it wrote %q", engine, wrote)
		}
		for _, file := range wrote {
			for _, other := range wrote {
				if other != file {
					r.must(t, "mv", other, "/tmp/"+path.Base(other))
				}
			}
			if res := r.run(t, remove...); res.Code == 0 || !strings.Contains(res.Stderr, "  "+file+"\n") {
				t.Errorf("%s, of %q only %s: exit code %d: %s", engine, wrote, file, res.Code, res.Stderr)
			}
			for _, other := range wrote {
				if other != file {
					r.must(t, "mv", "/tmp/"+path.Base(other), other)
				}
			}
		}
		r.must(t, "oci-secrets", "uninstall", name, "--root", "/")
	}
}
