// SPDX-License-Identifier: Apache-2.0

package private

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestIdentity(t *testing.T) {
	got := map[string]bool{}
	for _, m := range []string{"         0          0 4294967295\n", "0 1000 1\n1 100000 65536\n", "0 0 1\n", ""} {
		got[m] = slices.Equal(parseMap([]byte(m)), everything)
	}
	want := map[string]bool{"         0          0 4294967295\n": true, "0 1000 1\n1 100000 65536\n": false, "0 0 1\n": false, "": false}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestOutside(t *testing.T) {
	for name, tt := range map[string]struct {
		uidMap string
		uid    int
		want   int
	}{
		"the host, root":      {"         0          0 4294967295\n", 0, 0},
		"the host, a user":    {"         0          0 4294967295\n", 1000, 1000},
		"rootless, root":      {"         0       1000          1\n         1     100000      65536\n", 0, 1000},
		"rootless, user 1":    {"         0       1000          1\n         1     100000      65536\n", 1, 100000},
		"rootless, the last":  {"         0       1000          1\n         1     100000      65536\n", 65536, 165535},
		"rootless, unmapped":  {"         0       1000          1\n         1     100000      65536\n", 65537, -1},
		"a shifted root":      {"0 100000 65536\n", 0, 100000},
		"not written yet":     {"", 0, -1},
		"something else":      {"a b c\n\n0 1\n", 0, -1},
		"without a line end":  {"0 1000 1", 0, 1000},
		"below the first uid": {"5 1000 1", 4, -1},
	} {
		t.Run(name, func(t *testing.T) {
			if got := outside(parseMap([]byte(tt.uidMap)), tt.uid); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}
