// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// execReport is what the payload reports that an exec starts.
func (s *site) execReport(t *testing.T, id string) rig.Report {
	t.Helper()
	reply, err := s.exec(t, id, rig.PayloadPath, "report")
	if err != nil || reply.ExitCode != 0 {
		t.Fatalf("exec: %v, %s", err, reply.GetStderr())
	}
	return rig.ParseReport(t, string(reply.Stdout))
}

// Under the shim an exec, which is also how a kubelet probes, sees what the first
// process got, whatever has become of the secret since.
func TestExec(t *testing.T) {
	t.Parallel()
	s := newSite(t, way{shim: true}, three)
	p := s.pod(t, from("db"))
	id, r := s.up(t, p, "web", nil)
	rig.WantVar(t, r.Env, "DB_USER", "app")
	free, _ := s.up(t, s.pod(t, nil), "free", nil)

	s.have(t, secrets{"db": {"DB_USER": "rotated"}})
	wantEnv(t, "exec", s.execReport(t, id).Env, map[string]string{"DB_USER": "app", "DB_PASSWORD": "hunter2", "SHARED": "db"})
	s.have(t, secrets{})
	rig.WantVar(t, s.execReport(t, id).Env, "DB_USER", "app")
	wantEnv(t, "exec", s.execReport(t, free).Env, nil)

	// Where what was kept is lost, and the secret too, there is no exec.
	rig.MustRun(t, "find", s.inside("/run/oci-secrets"), "-type", "f", "-delete")
	reply, err := s.exec(t, id, rig.PayloadPath, "report")
	if err == nil {
		t.Fatalf("exec: exit code %d\n%s%s", reply.ExitCode, reply.Stdout, reply.Stderr)
	}
	if want := `secret "db": no secret "db" in `; !strings.Contains(err.Error(), want) {
		t.Errorf("exec: %v, want %s in it", err, want)
	}
	s.have(t, secrets{"db": {"DB_USER": "new"}})
	rig.WantVar(t, s.execReport(t, id).Env, "DB_USER", "new")
}

// TestCtr has containers that are started by hand. NRI sees nothing of them.
func TestCtr(t *testing.T) {
	t.Parallel()
	s := newSite(t, way{plugin: true, guard: true, shim: true}, three)
	s.must(t, "images", "import", "--snapshotter", "overlayfs", archive(t))
	shim := []string{"--runc-binary", s.dir + "/oci-secrets-runtime"}
	run := func(flags []string, id string, command ...string) rig.Result {
		argv := append([]string{"run", "--cgroup", "/" + filepath.Base(base) + "/" + id, "--mount", "type=bind,src=" + s.vol + ",dst=/vol,options=rbind:rw"}, flags...)
		return s.ctr(t, append(append(argv, image, id), command...)...)
	}
	annotate := func(list string) []string {
		return append([]string{"--annotation", "secrets.oci/from=" + list}, shim...)
	}

	r := run(append([]string{"--rm"}, annotate("db stripe")...), "once", rig.PayloadPath, "report")
	if r.Code != 0 {
		t.Fatalf("exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	wantEnv(t, "once", rig.ParseReport(t, r.Stdout).Env,
		map[string]string{"DB_USER": "app", "DB_PASSWORD": "hunter2", "STRIPE_KEY": "sk_1", "SHARED": "stripe"})
	r = run(append([]string{"--rm"}, "--annotation", "secrets.oci/from=db"), "bare", rig.PayloadPath, "report")
	wantEnv(t, "without the shim", rig.ParseReport(t, r.Stdout).Env, nil)

	run(append([]string{"--detach"}, annotate("db")...), "web", rig.PayloadPath, "wait", "/vol/web")
	rig.AwaitReport(t, s.vol+"/web")
	s.have(t, secrets{"db": {"DB_USER": "rotated"}})
	out := s.must(t, "task", "exec", "--exec-id", "e", "web", rig.PayloadPath, "report")
	rig.WantVar(t, rig.ParseReport(t, out).Env, "DB_USER", "app")
	s.must(t, "task", "kill", "--signal", "SIGKILL", "web")
	rig.Eventually(t, "the container has ended", func() bool { return strings.Contains(s.must(t, "task", "list"), "STOPPED") })
	s.must(t, "task", "delete", "web")
	s.must(t, "container", "delete", "web")

	r = run(append([]string{"--rm"}, annotate("absent")...), "refused", rig.PayloadPath, "mark", "/vol/refused")
	lines := strings.Split(strings.TrimSpace(r.Stderr), "\n")
	told := strings.ReplaceAll(lines[len(lines)-1], strings.TrimSuffix(s.config, "/config.toml"), "SETTINGS") // before it, warnings of containerd
	want := "ctr: " + create + fmt.Sprintf(byHook, "prestart", 11, `secret "absent": no secret "absent" in SETTINGS/secrets.json`)
	if d := cmp.Diff(want, told); r.Code == 0 || d != "" {
		t.Errorf("exit code %d (-want +got)\n%s", r.Code, d)
	}
}
