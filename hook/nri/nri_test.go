// SPDX-License-Identifier: Apache-2.0

package nri

import (
	"fmt"
	"strings"
	"testing"

	"github.com/containerd/nri/pkg/api"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/oci-secrets/oci-secrets/hook/printable"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

type annotations = map[string]string

const (
	binary  = "/usr/local/bin/oci-secrets"
	criName = "io.kubernetes.cri.container-name"
)

// ours is the hook as the plugin lists it.
func ours() []*api.Hook {
	return []*api.Hook{{Path: binary, Args: []string{"oci-secrets", "hook", "--config", "/c"}, Timeout: api.Int(150)}}
}

// cases are containers, and what the plugin makes of them.
var cases = []struct {
	name           string
	pod, container annotations
	hooks          *api.Hooks
	want           annotations // that are added, with the hook; nil for nothing
	unhooked       bool        // the hook is not added, because it is there
	err            string
}{
	{name: "nothing"},
	{name: "other annotations", pod: annotations{"secret.oci/from": "db", "a/b": "c"}, container: annotations{"d": "e"}},
	{
		name: "for the pod", pod: annotations{"secrets.oci/from": "db", "a/b": "c", "io.kubernetes.cri.container-type": "sandbox"},
		want: annotations{"secrets.oci/from": "db", criName: "web"},
	},
	{
		name: "the container's own wins", pod: annotations{"secrets.oci/from": "db", "secrets.oci/dict": `{"A":"1"}`},
		container: annotations{"secrets.oci/from": "stripe"},
		want:      annotations{"secrets.oci/from": "stripe", "secrets.oci/dict": `{"A":"1"}`, criName: "web"},
	},
	{
		name: "for this container of the pod", pod: annotations{"secrets.oci/from.web": "db"},
		want: annotations{"secrets.oci/from.web": "db", criName: "web"},
	},
	{name: "for another container of the pod", pod: annotations{"secrets.oci/from.worker": "db"}},
	{
		name: "for this container, before the domain", pod: annotations{"secrets.oci/from": "db", "web.secrets.oci/from": "stripe"},
		want: annotations{"secrets.oci/from": "db", "web.secrets.oci/from": "stripe", criName: "web"},
	},
	{name: "this container is exempt", pod: annotations{"secrets.oci/from": "db", "secrets.oci/from.web": "none:"}},
	{
		name: "a list that was cut in two", pod: annotations{"secrets.oci/from": "db"}, container: annotations{"db#K": "V"},
		err: `annotation "db#K": it is the rest of a list that was cut in two`,
	},
	{name: "the rest of a list of nobody's", pod: annotations{"db#K": "V"}},
	{
		name: "CRI-O's name of the container", pod: annotations{"secrets.oci/from.web": "db"},
		container: annotations{"io.kubernetes.container.name": "web"},
		want:      annotations{"secrets.oci/from.web": "db", "io.kubernetes.container.name": "web"},
	},
	{
		name: "names that disagree", pod: annotations{"secrets.oci/from.web": "db"},
		container: annotations{"io.kubernetes.container.name": "web", criName: "worker"},
		err:       "disagree about this container's name",
	},
	{
		name: "a typo", pod: annotations{"Secrets.oci/form": "db"},
		err: "oci-secrets: annotation Secrets.oci/form: no such key (did you mean secrets.oci/from?)",
	},
	{name: "two mistakes", pod: annotations{"secrets.oci/from": "a,,b c#"}, err: "item 2 is empty; annotation secrets.oci/from: item 4"},
	{name: "an empty list", pod: annotations{"secrets.oci/from": " "}, err: "annotation secrets.oci/from: the list is empty"},
	{
		name: "a file of the author's for what hooks say, of the pod", pod: annotations{"secrets.oci/from": "db", "run.oci.hooks.stderr": "/etc/ld.so.preload"},
		err: "they have crun write what we say, as root, to a file of the container's choice (take the annotation away",
	},
	{
		name: "a file of the author's for what hooks say, of the container", pod: annotations{"secrets.oci/from": "db"},
		container: annotations{"run.oci.hooks.stdout": "/x"}, err: "to a file of the container's choice",
	},
	{
		name: "standard error for what hooks say", pod: annotations{"secrets.oci/from": "db"},
		container: annotations{"run.oci.hooks.stderr": "/dev/stderr"}, want: annotations{"secrets.oci/from": "db", criName: "web"},
	},
	{name: "a file for what others' hooks say", pod: annotations{"run.oci.hooks.stderr": "/x"}},
	{
		name: "another hook is there", pod: annotations{"secrets.oci/from": "db"},
		hooks: &api.Hooks{Prestart: []*api.Hook{{Path: "/bin/true"}}, Poststop: ours()},
		want:  annotations{"secrets.oci/from": "db", criName: "web"},
	},
	{
		name: "a hook of somebody else's, called like ours", pod: annotations{"secrets.oci/from": "db"},
		hooks: &api.Hooks{Prestart: []*api.Hook{{Path: "/opt/oci-secrets-x", Args: []string{"oci-secrets-x", "hook"}}}},
		want:  annotations{"secrets.oci/from": "db", criName: "web"},
	},
	{
		name: "the hook is there", pod: annotations{"secrets.oci/from": "db"},
		hooks: &api.Hooks{Prestart: []*api.Hook{{Path: "/opt/oci-secrets", Args: []string{"oci-secrets", "hook"}}}},
		want:  annotations{"secrets.oci/from": "db", criName: "web"}, unhooked: true,
	},
}

func TestCreateContainer(t *testing.T) {
	p := &Plugin{Path: binary, Config: "/c"}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			adjust, updates, err := p.CreateContainer(t.Context(), &api.PodSandbox{Annotations: c.pod},
				&api.Container{Name: "web", Annotations: c.container, Hooks: c.hooks})
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v, want %s", err, c.err)
				}
				return
			}
			if err != nil || updates != nil {
				t.Fatal(err, updates)
			}
			var want *api.ContainerAdjustment
			if c.want != nil {
				want = &api.ContainerAdjustment{Annotations: c.want}
				if !c.unhooked {
					want.Hooks = &api.Hooks{CreateRuntime: ours(), Poststop: ours()}
				}
			}
			if d := cmp.Diff(want, adjust, protocmp.Transform()); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

