// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/test/rig"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func from(list string) annotations { return annotations{"secrets.oci/from": list} }

// TestDelivers has pods of two containers, web and worker, by each way in.
func TestDelivers(t *testing.T) {
	both := annotations{"secrets.oci/from": "db", "secrets.oci/from.web": "stripe", "secrets.oci/dict": `{"DB_USER": "dict", "MODE": "x"}`}
	cases := []struct {
		name        string
		pod, own    annotations // own are those of the container web
		web, worker map[string]string
	}{
		{name: "nothing", pod: annotations{"a/b": "c"}, web: map[string]string{}},
		{
			name: "for the pod, in order", pod: from("db stripe"),
			web:    map[string]string{"DB_USER": "app", "DB_PASSWORD": "hunter2", "STRIPE_KEY": "sk_1", "SHARED": "stripe"},
			worker: map[string]string{"DB_USER": "app", "DB_PASSWORD": "hunter2", "STRIPE_KEY": "sk_1", "SHARED": "stripe"},
		},
		{
			name: "in the other order, renamed", pod: from("stripe db#SHARED#DB_USER=FROM_IMAGE"),
			web:    map[string]string{"STRIPE_KEY": "sk_1", "SHARED": "db", "FROM_IMAGE": "app"},
			worker: map[string]string{"STRIPE_KEY": "sk_1", "SHARED": "db", "FROM_IMAGE": "app"},
		},
		{
			name: "for one container", pod: annotations{"secrets.oci/from.web": "stripe"},
			web: map[string]string{"STRIPE_KEY": "sk_1", "SHARED": "stripe"},
		},
		{
			name: "for the pod and for one container", pod: both,
			web:    map[string]string{"STRIPE_KEY": "sk_1", "SHARED": "stripe", "DB_USER": "dict", "MODE": "x"},
			worker: map[string]string{"DB_USER": "dict", "DB_PASSWORD": "hunter2", "SHARED": "db", "MODE": "x"},
		},
		{
			name: "before the domain, and one exempt", pod: annotations{"secrets.oci/from": "db", "web.secrets.oci/from": "stripe+dict:no~40where?", "secrets.oci/from.worker": "none:"},
			web: map[string]string{"STRIPE_KEY": "sk_1", "SHARED": "stripe"},
		},
		{
			name: "the container's own wins", pod: from("db"), own: from("stripe"),
			web:    map[string]string{"STRIPE_KEY": "sk_1", "SHARED": "stripe"},
			worker: map[string]string{"DB_USER": "app", "DB_PASSWORD": "hunter2", "SHARED": "db"},
		},
	}
	each(t, ways, func(t *testing.T, w way) {
		s := newSite(t, w, three)
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				p := s.pod(t, c.pod)
				_, r := s.up(t, p, "web", c.own)
				wantEnv(t, "web", r.Env, c.web)
				_, r = s.up(t, p, "worker", nil)
				wantEnv(t, "worker", r.Env, c.worker)
			})
		}
	})
}

// wantEnv checks a container's variables against those that its secrets set.
func wantEnv(t *testing.T, name string, env []string, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for _, e := range env {
		if key, value, _ := strings.Cut(e, "="); key != "PATH" && key != "HOSTNAME" && e != "HOME=/" && e != "FROM_IMAGE=image" {
			if _, twice := got[key]; twice {
				t.Errorf("%s: %s is set twice", name, key)
			}
			got[key] = value
		}
	}
	if want == nil {
		want = map[string]string{}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got)\n%s", name, d)
	}
	if v, _ := rig.Value(env, "PATH"); v != "/bin" {
		t.Errorf("%s has lost its PATH", name)
	}
}

// Without a way in, annotations mean nothing to containerd, and the container
// starts. So it does under a shim that is not shown them.
func TestOff(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]way{"no plugin": {}, "the handler passes no annotations on": {shim: true, blind: true}} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, w, three)
			_, r := s.up(t, s.pod(t, from("db")), "web", from("absent"))
			wantEnv(t, "web", r.Env, nil)
		})
	}
}

// The plugin and the shim do not get in each other's way: the hook is listed
// once, and exec sees what it delivers.
func TestPluginAndShim(t *testing.T) {
	t.Parallel()
	s := newSite(t, way{plugin: true, shim: true}, three)
	id, r := s.up(t, s.pod(t, from("db")), "web", nil)
	rig.WantVar(t, r.Env, "DB_USER", "app")
	s.have(t, secrets{"db": {"DB_USER": "rotated"}})
	rig.WantVar(t, s.execReport(t, id).Env, "DB_USER", "app")
	s.stopContainer(t, id)
	if status := s.status(t, id).Status; status.State != cri.ContainerState_CONTAINER_EXITED {
		t.Errorf("the container is %v", status.State)
	}
}

// An exec sees nothing of what came in flight, unless it goes through the shim.
func TestExecWithoutShim(t *testing.T) {
	t.Parallel()
	s := newSite(t, way{plugin: true}, three)
	id, r := s.up(t, s.pod(t, from("db")), "web", nil)
	rig.WantVar(t, r.Env, "DB_USER", "app")
	rig.WantNone(t, s.execReport(t, id).Env, "DB_USER", "DB_PASSWORD")
}
