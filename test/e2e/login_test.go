// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-secrets/oci-secrets/test/rig"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// serviceAccount is where a pod has its token.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount"

// tenants is a Vault with all methods to log in, and the secrets of two tenants.
type tenants struct {
	*vaulttest.Server
	review *vaulttest.TokenReview
	ca     *vaulttest.CA
	value  string // of SECRET in the secret db of the tenant shop
	roleID string
}

func newTenants(t *testing.T) *tenants {
	t.Helper()
	v := &tenants{Server: vaulttest.Start(t, vaulttest.Options{}), review: vaulttest.StartTokenReview(t), ca: vaulttest.NewCA(t), value: rig.Canary()}
	v.Mount(t, "secret", 2)
	v.Put(t, 2, "secret", "k8s/shop/web/db", map[string]any{"SECRET": v.value})
	v.Put(t, 2, "secret", "k8s/bank/web/db", map[string]any{"SECRET": "the bank's"})
	v.Policy(t, "all", `path "secret/data/k8s/*" { capabilities = ["read"] }`)
	tokens := vaulttest.Tokens{Policies: []string{"all"}, TTL: time.Minute}
	v.JWTAuth(t, "jwt", "pods", v.review.PublicKeyPEM, nil, tokens)
	v.Kubernetes(t, "kubernetes", "pods", v.review, []string{"shop"}, tokens)
	v.CertAuth(t, "cert", "hosts", v.ca.PEM, tokens)
	v.roleID, _ = v.AppRoleWith(t, "approle", "hosts", tokens)
	return v
}

func (v *tenants) jwt(namespace, pod string) string {
	return v.review.JWT(namespace, "web", pod, time.Minute)
}

// bundle asks Vault for db. The report is there only if the program has run.
func (v *tenants) bundle(t *testing.T, prefix, auth string) (b *rig.Bundle, report string) {
	t.Helper()
	b, report = marking(t, "createRuntime", rig.Canary(), "mark")
	b.StateDir(t)
	b.AddSettings(t, "deadline = \"10s\"\n")
	b.AddSettings(t, fmt.Sprintf("[vault]\naddress = %q\nca_cert = %q\nprefix = %q\n[vault.auth]\n%s\n", v.Address, v.CAFile, prefix, auth))
	b.Annotate(from, "vault:db")
	b.Write(t)
	return b, report
}

// starts runs a bundle, which must get its secret, and nothing of what was used
// for it.
func (v *tenants) starts(t *testing.T, b *rig.Bundle, report string, credentials ...string) {
	t.Helper()
	res := rig.NewRuntime(t, rig.Runc).Run(t, b)
	r, ran := rig.ReadReport(t, report)
	if res.Code != 0 || !ran {
		t.Fatalf("exit code %d, ran: %v\n%s", res.Code, ran, res.Stderr)
	}
	has(t, r.Env, "SECRET", v.value)
	for _, c := range credentials {
		if strings.Contains(strings.Join(r.Env, "\n")+res.Stdout+res.Stderr, c) {
			t.Error("a credential came through")
		}
	}
	if err := os.Remove(report); err != nil {
		t.Fatal(err)
	}
}

