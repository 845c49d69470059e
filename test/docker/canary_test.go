// SPDX-License-Identifier: Apache-2.0

package docker

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

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// Where a value is to be seen while the container runs: in the memory that root
// alone reads, and in what exec started; README has the same table. The other
// list is where docker has a variable that --env sets, which shows that the
// search would find the value there.
var (
	whereSecret = []string{
		"/proc/EXEC/environ",
		"/run/oci-secrets/exec/FILE",
	}
	wherePlain = []string{
		"/proc/EXEC/environ",
		"/proc/PID/environ",
		"data/containerd/daemon/io.containerd.content.v1.content/blobs/sha256/ID",
		"data/containerd/daemon/io.containerd.metadata.v1.bolt/meta.db",
		"data/containers/ID/config.v2.json",
		"docker commit",
		"docker inspect",
		"docker save",
		"exec/containerd/daemon/io.containerd.runtime.v2.task/moby/ID/config.json",
		"log",
	}
)

func TestCanary(t *testing.T) {
	t.Parallel()
	secret, plain := rig.Canary(), rig.Canary()
	s := newSite(t, docker29(t), secrets{"db": {"CANARY": secret}}, nil)
	check := func(when string, canary string, want []string) {
		t.Helper()
		if d := cmp.Diff(want, slices.Sorted(maps.Keys(s.search(t, canary)))); d != "" {
			t.Errorf("what is seen of %s %s (-want +got):\n%s", map[string]string{secret: "the secret", plain: "the flag's"}[canary], when, d)
		}
	}
	s.must(t, append(s.args("create", "--name", "web", from("db"), "--env", "PLAIN="+plain), waiting("web")...)...)
	check("before it is started", secret, nil)

	s.must(t, "start", "web")
	rig.WantVar(t, s.report(t, "web").Env, "CANARY", secret)
	s.must(t, "exec", "--detach", "web", rig.PayloadPath, "wait", "/vol/exec")
	rig.WantVar(t, s.report(t, "exec").Env, "CANARY", secret)
	s.must(t, "commit", "web", "copy")
	check("while it runs", secret, whereSecret)
	check("while it runs", plain, wherePlain)

	s.must(t, "stop", "web")
	check("when it has ended", secret, nil)
	r := s.docker(t, append(s.args("run", "--name", "absent", from("absent")), image)...)
	if r.Code != 125 {
		t.Errorf("exit code %d", r.Code)
	}
	check("when another was refused", secret, nil)
}

// names makes places of two runs comparable.
var names = []struct {
	re *regexp.Regexp
	to string
}{
	{ids, "ID"},
	{regexp.MustCompile(`^/run/oci-secrets/exec/[0-9a-f]+$`), "/run/oci-secrets/exec/FILE"},
}

// search looks through everything that docker and the runtimes write to, what
// docker answers, and the command lines and environments of all processes.
func (s *site) search(t *testing.T, canary string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	note := func(place string, is bool) {
		for _, n := range names {
			place = n.re.ReplaceAllString(place, n.to)
		}
		if is {
			found[place] = true
		}
	}
	for _, dir := range []string{"/run", "/dev/shm", "/var/lib/docker", "/var/lib/containerd", "/etc/docker", "/var/tmp"} {
		if _, err := os.Stat(s.inside(dir)); err != nil {
			continue
		}
		for _, path := range rig.Find(t, canary, s.inside(dir)) {
			note(strings.TrimPrefix(path, s.inside("")), true)
		}
	}
	for _, path := range rig.Find(t, canary, s.dir) {
		if !strings.HasPrefix(path, s.dir+"/settings/") {
			note(strings.TrimPrefix(path, s.dir+"/"), true)
		}
	}
	for _, pid := range append(s.processes(), s.first.Pid) {
		for _, file := range []string{"cmdline", "environ"} {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
			name := map[bool]string{true: "/proc/EXEC/", false: "/proc/PID/"}[started(pid)]
			note(name+file, err == nil && bytes.Contains(b, []byte(canary)))
		}
	}
	for _, args := range []string{
		"inspect --size web", "logs web", "ps --all --no-trunc --format json", "diff web", "top web", "port web",
		"stats --no-stream --no-trunc web", "events --since 1h --until " + now(), "info", "system df --verbose", "volume ls", "network inspect host",
	} {
		place := "docker " + strings.Fields(args)[0]
		r := s.docker(t, strings.Fields(args)...)
		if r.Code != 0 && place != "docker top" && place != "docker stats" { // which want a running container
			t.Errorf("docker %s: exit code %d\n%s", args, r.Code, r.Stderr)
		}
		note(place, strings.Contains(r.Stdout+r.Stderr, canary))
	}
	if s.docker(t, "image", "inspect", "copy").Code == 0 {
		image := s.must(t, "image", "inspect", "copy") + s.must(t, "history", "--no-trunc", "copy")
		note("docker commit", strings.Contains(image, canary))
		dir := t.TempDir()
		s.must(t, "save", "--output", dir+"/image.tar", "copy")
		note("docker save", len(rig.Find(t, canary, dir)) > 0)
		s.must(t, "export", "--output", dir+"/container.tar", "web")
		note("docker export", len(rig.Find(t, canary, filepath.Join(dir, "container.tar"))) > 0)
	}
	note("dmesg", strings.Contains(rig.MustRun(t, "dmesg").Stdout, canary))
	return found
}

// started says that a process is one that exec has started.
func started(pid int) bool {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return strings.HasSuffix(string(b), "\x00/vol/exec\x00")
}
