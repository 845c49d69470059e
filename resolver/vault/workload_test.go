// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/vault"
	"github.com/oci-secrets/oci-secrets/spec"
	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// serviceAccount is where a pod has its token.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount"

// pod is a container's config.json, to be edited by a test, and the kubelet's
// volume of its pod, which has the uid "pod-1".
type pod struct {
	kubelet     *vaulttest.Kubelet
	volume      string
	mounts      []map[string]any
	annotations map[string]string
	cgroup      string
	auth        vault.Auth
	prefix      string
}

func (p *pod) mount(destination, source string) {
	p.mounts = append(p.mounts, map[string]any{"destination": destination, "source": source, "type": "bind", "options": []string{"rbind", "ro"}})
}

// data is the directory with the files of the volume.
func (p *pod) data() string { return filepath.Join(p.volume, "..2026_01_02_03_04_05.0123456789") }

func noError(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestWorkload logs in as who the container is, or not at all.
func TestWorkload(t *testing.T) {
	tokens := reader(t, "tenants/shop/web/db")
	review := vaulttest.StartTokenReview(t)
	server.JWTAuth(t, "jwt-pods", "pods", review.PublicKeyPEM, nil, tokens)
	server.Kubernetes(t, "k8s-pods", "pods", review, []string{"shop"}, tokens)
	jwt := func(namespace, uid string) string { return review.JWT(namespace, "web", uid, time.Minute) }
	const none = "the container has no workload identity"
	for name, tt := range map[string]struct {
		edit  func(t *testing.T, p *pod)
		texts []string // none for success
	}{
		"a pod":         {edit: func(*testing.T, *pod) {}},
		"by kubernetes": {edit: func(_ *testing.T, p *pod) { p.auth.Method, p.auth.Mount = "kubernetes", "k8s-pods" }},
		"below another": {edit: func(t *testing.T, p *pod) {
			p.mounts = nil
			p.mount("/", "/srv/root")
			p.mount("/var/run/", "/run/x")
			p.mount(serviceAccount+"/", p.volume)
			p.mount("/var/run/secrets/kubernetes.io/serviceaccount2", "/etc")
		}},
		"elsewhere": {edit: func(_ *testing.T, p *pod) {
			p.mounts = nil
			p.mount("/vault", p.volume)
			p.auth.WorkloadToken = "/vault/token"
		}},
		"further down": {edit: func(t *testing.T, p *pod) {
			noError(t, os.Mkdir(p.data()+"/deep", 0o755), os.Rename(p.data()+"/token", p.data()+"/deep/token"), os.Symlink("..data/deep", p.volume+"/deep"))
			p.auth.WorkloadToken = serviceAccount + "/deep/token"
		}},
		"of the container's user": {edit: func(t *testing.T, p *pod) {
			noError(t, os.Chown(p.data()+"/token", 1000, 1000), os.Chmod(p.data()+"/token", 0o600), os.Chmod(p.volume, os.ModeSticky|os.ModeSetgid|0o777), os.Chown(p.volume, 0, 2000))
		}},
		"a kubelet behind a link": {edit: func(t *testing.T, p *pod) {
			link := filepath.Join(t.TempDir(), "kubelet")
			noError(t, os.Symlink(p.kubelet.Dir, link))
			p.auth.Kubelet = link // the source is what it leads to
		}},
		"a source behind that link": {edit: func(t *testing.T, p *pod) {
			link := filepath.Join(t.TempDir(), "kubelet")
			noError(t, os.Symlink(p.kubelet.Dir, link))
			p.mounts[0]["source"] = strings.Replace(p.volume, p.kubelet.Dir, link, 1)
			p.auth.Kubelet = link
		}},
		"of root": {edit: func(t *testing.T, p *pod) {
			noError(t, os.Lchown(p.volume+"/token", 0, 0), os.Chown(p.data()+"/token", 0, 0), os.Chmod(p.data()+"/token", 0o644))
		}},
		"of its issuer": {edit: func(_ *testing.T, p *pod) { p.auth.WorkloadIssuer = vaulttest.Issuer }},
		"another issuer's": {func(_ *testing.T, p *pod) { p.auth.WorkloadIssuer = "https://kubernetes.example" }, []string{
			none, fmt.Sprintf("is a token of the issuer %q, and workload_issuer is \"https://kubernetes.example\"", vaulttest.Issuer),
		}},
		"nobody's": {func(t *testing.T, p *pod) {
			c := vaulttest.Claims("shop", "web", "pod-1", time.Minute)
			delete(c, "iss")
			p.put(t, review.Sign(c))
			p.auth.WorkloadIssuer = vaulttest.Issuer
		}, []string{none, `is a token of the issuer ""`}},
		"annotations lie": {edit: func(_ *testing.T, p *pod) {
			p.annotations["io.kubernetes.cri.sandbox-namespace"], p.annotations["io.kubernetes.pod.namespace"] = "bank", "bank"
		}},
		"the engine agrees": {edit: func(_ *testing.T, p *pod) {
			p.annotations["io.kubernetes.cri.sandbox-uid"] = "pod-1"
			p.annotations["io.kubernetes.cri-o.Labels"] = `{"io.kubernetes.pod.uid":"pod-1"}`
			p.cgroup = "kubepods-burstable-podpod_1.slice:cri-containerd:0123"
		}},
		"the engine agrees, without systemd": {edit: func(_ *testing.T, p *pod) { p.cgroup = "/kubepods/besteffort/podpod-1/0123" }},
		"below a group of the kubelet's":     {edit: func(_ *testing.T, p *pod) { p.cgroup = "/kubelet/kubepods/podpod-1/0123" }},
		"below a slice of the kubelet's":     {edit: func(_ *testing.T, p *pod) { p.cgroup = "kubelet-kubepods-podpod_1.slice:crio:0123" }},

		"the engine says nothing of pods": {func(_ *testing.T, p *pod) { p.cgroup = "user.slice:runc:pod-1" }, []string{none, "nothing shows that it is of pod pod-1", "linux.cgroupsPath"}},
		"the engine says nothing":         {func(_ *testing.T, p *pod) { p.cgroup = "" }, []string{none, "nothing shows that it is of pod pod-1"}},
		"a name that looks like a pod's":  {func(_ *testing.T, p *pod) { p.cgroup = "/default/x-kubepods-podpod-1" }, []string{none, "nothing shows that it is of pod pod-1"}},
		"a unit that looks like a pod's":  {func(_ *testing.T, p *pod) { p.cgroup = "system.slice:kubepods-podpod_1.slice:0123" }, []string{none, "nothing shows that it is of pod pod-1"}},
		"annotations alone agree": {func(_ *testing.T, p *pod) {
			p.cgroup = "machine.slice:libpod:0123"
			p.annotations["io.kubernetes.cri.sandbox-uid"], p.annotations["io.kubernetes.pod.uid"] = "pod-1", "pod-1"
			p.annotations["io.kubernetes.cri-o.Labels"] = `{"io.kubernetes.pod.uid":"pod-1"}`
		}, []string{none, "nothing shows that it is of pod pod-1"}},

		"no mount":      {func(_ *testing.T, p *pod) { p.mounts = nil }, []string{none, "nothing is mounted above " + serviceAccount + "/token", "automountServiceAccountToken"}},
		"another mount": {func(_ *testing.T, p *pod) { p.mounts[0]["destination"] = "/run/secrets/kubernetes.io/serviceaccount" }, []string{none, "nothing is mounted above"}},
		"a relative destination": {func(_ *testing.T, p *pod) { p.mounts[0]["destination"] = strings.TrimPrefix(serviceAccount, "/") }, []string{
			none, "nothing is mounted above",
		}},
		"another kind":      {func(_ *testing.T, p *pod) { p.mounts[0]["type"] = "tmpfs" }, []string{none, "not a volume that the kubelet projected"}},
		"the file itself":   {func(_ *testing.T, p *pod) { p.mount(serviceAccount+"/token", p.data()+"/token") }, []string{none, "not a volume that the kubelet projected"}},
		"another lies over": {func(_ *testing.T, p *pod) { p.mount("/var/run/secrets", "/srv/secrets") }, []string{none, "/srv/secrets is not "}},
		"a path of the host": {func(t *testing.T, p *pod) {
			dir := t.TempDir()
			noError(t, os.CopyFS(dir, os.DirFS(p.data())))
			p.mounts[0]["source"] = dir
		}, []string{none, "/pods/<uid>/volumes/kubernetes.io~projected/<name>", "set kubelet to"}},
		"another kind of volume": {func(t *testing.T, p *pod) {
			dir := filepath.Join(p.kubelet.Dir, "pods/pod-1/volumes/kubernetes.io~empty-dir/kube-api-access-x7k2p")
			noError(t, os.MkdirAll(dir, 0o755), os.CopyFS(dir, os.DirFS(p.data())))
			p.mounts[0]["source"] = dir
		}, []string{none, "kubernetes.io~projected/<name>"}},
		"a part of a volume": {func(_ *testing.T, p *pod) { p.mounts[0]["source"] = p.data() }, []string{none, "kubernetes.io~projected/<name>"}},
		"not cleaned":        {func(_ *testing.T, p *pod) { p.mounts[0]["source"] = p.volume + "/../kube-api-access-x7k2p" }, []string{none, "kubernetes.io~projected/<name>"}},
		"itself":             {func(_ *testing.T, p *pod) { p.mounts[0]["source"] = filepath.Dir(p.volume) + "/." }, []string{none, "kubernetes.io~projected/<name>"}},
		"a volume that is none, in memory": {func(t *testing.T, p *pod) {
			data, above := t.TempDir(), filepath.Dir(p.volume)
			noError(t, os.CopyFS(data, os.DirFS(p.data())), unix.Unmount(p.volume, unix.MNT_DETACH))
			tmpfs(t, above, "mode=0755")
			noError(t, os.CopyFS(p.volume, os.DirFS(data)))
		}, []string{none, "not a file system in memory of its own"}},
		"with a dot":           {func(_ *testing.T, p *pod) { p.mounts[0]["source"] = strings.Replace(p.volume, "/pod-1/", "/../", 1) }, []string{none, "kubernetes.io~projected/<name>"}},
		"with a slash":         {func(_ *testing.T, p *pod) { p.mounts[0]["source"] = p.volume + "/" }, []string{none, "kubernetes.io~projected/<name>"}},
		"another kubelet":      {func(_ *testing.T, p *pod) { p.auth.Kubelet = "/var/lib" }, []string{none, "/var/lib/pods/<uid>"}},
		"no kubelet":           {func(_ *testing.T, p *pod) { p.auth.Kubelet = "/nowhere" }, []string{none, "the kubelet's directory /nowhere"}},
		"a pod that is a link": {func(t *testing.T, p *pod) { linkTo(t, p, "pods/pod-2", "pod-1") }, []string{none, "leads through pod-2, which is no directory"}},
		"a volume that is one": {func(t *testing.T, p *pod) {
			linkTo(t, p, filepath.Dir(p.volume[len(p.kubelet.Dir)+1:])+"/other", p.volume)
		}, []string{none, "leads through other, which is no directory"}},
		"a volume that is none": {func(t *testing.T, p *pod) { noError(t, unix.Unmount(p.volume, unix.MNT_DETACH)) }, []string{none, "not a file system in memory of its own"}},
		"a volume not in memory": {func(t *testing.T, p *pod) {
			noError(t, unix.Unmount(p.volume, unix.MNT_DETACH), unix.Mount("proc", p.volume, "proc", 0, ""))
		}, []string{none, "not a file system in memory of its own"}},
		"a volume without a sticky bit": {func(t *testing.T, p *pod) { noError(t, os.Chmod(p.volume, 0o777)) }, []string{none, "a directory where others can write"}},
		"somebody's volume":             {func(t *testing.T, p *pod) { noError(t, os.Chown(p.volume, 1000, 0)) }, []string{none, "where others can write"}},
		"somebody's pods":               {func(t *testing.T, p *pod) { noError(t, os.Chown(p.kubelet.Dir+"/pods", 1000, 0)) }, []string{none, "is in pods, where others can write"}},
		"pods for all":                  {func(t *testing.T, p *pod) { noError(t, os.Chmod(p.kubelet.Dir+"/pods", 0o777)) }, []string{none, "is in pods, where others can write"}},
		"a kubelet for all":             {func(t *testing.T, p *pod) { noError(t, os.Chmod(p.kubelet.Dir, 0o775)) }, []string{none, "where others can write"}},
		"somebody's ..data":             {func(t *testing.T, p *pod) { noError(t, os.Lchown(p.volume+"/..data", 1000, 0)) }, []string{none, "..data is not the kubelet's alone"}},
		"somebody's files":              {func(t *testing.T, p *pod) { noError(t, os.Chown(p.data(), 1000, 0)) }, []string{none, "..data is not the kubelet's alone"}},
		"files for all":                 {func(t *testing.T, p *pod) { noError(t, os.Chmod(p.data(), 0o777)) }, []string{none, "..data is not the kubelet's alone"}},
		"no ..data":                     {func(t *testing.T, p *pod) { noError(t, os.Remove(p.volume+"/..data")) }, []string{none, "..data cannot be read: it does not exist"}},
		"..data leads out": {func(t *testing.T, p *pod) {
			dir := t.TempDir()
			noError(t, os.CopyFS(dir, os.DirFS(p.data())), os.Remove(p.volume+"/..data"), os.Symlink(dir, p.volume+"/..data"))
		}, []string{none, "..data cannot be read"}},
		"a link of its user's to a file of its own": {func(t *testing.T, p *pod) {
			noError(t, os.Remove(p.data()+"/token"), os.WriteFile(p.volume+"/mine", []byte(jwt("shop", "pod-1")), 0o600),
				os.Remove(p.volume+"/token"), os.Symlink("mine", p.volume+"/token"))
		}, []string{none, "token cannot be read: it does not exist"}},
		"a token for all": {func(t *testing.T, p *pod) { noError(t, os.Chmod(p.data()+"/token", 0o666)) }, []string{none, "a file that nobody else can write"}},
		"no token":        {func(t *testing.T, p *pod) { noError(t, os.Remove(p.data()+"/token")) }, []string{none, "token cannot be read"}},
		"a token of a fifo": {func(t *testing.T, p *pod) {
			noError(t, os.Remove(p.data()+"/token"), unix.Mkfifo(p.data()+"/token", 0o600))
		}, []string{none, "must be a file"}},
		"a token that leads out": {func(t *testing.T, p *pod) {
			host := file(t, jwt("shop", "pod-1"))
			noError(t, os.Remove(p.data()+"/token"), os.Symlink(host, p.data()+"/token"))
		}, []string{none, "token cannot be read"}},
		"a token above": {func(t *testing.T, p *pod) {
			noError(t, os.WriteFile(filepath.Dir(p.volume)+"/token", []byte(jwt("shop", "pod-1")), 0o600),
				os.Remove(p.data()+"/token"), os.Symlink("../../token", p.data()+"/token"))
		}, []string{none, "token cannot be read"}},
		"a large token":   {func(t *testing.T, p *pod) { noError(t, os.Truncate(p.data()+"/token", 60<<20)) }, []string{none, "is larger than"}},
		"another's token": {func(t *testing.T, p *pod) { p.put(t, jwt("shop", "pod-2")) }, []string{none, "is in the volume of pod pod-1, and is the token of another pod"}},
		"a host's token": {func(t *testing.T, p *pod) {
			c := vaulttest.Claims("shop", "web", "pod-1", time.Minute)
			delete(c, "kubernetes.io")
			p.put(t, review.Sign(c))
		}, []string{none, "not the token of a service account that is bound to a pod"}},
		"a token of no pod": {func(t *testing.T, p *pod) {
			c := vaulttest.Claims("shop", "web", "pod-1", time.Minute)
			delete(c["kubernetes.io"].(map[string]any), "pod")
			p.put(t, review.Sign(c))
		}, []string{none, "bound to a pod"}},
		"no token of any kind": {func(t *testing.T, p *pod) { p.put(t, canary) }, []string{none, "it has not three parts"}},
		"containerd disagrees": {func(_ *testing.T, p *pod) { p.annotations["io.kubernetes.cri.sandbox-uid"] = "pod-2" }, []string{
			none, "the engine says with io.kubernetes.cri.sandbox-uid that the container is of another pod than pod-1, whose volume it mounts",
		}},
		"CRI-O disagrees": {func(_ *testing.T, p *pod) {
			p.annotations["io.kubernetes.cri-o.Labels"] = `{"io.kubernetes.pod.uid":"pod-2"}`
		}, []string{none, "io.kubernetes.cri-o.Labels", "of another pod than pod-1"}},
		"a label disagrees": {func(_ *testing.T, p *pod) { p.annotations["io.kubernetes.pod.uid"] = "pod-2" }, []string{none, "io.kubernetes.pod.uid", "of another pod than pod-1"}},
		"another control group": {func(_ *testing.T, p *pod) {
			p.cgroup = "kubepods-burstable-podpod_2.slice:cri-containerd:0123"
		}, []string{none, "cgroupsPath", "of another pod than pod-1"}},
		"another control group, without systemd": {func(_ *testing.T, p *pod) { p.cgroup = "/kubepods/besteffort/podpod-2/0123" }, []string{none, "cgroupsPath"}},
		"an expired token":                       {func(t *testing.T, p *pod) { p.put(t, review.JWT("shop", "web", "pod-1", -time.Hour)) }, []string{"JWT login at auth/jwt-pods/login was refused", "clock"}},
		"a forged token": {func(t *testing.T, p *pod) {
			p.put(t, vaulttest.NewSigner(t).JWT("shop", "web", "pod-1", time.Minute))
		}, []string{"JWT login at auth/jwt-pods/login was refused"}},
		"another namespace": {func(t *testing.T, p *pod) { p.put(t, jwt("bank", "pod-1")) }, []string{"tenants/bank/web/db", "policies do not allow it"}},
		"another namespace, by kubernetes": {func(t *testing.T, p *pod) {
			p.put(t, jwt("bank", "pod-1"))
			p.auth.Method, p.auth.Mount = "kubernetes", "k8s-pods"
		}, []string{"namespace not authorized"}},
		"a namespace that leaves":   {func(t *testing.T, p *pod) { p.put(t, jwt("..", "pod-1")) }, []string{`{namespace} is ".." here`}},
		"a namespace with a slash":  {func(t *testing.T, p *pod) { p.put(t, jwt("bank/web/db", "pod-1")) }, []string{`{namespace} is "bank/web/db" here`}},
		"a namespace that is coded": {func(t *testing.T, p *pod) { p.put(t, jwt("b%2fank", "pod-1")) }, []string{`{namespace} is "b%2fank" here`}},
		"a role that is not there":  {func(_ *testing.T, p *pod) { p.auth.Role = "admin" }, []string{`role "admin" could not be found`}},
	} {
		t.Run(name, func(t *testing.T) {
			p := &pod{
				kubelet: vaulttest.NewKubelet(t), annotations: map[string]string{}, prefix: "containers/tenants/{namespace}/{service_account}",
				cgroup: "/kubepods/burstable/podpod-1/0123",
				auth:   vault.Auth{Method: "jwt", Mount: "jwt-pods", Role: "pods", AsWorkload: true, WorkloadToken: serviceAccount + "/token"},
			}
			p.auth.Kubelet = p.kubelet.Dir
			p.volume = p.kubelet.Project(t, "pod-1", jwt("shop", "pod-1"))
			p.mount(serviceAccount, p.volume)
			tt.edit(t, p)
			text, err := json.Marshal(map[string]any{
				"mounts": p.mounts, "annotations": p.annotations, "linux": map[string]any{"cgroupsPath": p.cgroup},
			})
			noError(t, err)
			c := config(server, kv2, "")
			c.Auth, c.Prefix = p.auth, p.prefix
			s, err := vault.New(c, containerOf(text))
			noError(t, err)
			for range 2 { // the second time it is known already
				_, err = get(t, s, 5*time.Second, "db", 0)
				if tt.texts == nil {
					noError(t, err)
					continue
				}
				wantFault(t, err, fault.Refused, tt.texts...)
				if got := fault.Outcome(err); tt.texts[0] == none && got != string(fault.Denied) {
					t.Errorf("outcome %q", got)
				}
				harmless(t, err, jwt("shop", "pod-1"))
			}
		})
	}
}

// linkTo makes a link below the kubelet's directory and takes it as the source.
func linkTo(t *testing.T, p *pod, name, to string) {
	t.Helper()
	link := filepath.Join(p.kubelet.Dir, name)
	noError(t, os.Symlink(to, link))
	if strings.HasPrefix(name, "pods/pod-2") {
		link = strings.Replace(p.volume, "pod-1", "pod-2", 1)
	}
	p.mounts[0]["source"] = link
}

// put puts another token into the volume.
func (p *pod) put(t *testing.T, jwt string) {
	t.Helper()
	noError(t, os.WriteFile(p.data()+"/token", []byte(jwt), 0o644))
}

// TestNoContainer has who asks without a container, and one that cannot be read.
func TestNoContainer(t *testing.T) {
	broken := func() (*spec.Doc, error) { return spec.ParseDoc([]byte(`{"mounts": [`)) }
	for name, tt := range map[string]struct {
		container resolver.Container
		class     fault.Class
		text      string
	}{
		"none":     {resolver.Container{}, fault.Delivery, "there is no container here"},
		"broken":   {resolver.Container{Spec: broken}, fault.Document, "not a JSON document"},
		"no array": {containerOf([]byte(`{"mounts": {}}`)), fault.Document, "mounts is not an array"},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(server, kv2, "")
			c.Auth = vault.Auth{Method: "jwt", Role: "x", AsWorkload: true}
			s, err := vault.New(c, tt.container)
			noError(t, err)
			_, err = get(t, s, 5*time.Second, "db", 0)
			wantFault(t, err, tt.class, tt.text)

			c.Prefix = "{namespace}"
			s, err = vault.New(c, tt.container)
			noError(t, err)
			_, err = get(t, s, 5*time.Second, "db", 0)
			wantFault(t, err, tt.class, "prefix: {namespace} is not known", tt.text)
		})
	}
}

// TestFacts has the placeholders that need no pod.
func TestFacts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("who runs it is not root")
	}
	host, err := os.Hostname()
	noError(t, err)
	server.Put(t, 2, kv2, "facts/root/on-"+host+"/db", map[string]any{"K": canary})
	c := config(server, kv2, server.RootToken)
	c.Prefix = "facts/{user}/on-{host}"
	if _, err := get(t, source(t, c), 5*time.Second, "db", 0); err != nil {
		t.Error(err)
	}
	_, err = get(t, source(t, c), 5*time.Second, "absent", 0)
	wantFault(t, err, fault.Missing, "secret/data/facts/root/on-"+host+"/absent")
}
