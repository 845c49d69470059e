// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// strange is a config.json as few write it, and every byte of which means
// something to somebody.
const strange = `{ "ociVersion":"1.0.2","future": {"n":[9007199254740993, 1E400, -0, 0.10]},
	"process" : {"env": [ "\u0041=\ud800" ],"user":{"uid":18446744073709551615}} ,
  "annotations":{"secrets\u002eoci/from":"db", "other":"\/"},
	"hooks": {"prestart":[ {"path":"/bin/first","timeout":1e1} ],"poststop":null, "createRuntime":[{"path":"/bin/other"}]}, "future": 1
}`

// TestBundle has everything in config.json that is not the shim's survive byte
// for byte, as well as the file's mode and owner, and what was there before
// runs before.
func TestBundle(t *testing.T) {
	t.Parallel()
	s := newSite(t, recorder(t))
	bundle := t.TempDir()
	path := filepath.Join(bundle, "config.json")
	rig.WriteFile(t, path, strange, 0o640)
	if err := os.Chown(path, 1, 2); err != nil {
		t.Fatal(err)
	}
	create := func() string {
		s.start(t, nil, s.shim, "create", "--bundle", bundle, "c")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	hook := fmt.Sprintf(`{"path":%q,"args":["oci-secrets","hook","--keep",%q,"--config",%q],"timeout":150}`, rig.Binary(t), filepath.Join(s.dir, "kept"), s.config)
	want := strings.NewReplacer(`"timeout":1e1}`, `"timeout":1e1}, `+hook, "null", "["+hook+"]").Replace(strange)
	amended := create()
	if diff := cmp.Diff(want, amended); diff != "" {
		t.Error(diff)
	}
	if again := create(); again != amended {
		t.Errorf("a second create changes the bundle: %s", again)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); info.Mode() != 0o640 || st.Uid != 1 || st.Gid != 2 {
		t.Errorf("mode %v, owner %d:%d", info.Mode(), st.Uid, st.Gid)
	}
	if entries, err := os.ReadDir(bundle); err != nil || len(entries) != 1 {
		t.Errorf("left in the bundle: %v, %v", entries, err)
	}
}
