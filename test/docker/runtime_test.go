// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// In all else the shim is the runtime: what docker's user sees of the rest of a
// container's life is the same under both.
func TestPassesThrough(t *testing.T) {
	t.Parallel()
	s := newSite(t, docker29(t), three, nil)
	want := s.life(t, "--runtime", "runc")
	for _, c := range []struct {
		name  string
		flags []string
	}{
		{"nothing asked", []string{"--runtime", shim}},
		{"with secrets", []string{"--runtime", shim, from("db")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(want, s.life(t, c.flags...)); d != "" {
				t.Errorf("(-runc +shim):\n%s", d)
			}
		})
	}
}

// life leads a container through its life, and gives what was seen of it.
func (s *site) life(t *testing.T, flags ...string) (seen []string) {
	t.Helper()
	const name = "life"
	args := slices.Concat([]string{"--network", "host", "--volume", s.vol + ":/vol"}, flags)
	see := func(what string, r rig.Result) {
		t.Helper()
		seen = append(seen, fmt.Sprintf("%s: %d %q %q", what, r.Code, r.Stdout, r.Stderr))
	}
	do := func(args ...string) {
		t.Helper()
		see(strings.Join(args, " "), s.docker(t, args...))
	}
	run := func(what string, stdin string, more ...string) {
		t.Helper()
		argv := slices.Concat([]string{s.program(t, "docker"), "run", "--rm"}, args, more)
		see(what, rig.RunWith(t, s.client(), stdin, argv...))
	}
	status := func() {
		t.Helper()
		do("inspect", "--format", "{{.State.Status}} {{.State.Paused}} {{.State.ExitCode}} {{.State.OOMKilled}} {{.State.Error}}", name)
	}

	run("exit code", "", image, "sh", "-c", "exit 42")
	run("streams", "", image, "sh", "-c", "echo out; echo err >&2")
	run("standard input", "in\n", "--interactive", image, "cat")
	run("terminal", "", "--tty", image, "sh", "-c", "test -t 0 && test -t 1 && echo terminal")
	run("no program", "", image, "/absent")
	run("no right to run", "", image, "/etc")

	s.must(t, slices.Concat([]string{"run", "--detach", "--name", name}, args, waiting(name))...)
	s.report(t, name)
	status()
	seen = append(seen, "top: "+pids.ReplaceAllString(s.must(t, "top", name, "-o", "pid,args"), "PID "))
	seen = append(seen, "stats: "+s.must(t, "stats", "--no-stream", "--format", "{{.Name}}", name))
	do("pause", name)
	status()
	do("exec", name, "true")
	do("unpause", name)
	do("update", "--memory", "64m", "--memory-swap", "64m", name)
	do("exec", name, "sh", "-c", "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null")
	do("exec", "--user", "1000", name, "sh", "-c", "echo $(id -u) >&2; exit 3")
	do("exec", name, "/absent")
	do("kill", "--signal", "WINCH", name)
	status()
	do("restart", name)
	s.report(t, name)
	do("stop", name)
	status()
	do("start", name)
	s.report(t, name)
	do("kill", name)
	do("wait", name)
	status()
	do("logs", name)
	id := s.must(t, "inspect", "--format", "{{.Id}}", name)
	do("rm", name)
	events := s.must(t, "events", "--since", "1h", "--until", now(), "--filter", "container="+id,
		"--format", "{{.Action}} {{.Actor.Attributes.exitCode}} {{.Actor.Attributes.signal}}")
	seen = append(seen, sorted(strings.Split(events, "\n"))...) // docker tells some of them in any order
	for i, line := range seen {
		seen[i] = ids.ReplaceAllString(line, "ID")
	}
	return seen
}
