// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// As the default runtime, the shim is part of the life of every container. Those
// that ask for nothing, and the steps of a build, are as they were under runc.
func TestDefaultRuntime(t *testing.T) {
	t.Parallel()
	s := newSite(t, docker29(t), three, map[string]any{"default-runtime": shim})
	if got := s.must(t, "info", "--format", "{{.DefaultRuntime}}"); got != shim {
		t.Fatalf("the default runtime is %s", got)
	}

	t.Run("asks", func(t *testing.T) {
		out := s.must(t, "run", "--rm", "--network", "host", from("db"), image)
		rig.WantVar(t, rig.ParseReport(t, out).Env, "DB_PASSWORD", "hunter2")
	})
	t.Run("asks for nothing", func(t *testing.T) {
		if d := cmp.Diff(s.bundle(t, "--runtime", "runc"), s.bundle(t)); d != "" {
			t.Errorf("config.json (-runc +shim):\n%s", d)
		}
	})
	t.Run("build", func(t *testing.T) {
		dir := t.TempDir()
		rig.WriteFile(t, dir+"/Dockerfile", "FROM "+image+"\nLABEL secrets.oci/from=db\nRUN [\"/payload\", \"mark\", \"/report\"]\n", 0o644)
		s.must(t, "build", "--network", "host", "--tag", "built", dir)
		r := rig.ParseReport(t, s.must(t, "run", "--rm", "--network", "host", "built", "cat", "/report"))
		rig.WantNone(t, r.Env, "DB_USER", "DB_PASSWORD")
		rig.WantVar(t, r.Env, "FROM_IMAGE", "image")
	})
	t.Run("without settings", func(t *testing.T) {
		rig.WriteFile(t, s.config, "[dict\n", 0o600)
		defer s.set(t, "")
		rig.WantVar(t, rig.ParseReport(t, s.must(t, "run", "--rm", "--network", "host", image)).Env, "FROM_IMAGE", "image")
	})
}

// bundle runs a container and gives its config.json, without what differs
// between two containers.
func (s *site) bundle(t *testing.T, flags ...string) map[string]any {
	t.Helper()
	args := append([]string{"run", "--detach", "--name", "web", "--hostname", "h", "--network", "host", "--env", "A=1"}, flags...)
	id := s.must(t, append(args, image, "sleep", "1000")...)
	files, err := filepath.Glob(s.dir + "/exec/containerd/daemon/io.containerd.runtime.v*.task/moby/" + id + "/config.json")
	if err != nil || len(files) != 1 {
		t.Fatalf("config.json of %s: %q, %v", id, files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	s.must(t, "rm", "--force", "web")
	var doc map[string]any
	if err := json.Unmarshal(ids.ReplaceAll(text, []byte("ID")), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// Docker asks every runtime for its features when it starts, and says so in its
// log where one does not answer.
func TestFeatures(t *testing.T) {
	t.Parallel()
	s := newSite(t, docker29(t), three, nil)
	s.end(t)
	s.settings["runtimes"].(map[string]any)["broken"] = map[string]any{"path": "/bin/false"}
	s.configure(t)
	s.launch(t)
	asked := regexp.MustCompile(`Failed to run \[\S+ features\]`).FindAllString(s.log(t), -1)
	if d := cmp.Diff([]string{"Failed to run [/bin/false features]"}, asked); d != "" {
		t.Errorf("in dockerd's log (-want +got):\n%s", d)
	}
	features := func(runtime string) (v any) {
		t.Helper()
		r := s.must(t, "info", "--format", `{{json (index .Runtimes "`+runtime+`").Status}}`)
		if err := json.Unmarshal([]byte(r), &v); err != nil || !strings.Contains(r, "features") {
			t.Fatalf("%v: %s", err, r)
		}
		return v
	}
	if d := cmp.Diff(features("runc"), features(shim)); d != "" {
		t.Errorf("(-runc +shim):\n%s", d)
	}
}
