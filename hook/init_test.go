// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/oci-secrets/oci-secrets/hook/inflight/tracer"
	"github.com/oci-secrets/oci-secrets/test/rig"
)

// TestInitOrder holds the packages pass, fast and tracer to their promise: what
// they serve is over before the packages that cost have been initialised.
func TestInitOrder(t *testing.T) {
	binary := rig.Binary(t)
	heavy := []string{
		"net/http", "crypto/tls", "github.com/hashicorp/vault/api", "github.com/urfave/cli/v2", "net",
		"github.com/containerd/nri/pkg/api", "github.com/containerd/ttrpc", "github.com/tetratelabs/wazero/internal/engine/wazevo",
	}
	const asks = `{"annotations": {"secrets.oci/dict": "{\"A\": \"x\"}"}, "process": {}}`
	settings, bundle := t.TempDir()+"/config.toml", t.TempDir()
	rig.WriteFile(t, bundle+"/config.json", "{}", 0o600)
	rig.WriteFile(t, settings, "[dict]\npath = \"x\"\n", 0o600)
	for name, tt := range map[string]struct {
		name  string // argv[0], where it is not the binary's
		args  []string
		env   []string
		stdin string
		code  int
		early []string // must not have been initialised
		seen  []string // must have been, or the test sees nothing
	}{
		"all, for comparison": {args: []string{"--version"}, seen: heavy},
		"precreate, not asked": {
			args: []string{"precreate"}, stdin: "{}", early: append(heavy, "os", "fmt", "encoding/json"), seen: []string{"syscall"},
		},
		"hook, not asked": {
			args: []string{"hook", "--config", "/x"}, stdin: `{"annotations": {"a": "b"}}`,
			early: append(heavy, "os", "fmt", "encoding/json"), seen: []string{"syscall"},
		},
		"precreate, asked": {args: []string{"precreate", "--config", settings}, stdin: asks, early: heavy, seen: []string{"os", "github.com/BurntSushi/toml"}},
		"hook, asked":      {args: []string{"hook", "--config=" + settings}, stdin: asks, code: 14, early: heavy, seen: []string{"os"}},
		"shim, another command": {
			name: "oci-secrets-runtime-true", args: []string{"state", "x"}, env: []string{"PATH=/usr/bin:/bin"},
			early: append(heavy, "os", "fmt", "encoding/json"), seen: []string{"syscall"},
		},
		"shim, not asked": {
			name: "oci-secrets-runtime-true", args: []string{"create", "--bundle", bundle}, env: []string{"PATH=/usr/bin:/bin"},
			early: append(heavy, "os", "fmt", "encoding/json"), seen: []string{"syscall"},
		},
		"shim, no bundle": {
			name: "oci-secrets-runtime-true", args: []string{"create", "--bundle", "/"}, early: heavy, seen: []string{"os"},
		},
		"tracer": {
			name: tracer.Argv0, env: tracer.Env, code: 1, early: append(heavy, "os", "fmt", "time", "encoding/json"), seen: []string{"syscall"},
		},
		"the tracer's environment alone": {env: tracer.Env, args: []string{"--version"}, seen: heavy},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), binary, tt.args...)
			cmd.Stdin = strings.NewReader(tt.stdin)
			if tt.name != "" {
				cmd.Args[0] = tt.name
			}
			cmd.Env = append([]string{"GODEBUG=inittrace=1"}, tt.env...)
			var stderr strings.Builder
			cmd.Stderr = &stderr
			_ = cmd.Run() // the exit code tells
			if code := cmd.ProcessState.ExitCode(); code != tt.code {
				t.Fatalf("exit code %d, want %d\n%s", code, tt.code, stderr.String())
			}
			done := map[string]bool{}
			for _, m := range regexp.MustCompile(`(?m)^init (\S+) @`).FindAllStringSubmatch(stderr.String(), -1) {
				done[m[1]] = true
			}
			for _, pkg := range tt.early {
				if done[pkg] {
					t.Errorf("%s was initialised", pkg)
				}
			}
			for _, pkg := range tt.seen {
				if !done[pkg] {
					t.Errorf("%s was not initialised", pkg)
				}
			}
		})
	}
}
