// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

var three = secrets{
	"db":     {"DB_USER": "app", "DB_PASSWORD": "hunter2", "SHARED": "db"},
	"stripe": {"STRIPE_KEY": "sk_1", "SHARED": "stripe", "FROM_FLAG": "secret"},
	"web":    {"FROM_IMAGE": "secret"},
}

func TestDelivers(t *testing.T) {
	t.Parallel()
	s := newSite(t, docker29(t), three, nil)
	args := []string{"--hostname", "h", "--env", "FROM_FLAG=flag", "--env", "KEPT=kept"}
	bare := s.run(t, args...)
	got := s.run(t, append(args, from("db+stripe\tweb"), `--annotation=secrets.oci/dict={"MODE":"test","DB_USER":"dict"}`)...)

	// Docker gives the variables of flags and image in any order, so the order can
	// only be compared with what the kernel keeps, which is as it was before delivery.
	if d := cmp.Diff(sorted(bare.Env), sorted(got.Environ)); d != "" {
		t.Errorf("/proc/self/environ (-bare +got):\n%s", d)
	}
	want := slices.Clone(got.Environ)
	for i, e := range want {
		if name, _, _ := strings.Cut(e, "="); name == "FROM_FLAG" || name == "FROM_IMAGE" {
			want[i] = name + "=secret"
		}
	}
	want = append(want, "DB_PASSWORD=hunter2", "DB_USER=dict", "SHARED=stripe", "STRIPE_KEY=sk_1", "MODE=test")
	if d := cmp.Diff(want, got.Env); d != "" {
		t.Errorf("environment (-want +got):\n%s", d)
	}
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

func TestOptions(t *testing.T) {
	t.Parallel()
	s := newSite(t, docker29(t), three, nil)
	rig.WriteFile(t, s.vol+"/script", "#!/bin/sh\n: a script\nexec \"$@\"\n", 0o755)
	for _, c := range []struct {
		name string
		args []string
		uid  int
	}{
		{"user", []string{"--user=1000"}, 1000},
		{"capabilities", []string{"--cap-drop=all"}, 0},
		{"read-only", []string{"--read-only"}, 0},
		{"no new privileges", []string{"--security-opt=no-new-privileges"}, 0},
		{"all of them", []string{"--user=1000:1000", "--cap-drop=all", "--read-only", "--security-opt=no-new-privileges"}, 1000},
		{"privileged", []string{"--privileged"}, 0},
		{"seccomp off", []string{"--security-opt=seccomp=unconfined"}, 0},
		{"host's pids", []string{"--pid=host"}, 0},
		{"terminal", []string{"--tty"}, 0},
		{"tmpfs and workdir", []string{"--tmpfs=/tmp", "--workdir=/tmp"}, 0},
		{"script", []string{"--entrypoint=/vol/script"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := rig.ParseReport(t, s.must(t, slices.Concat(s.args("run", "--rm"), c.args, []string{from("db"), image, rig.PayloadPath, "report"})...))
			rig.WantVar(t, got.Env, "DB_USER", "app")
			rig.WantVar(t, got.Env, "DB_PASSWORD", "hunter2")
			if got.UID != c.uid {
				t.Errorf("uid %d, want %d", got.UID, c.uid)
			}
		})
	}
}

// Docker gives labels to nobody but itself, and the shim sees only the containers
// that are to run under it. README warns of both.
func TestNotAsked(t *testing.T) {
	t.Parallel()
	s := newSite(t, docker29(t), three, nil)
	for _, args := range [][]string{
		{"--runtime", shim, "--label=secrets.oci/from=db"},
		{"--runtime", shim, "--annotation=other/from=db"},
		{"--runtime", "runc", from("db")},
		{from("db")},
	} {
		out := s.must(t, slices.Concat([]string{"run", "--rm", "--network", "host"}, args, []string{image})...)
		rig.WantNone(t, rig.ParseReport(t, out).Env, "DB_USER", "DB_PASSWORD")
	}
}
