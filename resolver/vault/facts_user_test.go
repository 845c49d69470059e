// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

func TestUserName(t *testing.T) {
	t.Setenv("USER", "mallory") // what os/user would believe
	passwd := filepath.Join(t.TempDir(), "passwd")
	if err := os.WriteFile(passwd, []byte("toor:x:0:0::/:\nann:x:1000:1000:Ann:/home/ann:/bin/sh\nbroken\nbob:x:1001\n:\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for uid, want := range map[int]string{0: "root", 1000: "ann", 1001: "", 1002: "", -1: "", 10: ""} {
		got, err := userIn(passwd, uid)
		if got != want {
			t.Errorf("uid %d: %q, want %q", uid, got, want)
		}
		if class, _ := fault.ClassOf(err); want == "" && class != fault.Refused {
			t.Errorf("uid %d: %v", uid, err)
		}
	}
}
