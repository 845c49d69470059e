// SPDX-License-Identifier: Apache-2.0

package leases

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-secrets/oci-secrets/test/rig"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// TestAsWorkload has pods that log in as themselves. What they are leased lives on
// with the login that they have, renewed, after their token is gone and bad; and is
// revoked with it, when nobody can log in so any more.
func TestAsWorkload(t *testing.T) {
	const (
		account = "/var/run/secrets/kubernetes.io/serviceaccount"
		tokens  = 6 * time.Second
	)
	for name, stages := range map[string][]string{"poststop": {"createRuntime", "poststop"}, "keeper": {"createRuntime"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newContainer(t, rig.Runc, long, time.Hour, "", stages...)
			review, k := vaulttest.StartTokenReview(t), vaulttest.NewKubelet(t)
			mount := "k8s-" + c.host.Name
			c.host.Vault.Kubernetes(t, mount, "pods", review, []string{"shop"}, vaulttest.Tokens{Policies: []string{"host"}, TTL: tokens})
			before, _, _ := strings.Cut(rig.ReadFile(t, c.Config), "[vault.auth]")
			rig.WriteFile(t, c.Config, before+fmt.Sprintf(
				"prefix = \"k8s/{namespace}\"\n[vault.auth]\nmethod = \"kubernetes\"\nmount = %q\nrole = \"pods\"\nas_workload = true\nkubelet = %q\n", mount, k.Dir), 0o600)
			if err := os.MkdirAll(filepath.Join(c.Dir, "rootfs", account), 0o755); err != nil {
				t.Fatal(err)
			}
			jwt := review.JWT("shop", "web", "pod-1", time.Minute)
			volume := k.Project(t, "pod-1", jwt)
			c.Spec.Mounts = append(c.Spec.Mounts, specs.Mount{Destination: account, Type: "bind", Source: volume, Options: []string{"rbind", "ro"}})
			c.InPod(t, "pod-1")
			c.Write(t)
			keeper := c.host.Keep(t)
			pid, u := c.begin(t)
			review.Revoke(jwt)
			if err := syscall.Unmount(volume, syscall.MNT_DETACH); err != nil { // as for a pod that is gone
				t.Fatal(err)
			}
			c.host.WantUserFor(t, u, 3*tokens)
			if log := keeper.Log(t); log != "" {
				t.Errorf("the keeper told %s", log)
			}
			if name == "poststop" {
				keeper.End(syscall.SIGTERM)
				c.Delete(t, c.Bundle)
			} else {
				c.signal(t, pid, syscall.SIGKILL)
			}
			c.host.WantNoUser(t, u)
		})
	}
}
