// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// kept is where the shim has the variables for exec: in memory, for root alone.
const kept = "RUN/oci-secrets/exec/FILE"

// TestCanary looks for a value in everything that containerd, its clients and the
// runtime write or say. README has the same table.
func TestCanary(t *testing.T) {
	each(t, ways, func(t *testing.T, w way) {
		canary := rig.Canary()
		s := newSite(t, w, secrets{"db": {"CANARY": canary}})
		var exec []string
		if w.shim {
			exec = []string{kept}
		}
		check := func(when string, want []string, hits map[string]bool) {
			t.Helper()
			if d := cmp.Diff(want, slices.Sorted(maps.Keys(hits))); d != "" {
				t.Errorf("the value is seen %s (-want +got):\n%s", when, d)
			}
		}
		p := s.pod(t, from("db"))
		id, err := p.create(t, "web", s.vol, nil, rig.PayloadPath, "wait", "/vol/web")
		if err != nil {
			t.Fatal(err)
		}
		check("before there is a process", nil, s.seen(t, canary, id))
		if err := p.start(t, id); err != nil {
			t.Fatal(err)
		}
		rig.WantVar(t, rig.AwaitReport(t, s.vol+"/web").Env, "CANARY", canary)
		if err := os.Remove(s.vol + "/web"); err != nil {
			t.Fatal(err)
		}
		if v, _ := rig.Value(s.execReport(t, id).Env, "CANARY"); (v == canary) != w.shim {
			t.Errorf("exec sees %q", v)
		}
		check("while the container runs", exec, s.seen(t, canary, id))
		s.stopContainer(t, id)
		check("when it has ended", nil, s.seen(t, canary, id))
		if _, err := s.runtime.RemoveContainer(t.Context(), &cri.RemoveContainerRequest{ContainerId: id}); err != nil {
			t.Fatal(err)
		}
		check("when it is gone", nil, s.seen(t, canary, ""))
		if strings.Count(s.log(t), "level=debug") < 10 {
			t.Error("containerd's log is not one for debugging")
		}
	})
}

type hits map[string]bool

func (h hits) note(canary, place, text string) {
	if strings.Contains(text, canary) {
		h[place] = true
	}
}

// nameless is a file of the shim's.
var nameless = regexp.MustCompile(`^RUN/oci-secrets/exec/[0-9a-f]+$`)

// seen looks through all files of containerd and of the shims and runtimes below
// it (its metadata database, bundles, logs and the containers' snapshots among
// them), the command lines and environments of all processes, and what clients
// are told of a container.
func (s *site) seen(t *testing.T, canary, id string) hits {
	t.Helper()
	h := hits{}
	run, shm := s.inside("/run"), s.inside("/dev/shm")
	if _, err := os.Stat(s.dir + "/root/io.containerd.metadata.v1.bolt/meta.db"); err != nil {
		t.Fatal(err)
	}
	names := strings.NewReplacer(s.dir+"/", "", run+"/", "RUN/", shm+"/", "SHM/")
	for _, path := range rig.Find(t, canary, s.dir+"/root", s.dir+"/state", s.dir+"/logs", s.dir+"/log", s.vol, run, shm) {
		place := names.Replace(path)
		if nameless.MatchString(place) {
			place = kept
		}
		h[place] = true
	}
	files, err := filepath.Glob("/proc/[0-9]*/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name := filepath.Base(f); name != "cmdline" && name != "environ" {
			continue
		}
		if b, err := os.ReadFile(f); err == nil && bytes.Contains(b, []byte(canary)) {
			h[f] = true
		}
	}
	h.note(canary, "dmesg", rig.MustRun(t, "dmesg").Stdout)
	if id != "" {
		s.told(t, h, canary, id)
	}
	return h
}

// told looks through what clients are told of a container, and makes of its
// changes what a commit is made of.
func (s *site) told(t *testing.T, h hits, canary, id string) {
	t.Helper()
	h.note(canary, "CRI ContainerStatus", protojson.Format(s.status(t, id)))
	list, err := s.runtime.ListContainers(t.Context(), &cri.ListContainersRequest{})
	if err != nil {
		t.Fatal(err)
	}
	h.note(canary, "CRI ListContainers", protojson.Format(list))
	if status := s.status(t, id); !strings.Contains(status.Info["info"], "runtimeSpec") {
		t.Errorf("the status is not verbose: %v", status.Info)
	}
	in := []string{"--namespace", "k8s.io"}
	crictl := []string{rig.Engine(t, "crictl.sh"), "--runtime-endpoint", "unix://" + s.dir + "/socket"}
	for _, args := range [][]string{{"inspect", id}, {"ps", "--all", "--output", "json"}, {"pods", "--output", "json"}} {
		h.note(canary, "crictl "+args[0], rig.MustRun(t, append(crictl, args...)...).Stdout)
	}
	h.note(canary, "ctr container info", s.must(t, append(in, "container", "info", id)...))
	h.note(canary, "ctr snapshots info", s.must(t, append(in, "snapshots", "info", id)...))
	diff := s.must(t, append(in, "snapshots", "diff", "--media-type", "application/vnd.oci.image.layer.v1.tar", id)...)
	h.note(canary, "ctr snapshots diff", diff)
	exported := fmt.Sprintf("%s/export-%s.tar", s.dir, id)
	s.must(t, append(in, "images", "export", exported, image)...)
	if len(rig.Find(t, canary, exported)) > 0 {
		h["ctr images export"] = true
	}
}
