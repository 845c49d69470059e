// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"cmp"
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

// TestSandboxByItsWord has a container whose author says that it is a pod's
// sandbox, with all that may be known before it has an id, and of what the hook
// makes of it when it does have the id: it gets nothing, and the log says so.
func TestSandboxByItsWord(t *testing.T) {
	runtimes(t, func(t *testing.T, name string) {
		canary := rig.Canary()
		r, b, file, _ := shimmed(t, name, canary)
		for key, value := range map[string]string{"container-type": "sandbox", "sandbox-id": "4f1d", "sandbox-name": "web", "sandbox-namespace": "default"} {
			b.Annotate("io.kubernetes.cri."+key, value)
		}
		b.Annotate("io.kubernetes.cri-o.ContainerType", "sandbox")
		b.Write(t)
		r.Create(t, b)
		r.Start(t, b)
		has(t, rig.AwaitReport(t, file).Env, "SECRET", canary)
		r.Delete(t, b)
	})
	// By the hook alone.
	runtimes(t, func(t *testing.T, name string) {
		r := rig.NewRuntime(t, name)
		log := r.Log(t)
		for id, want := range map[string]bool{"4f1d": true, "": false} {
			canary := rig.Canary()
			b, file := marking(t, "prestart", canary, "wait")
			b.Annotate("io.kubernetes.cri.container-type", "sandbox")
			b.Annotate("io.kubernetes.cri.sandbox-id", cmp.Or(id, b.ID))
			b.Write(t)
			r.Create(t, b)
			r.Start(t, b)
			if got := slices.Contains(rig.AwaitReport(t, file).Env, "SECRET="+canary); got != want {
				t.Errorf("sandbox %q: it has its secret: %v", id, got)
			}
			told := strings.Join(log.Deliveries(), "\n")
			if exempt := "container " + b.ID + ": it is a pod's sandbox by its annotations, and gets nothing"; strings.Contains(told, exempt) == want {
				t.Errorf("sandbox %q: the log has %q", id, told)
			}
			r.Delete(t, b)
		}
	})
}
