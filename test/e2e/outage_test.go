// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/test/rig"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// TestLastKnownGoodOfAUser has a user who is not root, with directories of the
// user's own.
func TestLastKnownGoodOfAUser(t *testing.T) {
	t.Parallel()
	rig.NeedRoot(t)
	v := vaulttest.Start(t, vaulttest.Options{})
	v.Mount(t, "secret", 2)
	value := rig.Canary()
	v.Put(t, 2, "secret", "db", map[string]any{"SECRET": value})
	b := rig.NewBundle(t, "", nil)
	program := filepath.Join(b.Dir, "oci-secrets")
	rig.CopyFile(t, rig.Binary(t), program, 0o755)
	ca := filepath.Join(b.Dir, "ca.pem")
	rig.CopyFile(t, v.CAFile, ca, 0o644)
	b.AddSettings(t, "deadline = \"2s\"\n")
	b.AddSettings(t, fmt.Sprintf("[vault]\naddress = %q\nca_cert = %q\n[vault.auth]\nmethod = \"token\"\ntoken = %q\n"+
		"[vault.outage]\nmode = \"last-known-good\"\n", v.Address, ca, v.RootToken))
	run, state := filepath.Join(b.Dir, "run"), filepath.Join(b.Dir, "state")
	for _, dir := range []string{run, state} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mount("test", run, "tmpfs", 0, "mode=0700,uid=65534,gid=65534"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(run, unix.MNT_DETACH) })
	for _, path := range []string{state, b.Config, filepath.Dir(b.Config)} {
		if err := os.Chown(path, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	precreate := func() rig.Result {
		return rig.RunWith(t, nil, `{"annotations": {"secrets.oci/from": "vault:db"}, "process": {"env": []}}`,
			"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "-i",
			"XDG_RUNTIME_DIR="+run, "XDG_STATE_HOME="+state, program, "precreate", "--config", b.Config)
	}
	for _, now := range []string{"there", "gone"} {
		if res := precreate(); res.Code != 0 || !strings.Contains(res.Stdout, "SECRET="+value) {
			t.Errorf("Vault is %s: exit code %d\n%s", now, res.Code, res.Stderr)
		}
		v.Stop()
	}
	if files, _ := filepath.Glob(state + "/oci-secrets/last-known-good/*"); len(files) != 1 {
		t.Errorf("kept: %q", files)
	}
	if found := rig.Find(t, value, state, run); found != nil {
		t.Errorf("the value is in %q", found)
	}
	if err := os.Remove(filepath.Join(run, "oci-secrets", "outage.key")); err != nil { // as a login's end does
		t.Fatal(err)
	}
	if res := precreate(); res.Code != 13 || !strings.Contains(res.Stderr, "no answer from before can be used: none is kept") {
		t.Errorf("exit code %d\n%s", res.Code, res.Stderr)
	}
}
