// SPDX-License-Identifier: Apache-2.0

package podman

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/oci-secrets/oci-secrets/test/rig"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// TestReadmeVault runs README's section on Vault, from the policy to the
// container, as it is written: every block of shell, in one shell after the other.
func TestReadmeVault(t *testing.T) {
	h := newHost(t, root)
	h.ok(t, "rm", "-rf", h.etc+"/oci-secrets") // the section makes it
	if r := h.oci(t, "install", "podman"); r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	busybox(t, h)
	server := vaulttest.Start(t, vaulttest.Options{})
	server.Mount(t, "secret", 2) // as a server for development has it
	vault, err := vaulttest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprintf("PATH=%s:%s:/usr/sbin:/usr/bin:/sbin:/bin", filepath.Dir(h.binary), filepath.Dir(vault))
	var out string
	for _, script := range blocks(t, "### Vault") {
		out = h.ok(t, "env", path, "VAULT_ADDR="+server.Address, "VAULT_CACERT="+server.CAFile, "VAULT_TOKEN="+server.RootToken, "sh", "-ec", script)
	}
	if !strings.Contains(out, "\nDB_PASSWORD=") || !strings.Contains(out, "\nDB_USER=") {
		t.Errorf("the last block prints %q", out)
	}
	if r := h.oci(t, "logout"); r.Code != 0 {
		t.Errorf("logout: %s", r.Stderr)
	}
	if r := h.oci(t, "uninstall", "podman"); r.Code != 0 {
		t.Errorf("uninstall: %s", r.Stderr)
	}
}

// blocks are the blocks of shell of a section of README.
func blocks(t *testing.T, heading string) []string {
	t.Helper()
	_, section, ok := strings.Cut(rig.ReadFile(t, filepath.Join(rig.Root(t), "README.md")), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("README has no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n### ")
	var scripts []string
	for _, m := range regexp.MustCompile("(?s)\n```sh\n(.*?)\n```\n").FindAllStringSubmatch(section, -1) {
		scripts = append(scripts, m[1])
	}
	if len(scripts) == 0 {
		t.Fatalf("the section %q has no block of shell", heading)
	}
	return scripts
}

// busybox has the image that README's examples run.
func busybox(t *testing.T, h *host) {
	t.Helper()
	const name = "docker.io/library/busybox"
	tree := t.TempDir()
	if err := os.Mkdir(tree+"/bin", 0o755); err != nil {
		t.Fatal(err)
	}
	rig.CopyFile(t, "/bin/busybox", tree+"/bin/busybox", 0o755)
	if err := os.Symlink("busybox", tree+"/bin/env"); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(h.dir, "busybox.tar")
	rig.MustRun(t, "tar", "-C", tree, "-cf", archive, ".")
	h.ok(t, "podman", "import", archive, name)
	t.Cleanup(func() {
		if out, err := h.store.command("rmi", "--force", name).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
}
