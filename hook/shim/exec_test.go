// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"strings"
	"testing"

	"github.com/oci-secrets/oci-secrets/hook/shim/argv"
)

// TestExecArgs has the command line that the real runtime gets.
func TestExecArgs(t *testing.T) {
	for line, want := range map[string]string{
		"--root /r --log /l exec --process /p --detach --pid-file /f c": "--root /r --log /l exec --process F --detach --pid-file /f c",
		"exec -dtp/p c":                  "exec -dtpF c",
		"exec -p /a -p=/p --new v c":     "exec -p F -p=F --new v c",
		"exec --process=/p --new=1 -- c": "exec --process=F --new=1 -- c",
		"exec -t -e A=1 --cwd / -u 1 --console-socket /s --ignore-paused c ls -la": "exec --console-socket /s --ignore-paused --process F -- c",
		"exec --detach=false --no-new-privs --cap X --cgroup a --cgroup b c x":     "exec --detach=false --cgroup a --cgroup b --process F -- c",
	} {
		s := &shim{Line: argv.Parse(strings.Fields(line))}
		args := s.execArgs("F", "c")
		if s.processFile() != "" {
			args = s.withProcessFile("F")
		}
		if got := strings.Join(args, " "); got != want {
			t.Errorf("%s\nbecomes %s\nwant    %s", line, got, want)
		}
	}
}
