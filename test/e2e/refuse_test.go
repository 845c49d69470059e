// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// hookStderr makes crun show what hooks print (crun.1, run.oci.hooks.stderr);
// without it only the exit code is seen.
func hookStderr(b *rig.Bundle) { b.Annotate("run.oci.hooks.stderr", "/dev/stderr") }

// TestRefuse makes each kind of failure happen: the runtime refuses the
// container, its user sees why, and the program never runs.
func TestRefuse(t *testing.T) {
	for _, c := range []struct {
		name  string
		code  int
		lines []string
		setup func(t *testing.T, b *rig.Bundle)
	}{
		{"unknown annotation", 10, []string{"secrets.oci/form"}, func(_ *testing.T, b *rig.Bundle) { b.Annotate("secrets.oci/form", "db") }},
		{"reserved variable", 10, []string{"LD_PRELOAD"}, func(_ *testing.T, b *rig.Bundle) { b.Annotate(dict, `{"LD_PRELOAD":"/x.so"}`) }},
		{"missing secrets", 11, []string{`secret "nothing"`, `secret "neither"`}, func(_ *testing.T, b *rig.Bundle) { b.Annotate(from, "db nothing neither") }},
		{"missing key", 11, []string{`no key "KEY"`}, func(_ *testing.T, b *rig.Bundle) { b.Annotate(from, "db#KEY") }},
		{"file that others can read", 12, []string{"secrets.json"}, func(t *testing.T, b *rig.Bundle) {
			rig.WriteFile(t, filepath.Join(filepath.Dir(b.Config), "secrets.json"), "{}", 0o644)
		}},
		{"vault that is not there", 13, []string{"vault"}, func(t *testing.T, b *rig.Bundle) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			vault(t, b, l.Addr().String(), "1s")
			_ = l.Close()
		}},
		{"vault that does not answer", 13, []string{"vault"}, func(t *testing.T, b *rig.Bundle) { vault(t, b, silence(t).addr, "300ms") }},
		{"broken settings", 15, []string{"config.toml"}, func(t *testing.T, b *rig.Bundle) { b.WriteSettings(t, "config.toml", "[dict\n") }},
		{"program in another machine", 16, []string{"module.wasm.image/variant"}, func(_ *testing.T, b *rig.Bundle) { b.Annotate("module.wasm.image/variant", "x") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, stage := range []string{"prestart", "createRuntime"} {
				for _, name := range rig.Runtimes() {
					t.Run(stage+"/"+name, func(t *testing.T) {
						t.Parallel()
						value := rig.Canary()
						b, marker := marking(t, stage, value, "mark")
						c.setup(t, b)
						refused(t, name, b, marker, c.code, append(c.lines, "oci-secrets: ")...)
					})
				}
			}
		})
	}
}

// refused runs a bundle that must be refused, and checks what the user sees.
func refused(t *testing.T, name string, b *rig.Bundle, marker string, code int, lines ...string) {
	t.Helper()
	r := rig.NewRuntime(t, name)
	log := r.Log(t)
	hookStderr(b)
	b.Write(t)
	res := r.Run(t, b)
	if res.Code == 0 {
		t.Error("the runtime's exit code is 0")
	}
	how := fmt.Sprintf("exit status %d", code) // runc's words
	told := res.Stderr
	if name == rig.Crun {
		how = fmt.Sprintf("(exit code: %d)", code)
	}
	told = strings.ReplaceAll(told, `\"`, `"`) // as runc's log has it
	for _, want := range append(lines, how) {
		if !strings.Contains(told, want) {
			t.Errorf("%q is not in what the user sees:\n%s", want, told)
		}
	}
	logged := strings.Join(log.Lines(), "\n")
	if !strings.Contains(logged, "container refused: ") {
		t.Errorf("the log says %q", logged)
	}
	for _, e := range b.Spec.Process.Env {
		if v, ok := strings.CutPrefix(e, "SECRET="); ok && strings.Contains(told+logged, v) {
			t.Error("the value is told")
		}
	}
	if _, ran := rig.ReadReport(t, marker); ran {
		t.Error("the program ran")
	}
}

// vault adds a Vault to the settings and asks it for a secret.
func vault(t *testing.T, b *rig.Bundle, address, deadline string) {
	t.Helper()
	b.WriteSettings(t, "token", "token")
	b.WriteSettings(t, "config.toml", fmt.Sprintf(`
deadline = %q
[vault]
address = "http://%s"
mount = "secret"
[vault.auth]
method = "token_file"
token_file = %q
[dict]
path = "secrets.json"
`, deadline, address, filepath.Join(filepath.Dir(b.Config), "token")))
	b.StateDir(t)
	b.Annotate(from, "dict:db vault:slow")
}

