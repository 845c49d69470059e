// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// TestAnyName has variables that no shell could name, in the first process and,
// by the shim, in one that exec starts.
func TestAnyName(t *testing.T) {
	runtimes(t, func(t *testing.T, name string) {
		r, b, file, _ := shimmed(t, name, rig.Canary())
		b.WriteSettings(t, "secrets.json", `{"es": {"discovery.type": "single-node", "user-name": "u", "HTTPS_PROXY": "p"}}`)
		b.Annotate(from, "es+es#discovery.type=discovery.type")
		b.Annotate(dict, `{"xpack.security.enabled": "true"}`)
		b.Spec.Process.Env = append(b.Spec.Process.Env, "discovery.type=default")
		b.Write(t)
		r.Create(t, b)
		r.Start(t, b)
		for who, env := range map[string][]string{
			"the first process": rig.AwaitReport(t, file).Env,
			"exec":              rig.ParseReport(t, rig.MustRun(t, r.Argv("exec", b.ID, rig.PayloadPath, "report")...).Stdout).Env,
		} {
			t.Log(who)
			has(t, env, "discovery.type", "single-node")
			has(t, env, "xpack.security.enabled", "true")
			has(t, env, "HTTPS_PROXY", "p")
			if slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "user-name=") }) {
				t.Error("what nobody has requested is there, too")
			}
		}
		r.Delete(t, b)
	})
}

// TestForeignHook has a hook of somebody else's that is called like ours.
func TestForeignHook(t *testing.T) {
	runtimes(t, func(t *testing.T, name string) {
		canary := rig.Canary()
		r, b, file, _ := shimmed(t, name, canary)
		foreign := filepath.Join(t.TempDir(), "oci-secrets-x")
		rig.WriteFile(t, foreign, "#!/bin/sh\nexec cat\n", 0o755)
		hook := specs.Hook{Path: foreign, Args: []string{"oci-secrets-x", "hook"}}
		b.Spec.Hooks = &specs.Hooks{Prestart: []specs.Hook{hook}, Poststop: []specs.Hook{hook}} //nolint:staticcheck // deprecated and everywhere
		b.Write(t)
		r.Create(t, b)
		r.Start(t, b)
		has(t, rig.AwaitReport(t, file).Env, "SECRET", canary)
		r.Delete(t, b)
	})
}
