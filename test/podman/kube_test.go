// SPDX-License-Identifier: Apache-2.0

package podman

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

const podFile = `apiVersion: v1
kind: Pod
metadata:
  name: %s
  annotations: {%s}
spec:
  hostNetwork: true
  restartPolicy: Never
  containers:
  - {name: web, image: "` + image + `", imagePullPolicy: Never, command: [/payload, report]}
  - {name: worker, image: "` + image + `", imagePullPolicy: Never, command: [/payload, report]}
`

// Podman gives a pod's annotations to each of its containers, but for the
// infra container, and tells none of them its name. So a list for one
// container cannot be understood, and both are refused.
func TestKubePlay(t *testing.T) {
	cases := []struct {
		name, annotations string
		flags             []string
		refused           bool
	}{
		{name: "nothing"},
		{name: "for the pod", annotations: `secrets.oci/from: "db, stripe"`},
		{name: "for the pod, with a plus", annotations: `secrets.oci/from: "db+stripe+dict:no~40where?"`},
		{name: "by a flag", flags: []string{"--annotation=secrets.oci/from=db stripe"}},
		{name: "for one container", annotations: `secrets.oci/from.web: db`, refused: true},
		{name: "for one container, before the domain", annotations: `web.secrets.oci/from: db`, refused: true},
		{name: "for the pod and for one", annotations: `secrets.oci/from: db, secrets.oci/from.web: stripe`, refused: true},
		{name: "as podman generate kube writes it", annotations: `secrets.oci/from/web: db`, refused: true},
		{name: "missing", annotations: `secrets.oci/from: absent`, refused: true},
	}
	each(t, []mode{root, rootCrun.pre(), user1Crun}, func(t *testing.T, m mode) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				s := newSite(t, m, three)
				pod := s.pod(t)
				file := s.dir + "/pod.yaml"
				s.write(t, file, fmt.Sprintf(podFile, pod, c.annotations), 0o644)
				r := s.podman(t, append(append([]string{"kube", "play"}, c.flags...), file)...)
				if c.refused != (r.Code != 0) {
					t.Errorf("exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
				}
				for _, name := range []string{pod + "-web", pod + "-worker"} {
					if c.refused {
						if state := s.must(t, "inspect", "--format", "{{.State.Status}} {{.State.StartedAt}}", name); !strings.Contains(state, "0001-01-01") {
							t.Errorf("%s: %s", name, state)
						}
						if out := s.podman(t, "logs", name); out.Stdout != "" {
							t.Errorf("%s ran: %s", name, out.Stdout)
						}
						continue
					}
					s.must(t, "wait", name)
					got := rig.ParseReport(t, s.must(t, "logs", name))
					if c.name == "nothing" {
						rig.WantNone(t, got.Env, "DB_USER", "STRIPE_KEY")
						continue
					}
					rig.WantVar(t, got.Env, "DB_USER", "app")
					rig.WantVar(t, got.Env, "STRIPE_KEY", "sk_1")
				}
				infra := s.must(t, "pod", "inspect", "--format", "{{.InfraContainerID}}", pod)
				if a := s.must(t, "inspect", "--format", "{{.Config.Annotations}}", infra); strings.Contains(a, "secrets.oci") {
					t.Errorf("the infra container: %s", a)
				}
			})
		}
	})
}

// podman writes annotations to a pod's file by a key that it gives to all
// containers when it plays the file, and cuts their values at 63 characters.
func TestKubeGenerate(t *testing.T) {
	for _, c := range []struct{ name, list, told, whole string }{
		{"short", "db+stripe", "", "db+stripe"},
		{"cut", "db+" + strings.Repeat("db+", 20) + "stripe", "the list has 63 characters, and podman 4 cuts a longer one there", "db+stripe"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, root, three)
			name, pod := s.name(t), s.pod(t)
			s.must(t, "create", "--name", name, "--network", "host", from(c.list), image)
			file := s.dir + "/pod.yaml"
			text := strings.ReplaceAll(s.must(t, "generate", "kube", name), name+"-pod", pod)
			text = strings.Replace(text, "\nspec:\n", "\nspec:\n  restartPolicy: Never\n", 1)
			s.write(t, file, text, 0o644)
			r := s.podman(t, "kube", "play", file)
			for _, want := range []string{"take /" + name + " off the key", c.told} {
				if r.Code == 0 || !strings.Contains(r.Stderr, want) {
					t.Errorf("exit code %d, want %q\n%s\n%s", r.Code, want, r.Stderr, text)
				}
			}
			s.must(t, "kube", "down", file)
			text = regexp.MustCompile("secrets.oci/from/.*").ReplaceAllString(text, "secrets.oci/from: "+c.whole)
			s.write(t, file, text, 0o644)
			s.must(t, "kube", "play", file)
			s.must(t, "wait", pod+"-"+name)
			rig.WantVar(t, rig.ParseReport(t, s.must(t, "logs", pod+"-"+name)).Env, "STRIPE_KEY", "sk_1")
		})
	}
}

// pod is the name of a new pod, which is removed when the test ends.
func (s *site) pod(t *testing.T) string {
	t.Helper()
	name := filepath.Base(s.dir)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		argv := s.argv(s.env, "pod", "rm", "--force", "--ignore", "--time", "1", name)
		if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Errorf("podman pod rm %s: %v\n%s", name, err, out)
		}
	})
	return name
}
