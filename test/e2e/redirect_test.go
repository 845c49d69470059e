// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// redirections are what the author of a container may have crun write for him,
// as root: lists that our messages quote, and the file that they come into.
var redirections = []struct{ name, annotation, list string }{
	{"shell text in a wrong list", "run.oci.hooks.stderr", "$(touch${IFS}pwned)"},
	{"a library in a list without a mistake", "run.oci.hooks.stderr", "db lib/evil.so"},
	{"standard output", "run.oci.hooks.stdout", "$(touch${IFS}pwned)"},
}

// TestRedirectedHook has crun open a file of the author's choice for what the
// hook says: nothing of the author's comes into it.
func TestRedirectedHook(t *testing.T) {
	for _, c := range redirections {
		t.Run(c.name, func(t *testing.T) {
			for _, stage := range []string{"prestart", "createRuntime"} {
				t.Run(stage, func(t *testing.T) {
					t.Parallel()
					b, marker := marking(t, stage, rig.Canary(), "mark")
					file := filepath.Join(t.TempDir(), "ld.so.preload")
					deliveries := filepath.Join(t.TempDir(), "log")
					b.AddSettings(t, "[log]\nfile = \""+deliveries+"\"\n")
					b.Annotate(from, c.list)
					b.Annotate(c.annotation, file)
					b.Write(t)
					r := rig.NewRuntime(t, rig.Crun)
					log := r.Log(t)
					res := r.Run(t, b)
					if res.Code == 0 || !strings.Contains(res.Stderr, "(exit code: 10)") {
						t.Errorf("exit code %d\n%s", res.Code, res.Stderr)
					}
					want := "# oci-secrets refuses this container, see the system log\n"
					if c.annotation != "run.oci.hooks.stderr" {
						want = ""
					}
					if got := read(t, file); got != want {
						t.Errorf("crun has written %q for the author", got)
					}
					harmless(t, file)
					for where, text := range map[string]string{
						"system log": strings.Join(log.Lines(), "\n"), "log's file": read(t, deliveries),
					} {
						if !strings.Contains(text, "run.oci.hooks.stderr and run.oci.hooks.stdout: they have crun write") || strings.Contains(text, c.list) {
							t.Errorf("the %s has %q", where, text)
						}
					}
					if _, ran := rig.ReadReport(t, marker); ran {
						t.Error("the program ran")
					}
				})
			}
		})
	}
}

// TestRedirectedShim has the shim refuse before crun opens anything, also where
// the annotation stands there twice: crun takes the first, and others the last.
func TestRedirectedShim(t *testing.T) {
	for _, c := range redirections {
		for _, twice := range []bool{false, true} {
			name := c.name
			if twice {
				name += ", twice"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r, b, marker, _ := shimmed(t, rig.Crun, rig.Canary())
				file := filepath.Join(t.TempDir(), "ld.so.preload")
				b.Annotate(from, c.list)
				b.Annotate(c.annotation, file)
				b.Write(t)
				if twice {
					path := filepath.Join(b.Dir, "config.json")
					more := `"annotations": {"` + c.annotation + `": "` + file + `", "` + c.annotation + `": "/dev/stderr",`
					text := strings.Replace(strings.Replace(read(t, path), `"`+c.annotation+`": "`+file+`",`, "", 1), `"annotations": {`, more, 1)
					rig.WriteFile(t, path, text, 0o644)
				}
				res := r.Run(t, b)
				if res.Code != 10 && res.Code != 14 || !strings.Contains(res.Stderr, c.annotation) {
					t.Errorf("exit code %d\n%s", res.Code, res.Stderr)
				}
				if _, err := os.Stat(file); err == nil {
					t.Errorf("crun has made the file: %q", read(t, file))
				}
				if _, ran := rig.ReadReport(t, marker); ran {
					t.Error("the program ran")
				}
			})
		}
	}
}

// TestOwnRedirection has an author who writes what the shim itself would.
func TestOwnRedirection(t *testing.T) {
	canary := rig.Canary()
	b := rig.NewBundle(t, "", secrets(canary))
	b.Annotate(from, "db")
	b.Annotate("run.oci.hooks.stderr", "/dev/stderr")
	b.StateDir(t)
	r := rig.NewRuntime(t, rig.Crun).Shim(t, b)
	b.Write(t)
	res := r.Run(t, b)
	if res.Code != 0 || res.Stderr != "" {
		t.Fatalf("exit code %d\n%s", res.Code, res.Stderr)
	}
	has(t, rig.ParseReport(t, res.Stdout).Env, "SECRET", canary)
	b.Annotate("run.oci.handler", "x")
	b.Annotate("run.oci.hooks.stdout", "/dev/stderr")
	b.Write(t)
	if res := r.Run(t, b); res.Code != 16 {
		t.Errorf("exit code %d\n%s", res.Code, res.Stderr)
	}
}

// harmless runs a file as root's shell would.
func harmless(t *testing.T, file string) {
	t.Helper()
	cmd := exec.Command("sh", file)
	cmd.Dir = t.TempDir()
	_ = cmd.Run() // it need not be a program
	if _, err := os.Stat(filepath.Join(cmd.Dir, "pwned")); err == nil {
		t.Error("what the author wrote is run as root")
	}
}