// silent is a server that accepts and never answers.
type silent struct {
	addr     string
	accepted chan struct{} // something for each connection
}

func silence(t *testing.T) silent {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := silent{l.Addr().String(), make(chan struct{}, 100)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var open []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				break
			}
			open = append(open, c)
			s.accepted <- struct{}{}
		}
		for _, c := range open {
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return s
}

// TestWrongStage lists the hook where it cannot work: it refuses, at once, and
// says where it can.
func TestWrongStage(t *testing.T) {
	inside := func(t *testing.T, b *rig.Bundle, stage string) {
		// What runs inside the container must be there.
		rig.CopyFile(t, rig.Binary(t), filepath.Join(b.Dir, "rootfs/oci-secrets"), 0o755)
		b.Hook(t, stage, "/oci-secrets", "hook")
	}
	for _, c := range []struct {
		name  string
		setup func(t *testing.T, b *rig.Bundle)
	}{
		{"createContainer", func(t *testing.T, b *rig.Bundle) {
			b.Hook(t, "createContainer", rig.Binary(t), "hook", "--config", b.Config)
		}},
		{"startContainer", func(t *testing.T, b *rig.Bundle) { inside(t, b, "startContainer") }},
		{"createContainer with the host's pids", func(t *testing.T, b *rig.Bundle) {
			hostPIDs(b)
			b.Hook(t, "createContainer", rig.Binary(t), "hook", "--config", b.Config)
		}},
		{"startContainer with the host's pids", func(t *testing.T, b *rig.Bundle) {
			hostPIDs(b)
			inside(t, b, "startContainer")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			runtimes(t, func(t *testing.T, name string) {
				b, marker := marking(t, "", rig.Canary(), "mark")
				c.setup(t, b)
				code := 16
				if name == rig.Crun && strings.HasPrefix(c.name, "startContainer") || name == rig.Crun && strings.HasSuffix(c.name, "pids") {
					code = 14 // crun says pid 0 there
				}
				r := rig.NewRuntime(t, name)
				hookStderr(b)
				b.Write(t)
				res := r.Run(t, b)
				if res.Code == 0 {
					t.Error("exit code 0")
				}
				told := res.Stderr
				const hint = "list it under createRuntime or prestart"
				if !strings.Contains(told, fmt.Sprintf("exit status %d", code)) && !strings.Contains(told, fmt.Sprintf("(exit code: %d)", code)) || !strings.Contains(told, hint) {
					t.Errorf("no exit status %d and %q in what the user sees:\n%s", code, hint, told)
				}
				if _, ran := rig.ReadReport(t, marker); ran {
					t.Error("the program ran")
				}
			})
		})
	}
	// Too late, by the book. runc runs these hooks at the end of create, while
	// its init still waits to be started, so there it works. crun runs them
	// when the program runs, and no refusal can undo that.
	t.Run("poststart", func(t *testing.T) {
		runtimes(t, func(t *testing.T, name string) {
			value := rig.Canary()
			r := rig.NewRuntime(t, name)
			log := r.Log(t)
			b, marker := marking(t, "poststart", value, "wait")
			hookStderr(b)
			b.Write(t)
			pid := r.Create(t, b)
			res := rig.Run(t, r.Argv("start", b.ID)...)
			report := rig.AwaitReport(t, marker)
			if name != rig.Crun {
				has(t, report.Env, "SECRET", value)
				return
			}
			const want = "the container's program runs already"
			if all := strings.Join(log.Lines(), "\n"); !strings.Contains(all, want) || !strings.Contains(res.Stderr, want) {
				t.Errorf("%q is not in the log %q and the output (%+v)", want, all, res)
			}
			if by := rig.TracerOf(t, pid); by != 0 {
				t.Errorf("traced by %d", by)
			}
		})
	})
	t.Run("poststop", func(t *testing.T) {
		runtimes(t, func(t *testing.T, name string) {
			b := bundle(t, "poststop", rig.Canary())
			r := rig.NewRuntime(t, name)
			log := r.Log(t)
			res := r.Run(t, b)
			if res.Code != 0 || res.Stderr != "" {
				t.Errorf("exit code %d\n%s", res.Code, res.Stderr)
			}
			if lines := log.Lines(); lines != nil {
				t.Errorf("logged: %q", lines)
			}
		})
	})
}

func hostPIDs(b *rig.Bundle) {
	b.Spec.Linux.Namespaces = slices.DeleteFunc(b.Spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.PIDNamespace })
}