// TestGuard holds the guard to the plugin: what the plugin has seen passes, and
// what it should have seen does not.
func TestGuard(t *testing.T) {
	p := &Plugin{Path: binary, Config: "/c"}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			req := &api.ValidateContainerAdjustmentRequest{
				Pod:       &api.PodSandbox{Name: "pod", Namespace: "ns", Annotations: c.pod},
				Container: &api.Container{Name: "web", Annotations: c.container, Hooks: c.hooks},
			}
			want := c.err
			if c.want != nil {
				want = "container web of pod ns/pod asks for secrets, and the NRI plugin oci-secrets has not added its hook"
			}
			check := func(want string) {
				t.Helper()
				if err := (Guard{p}).ValidateContainerAdjustment(t.Context(), req); (err == nil) != (want == "") ||
					err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
			}
			check(want)
			if c.err != "" {
				return
			}
			req.Adjust, _, _ = p.CreateContainer(t.Context(), req.Pod, req.Container)
			check("")
			if c.want != nil && !c.unhooked {
				req.Adjust.Annotations["run.oci.hooks.stderr"] = "/x" // by another plugin
				check("to a file of the container's choice")
				delete(req.Adjust.Annotations, "run.oci.hooks.stderr")
				req.Adjust.Hooks.CreateRuntime = nil
				check(want)
			}
			if c.want != nil {
				req.Adjust.Hooks = &api.Hooks{CreateRuntime: ours()}
				req.Adjust.Annotations = nil
				check(want)
			}
		})
	}
}

// TestSynchronize finds the containers that were started without their secrets.
func TestSynchronize(t *testing.T) {
	const running, stopped = api.ContainerState_CONTAINER_RUNNING, api.ContainerState_CONTAINER_STOPPED
	pods := []*api.PodSandbox{
		{Id: "p", Name: "pod", Namespace: "ns", Annotations: annotations{"secrets.oci/from": "db"}},
		{Id: "q", Name: "other", Namespace: "ns"},
	}
	containers := []*api.Container{
		{Name: "bare", PodSandboxId: "p", State: running},
		{Name: "hooked", PodSandboxId: "p", State: running, Hooks: &api.Hooks{CreateRuntime: ours()}},
		{Name: "ended", PodSandboxId: "p", State: stopped},
		{Name: "free", PodSandboxId: "q", State: running},
		{Name: "own", PodSandboxId: "q", State: running, Annotations: annotations{"secrets.oci/from": "db"}},
	}
	var said []string
	p := &Plugin{say: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }}
	if updates, err := p.Synchronize(t.Context(), pods, containers); err != nil || updates != nil {
		t.Fatal(updates, err)
	}
	const rest = " asks for secrets and has been created without the hook: create it again"
	if d := cmp.Diff([]string{"container bare of pod ns/pod" + rest, "container own of pod ns/other" + rest}, said); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// TestHostileText has a pod's author write to whoever reads events and logs.
func TestHostileText(t *testing.T) {
	const hostile = "a\x1b[2J\u009b2J\u202e\n<24>sshd[1]: x"
	p := &Plugin{Path: binary}
	_, _, err := p.CreateContainer(t.Context(), &api.PodSandbox{Annotations: annotations{"secrets.oci/" + hostile: hostile}}, &api.Container{Name: hostile})
	if err == nil {
		t.Fatal("it is accepted")
	}
	req := &api.ValidateContainerAdjustmentRequest{
		Pod:       &api.PodSandbox{Name: hostile, Namespace: hostile, Annotations: annotations{"secrets.oci/from": "db"}},
		Container: &api.Container{Name: hostile},
	}
	guard := (Guard{}).ValidateContainerAdjustment(t.Context(), req)
	var log strings.Builder
	(&Options{Log: &log}).tell("%s", hostile)
	quoting := oneLine(fault.New(fault.Annotation, hostile, "%s", hostile))
	for _, text := range []string{err.Error(), guard.Error(), quoting.Error(), strings.TrimSuffix(log.String(), "\n")} {
		if printable.Line(text) != text {
			t.Errorf("%q", text)
		}
	}
}

func BenchmarkCreateContainer(b *testing.B) {
	p := &Plugin{Path: binary}
	pod := &api.PodSandbox{Annotations: annotations{"secrets.oci/from": "db stripe#API_KEY dotenv:web?"}}
	c := &api.Container{Name: "web", Annotations: annotations{criName: "web"}}
	for b.Loop() {
		if _, _, err := p.CreateContainer(b.Context(), pod, c); err != nil {
			b.Fatal(err)
		}
	}
}