// TestLogin starts a container with each method, and refuses it once what logs
// in is good for nothing any more.
func TestLogin(t *testing.T) {
	rig.NeedRoot(t)
	v := newTenants(t)
	cert, key := v.ca.Client(t, "host", time.Hour)
	jwt, podJWT := v.jwt("shop", "1"), v.jwt("shop", "2")
	token, fileToken := v.Token(t, "all"), v.Token(t, "all")
	secretID := v.SecretID(t, "approle", "hosts")
	wrapping := v.WrappedSecretID(t, "approle", "hosts", time.Minute)
	for _, m := range []struct {
		name, settings string
		files          map[string]string
		spoil          func(t *testing.T, b *rig.Bundle)
		text           string
	}{
		{
			"token", fmt.Sprintf("method = \"token\"\ntoken = %q", token), nil,
			func(t *testing.T, _ *rig.Bundle) { v.Revoke(t, token) }, "the token is not valid",
		},
		{
			"token_file", "method = \"token_file\"\ntoken_file = \"token\"",
			map[string]string{"token": fileToken},
			func(t *testing.T, _ *rig.Bundle) { v.Revoke(t, fileToken) }, "the token is not valid",
		},
		{
			"approle", fmt.Sprintf("method = \"approle\"\nrole_id = %q\nsecret_id_file = \"id\"", v.roleID),
			map[string]string{"id": secretID},
			func(t *testing.T, _ *rig.Bundle) {
				v.Write(t, "auth/approle/role/hosts/secret-id/destroy", map[string]any{"secret_id": secretID})
			}, "AppRole login at auth/approle/login was refused",
		},
		{
			"wrapped", fmt.Sprintf("method = \"approle\"\nrole_id = %q\nwrapped_secret_id_file = \"wrapped\"", v.roleID),
			map[string]string{"wrapped": wrapping},
			func(t *testing.T, b *rig.Bundle) {
				stolen := v.WrappedSecretID(t, "approle", "hosts", time.Minute)
				if _, err := v.Client.Logical().UnwrapWithContext(t.Context(), stolen); err != nil {
					t.Fatal(err)
				}
				b.WriteSettings(t, "wrapped", stolen)
			}, "was used already, or has expired",
		},
		{
			"jwt", "method = \"jwt\"\nrole = \"pods\"\njwt_file = \"jwt\"",
			map[string]string{"jwt": jwt},
			func(t *testing.T, b *rig.Bundle) {
				b.WriteSettings(t, "jwt", v.review.JWT("shop", "web", "1", -time.Minute))
			}, "token is expired",
		},
		{
			"kubernetes", "method = \"kubernetes\"\nrole = \"pods\"\njwt_file = \"jwt\"",
			map[string]string{"jwt": podJWT},
			func(*testing.T, *rig.Bundle) { v.review.Revoke(podJWT) }, "Kubernetes login at auth/kubernetes/login was refused",
		},
		{
			"cert", "method = \"cert\"\nclient_cert = \"cert\"\nclient_key = \"key\"",
			map[string]string{"cert": cert, "key": key},
			func(t *testing.T, b *rig.Bundle) {
				cert, key := vaulttest.NewCA(t).Client(t, "host", time.Hour)
				b.WriteSettings(t, "cert", cert)
				b.WriteSettings(t, "key", key)
			}, "certificate login at auth/cert/login was refused",
		},
	} {
		t.Run(m.name, func(t *testing.T) {
			b, report := v.bundle(t, "k8s/shop/web", m.settings)
			credentials := []string{token, fileToken, secretID, wrapping, jwt, podJWT, key}
			for name, text := range m.files {
				b.WriteSettings(t, name, text)
			}
			v.starts(t, b, report, credentials...)
			v.starts(t, b, report, credentials...) // the second start has the same
			// The next start is to log in.
			rig.MustRun(t, rig.Binary(t), "logout", "--config", b.Config)
			m.spoil(t, b)
			refused(t, rig.Runc, b, report, 12, m.text)
		})
	}
}

