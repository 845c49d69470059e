// SPDX-License-Identifier: Apache-2.0

// Package test_test tests the script that every other test is run by before a
// change lands.
package test_test

import (
	"strings"
	"testing"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

func TestHost(t *testing.T) {
	rig.NeedRoot(t)
	for name, tt := range map[string]struct {
		script string
		code   int
		told   []string // nil for nothing
	}{
		"nothing stays": {`set -e
[ "$(sysctl -n net.unix.max_dgram_qlen) $(ls -A /tmp)" = "10 " ]
ip -o -4 address | grep -q 127.0.0.1 && [ "$(ip -o link | wc -l)" = 1 ]
echo a >/tmp/a && rm /tmp/a
sleep 0.2 &`, 0, nil},
		"fails":     {"touch /tmp/a; exit 3", 3, []string{"> file /tmp/a "}},
		"a sysctl":  {"sysctl -q -w net.unix.max_dgram_qlen=20", 1, []string{"> sysctl net.unix.max_dgram_qlen = 20"}},
		"a mount":   {"mount -t tmpfs tmpfs /mnt", 1, []string{" /mnt "}},
		"a process": {"sleep 1000 &", 1, []string{"process ", " sleep 1000"}},
		"files": {"touch /dev/shm/a /etc/b /run/c /var/lib/d /var/tmp/e; mkdir /tmp/f", 1, []string{
			"> file /dev/shm/a ", "> file /etc/b ", "> file /run/c ", "> file /var/lib/d ", "> file /var/tmp/e ", "> file /tmp/f d ",
		}},
		"a change": {"cp /etc/passwd /etc/passwd.new && mv /etc/passwd.new /etc/passwd", 1, []string{"> file /etc/passwd "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rig.Run(t, "./host.sh", "sh", "-c", tt.script)
			if r.Code != tt.code || tt.told == nil && r.Stderr != "" {
				t.Errorf("exit code %d, want %d\n%s%s", r.Code, tt.code, r.Stdout, r.Stderr)
			}
			for _, told := range tt.told {
				if !strings.Contains(r.Stderr, told) {
					t.Errorf("it does not say %q\n%s", told, r.Stderr)
				}
			}
		})
	}
}
