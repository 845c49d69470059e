// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// large makes a bundle that asks for 600 KiB of secrets.
func large(t *testing.T) (b *rig.Bundle, file, value string) {
	t.Helper()
	b, file = marking(t, "createRuntime", "", "mark")
	value = rig.Canary()
	vars := map[string]string{}
	for i := range 6 {
		vars[fmt.Sprint("SECRET_", i)] = value + strings.Repeat("x", 100<<10)
	}
	text := `{"db":{`
	for name, v := range vars {
		text += fmt.Sprintf("%q:%q,", name, v)
	}
	b.WriteSettings(t, "secrets.json", strings.TrimSuffix(text, ",")+"}}")
	return b, file, value
}

// TestFailureAtExec has delivery fail when the hook has long said yes: the
// program does not run, and the system log says why.
func TestFailureAtExec(t *testing.T) {
	for _, c := range []struct {
		name, want string
		runtimes   []string
		setup      func(b *rig.Bundle)
		created    func(t *testing.T, pid int)
	}{
		{
			"a stack that became too small", "RLIMIT_STACK", rig.Runtimes(),
			func(*rig.Bundle) {},
			func(t *testing.T, pid int) {
				limit := unix.Rlimit{Cur: 512 << 10, Max: 512 << 10}
				if err := unix.Prlimit(pid, unix.RLIMIT_STACK, &limit, nil); err != nil {
					t.Fatal(err)
				}
			},
		},
		{
			// An init that is written in Go needs the call itself.
			"a filter that lets no stack grow", "rt_sigprocmask",
			[]string{rig.Crun},
			func(b *rig.Bundle) {
				p := seccomp()
				p.Syscalls[0].Names = slices.DeleteFunc(p.Syscalls[0].Names, func(n string) bool { return n == "rt_sigprocmask" })
				b.Spec.Linux.Seccomp = p
			},
			func(*testing.T, int) {},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, name := range c.runtimes {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					r := rig.NewRuntime(t, name)
					log := r.Log(t)
					b, file, value := large(t)
					c.setup(b)
					b.Write(t)
					pid := r.Create(t, b)
					tracer := rig.TracerOf(t, pid)
					c.created(t, pid)
					_ = rig.Run(t, r.Argv("start", b.ID)...) // the program fails, not the start
					rig.AwaitEnd(t, "the container", pid)
					rig.AwaitEnd(t, "the tracer", tracer)
					lines := log.Lines()
					if len(lines) != 1 || !strings.Contains(lines[0], "is killed before its program runs: ") ||
						!strings.Contains(lines[0], b.ID) || !strings.Contains(lines[0], c.want) {
						t.Errorf("logged: %q", lines)
					}
					if strings.Contains(strings.Join(lines, ""), value) {
						t.Error("the value is in the log")
					}
					if _, ran := rig.ReadReport(t, file); ran {
						t.Error("the program ran")
					}
				})
			}
		})
	}
}