// TestAsWorkload starts pods, and what would like to be one: it logs in as who
// it is or not at all, and the host's identity is never what is used instead.
func TestAsWorkload(t *testing.T) {
	rig.NeedRoot(t)
	v := newTenants(t)
	jwt := v.jwt("shop", "pod-1")
	for _, m := range []struct {
		name string
		edit func(t *testing.T, b *rig.Bundle, k *vaulttest.Kubelet, mount *specs.Mount)
		text string // "" for a start
	}{
		{"a pod", func(*testing.T, *rig.Bundle, *vaulttest.Kubelet, *specs.Mount) {}, ""},
		{"an annotation claims a namespace", func(_ *testing.T, b *rig.Bundle, _ *vaulttest.Kubelet, _ *specs.Mount) {
			b.Annotate("io.kubernetes.pod.namespace", "bank")
			b.Annotate("io.kubernetes.cri.sandbox-namespace", "bank")
		}, ""},
		{"no token", func(_ *testing.T, _ *rig.Bundle, _ *vaulttest.Kubelet, m *specs.Mount) {
			m.Destination = "/tmp/elsewhere"
		}, "no workload identity: nothing is mounted above"},
		{"a path of the host", func(t *testing.T, _ *rig.Bundle, _ *vaulttest.Kubelet, m *specs.Mount) {
			m.Source = t.TempDir()
			rig.WriteFile(t, filepath.Join(m.Source, "token"), v.jwt("bank", "pod-1"), 0o600)
		}, "kubernetes.io~projected/<name>"},
		{"a link to another pod", func(t *testing.T, _ *rig.Bundle, k *vaulttest.Kubelet, m *specs.Mount) {
			k.Project(t, "pod-2", v.jwt("bank", "pod-2"))
			if err := os.Symlink("pod-2", filepath.Join(k.Dir, "pods/pod-3")); err != nil {
				t.Fatal(err)
			}
			m.Source = strings.Replace(m.Source, "pod-1", "pod-3", 1)
		}, "leads through pod-3, which is no directory"},
		{"another pod's token", func(t *testing.T, _ *rig.Bundle, k *vaulttest.Kubelet, m *specs.Mount) {
			m.Source = k.Project(t, "pod-2", v.jwt("bank", "pod-3"))
		}, "is the token of another pod"},
		{"another pod's volume", func(t *testing.T, _ *rig.Bundle, k *vaulttest.Kubelet, m *specs.Mount) {
			m.Source = k.Project(t, "pod-2", v.jwt("bank", "pod-2"))
		}, "is of another pod than pod-2"},
		{"another pod's volume, outside of pods", func(t *testing.T, b *rig.Bundle, k *vaulttest.Kubelet, m *specs.Mount) {
			b.Spec.Linux.CgroupsPath = ""
			b.Annotate("io.kubernetes.cri.sandbox-uid", "pod-2") // as anybody may
			m.Source = k.Project(t, "pod-2", v.jwt("bank", "pod-2"))
		}, "nothing shows that it is of pod pod-2"},
		{"an expired token", func(t *testing.T, b *rig.Bundle, k *vaulttest.Kubelet, m *specs.Mount) {
			b.InPod(t, "pod-2")
			m.Source = k.Project(t, "pod-2", v.review.JWT("shop", "web", "pod-2", -time.Minute))
		}, "Kubernetes login at auth/kubernetes/login was refused"},
		{"a pod of another tenant", func(t *testing.T, b *rig.Bundle, k *vaulttest.Kubelet, m *specs.Mount) {
			b.InPod(t, "pod-2")
			m.Source = k.Project(t, "pod-2", v.jwt("bank", "pod-2"))
		}, "namespace not authorized"},
	} {
		t.Run(m.name, func(t *testing.T) {
			k := vaulttest.NewKubelet(t)
			b, report := v.bundle(t, "k8s/{namespace}/{service_account}",
				fmt.Sprintf("method = \"kubernetes\"\nrole = \"pods\"\nas_workload = true\nkubelet = %q", k.Dir))
			if err := os.MkdirAll(filepath.Join(b.Dir, "rootfs", serviceAccount), 0o755); err != nil {
				t.Fatal(err)
			}
			mount := specs.Mount{Destination: serviceAccount, Type: "bind", Source: k.Project(t, "pod-1", jwt), Options: []string{"rbind", "ro"}}
			b.InPod(t, "pod-1")
			m.edit(t, b, k, &mount)
			b.Spec.Mounts = append(b.Spec.Mounts, mount)
			b.Write(t)
			if m.text != "" {
				refused(t, rig.Runc, b, report, 12, m.text)
				return
			}
			v.starts(t, b, report, jwt)
			explain := rig.MustRun(t, rig.Binary(t), "explain", "--config", b.Config, "--bundle", b.Dir)
			if !strings.Contains(explain.Stdout, "SECRET") {
				t.Errorf("explain:\n%s", explain.Stdout)
			}
			without := rig.Run(t, rig.Binary(t), "explain", "--config", b.Config, "--annotation", from+"=vault:db")
			if without.Code != 16 || !strings.Contains(without.Stderr, "explain takes --bundle DIR") {
				t.Errorf("explain without a container: exit code %d\n%s", without.Code, without.Stderr)
			}
		})
	}
}
