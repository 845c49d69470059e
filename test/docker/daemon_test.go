// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/test/child"
	"github.com/oci-secrets/oci-secrets/test/rig"
)

// namespaces is the first process of a docker's namespaces. It hands the signal
// to end on to dockerd, and reaps what containers leave to it. What is written below
// /etc, /opt and /var/lib stays in the namespaces, but for docker's own settings, and
// what the host has there of ours is not seen.
const namespaces = `
set -e
settings=$1
shift
mount --make-rprivate /
mount -t proc proc /proc
for d in /run /dev/shm; do mount -t tmpfs -o mode=755 tmpfs $d; done
for d in /etc /opt /var/lib; do
	mkdir -p /run/own$d /run/work$d
	mount -t overlay -o lowerdir=$d,upperdir=/run/own$d,workdir=/run/work$d overlay $d
done
cd /` + rig.Uninstalled + `
mkdir -p /etc/docker
mount --bind "$settings" /etc/docker
"$@" &
trap 'kill $!' TERM
wait $! || :
wait $!
`

// daemon is a dockerd and all that it starts.
type daemon struct {
	engine
	dir      string
	settings map[string]any // of daemon.json
	env      []string
	first    *child.Process // the first process of the namespaces
}

// start starts a dockerd in dir, with the settings and, for itself and the
// runtimes, the environment given. It is stopped at the test's end.
func (e engine) start(t *testing.T, dir string, settings map[string]any, env ...string) *daemon {
	t.Helper()
	d := &daemon{engine: e, dir: dir, settings: maps.Clone(settings), env: e.environment(env...)}
	maps.Copy(d.settings, e.settings)
	maps.Copy(d.settings, map[string]any{
		"data-root": dir + "/data", "exec-root": dir + "/exec", "hosts": []string{d.host()},
		"bridge": "none", "ip-forward": false, "iptables": false, "ip6tables": false, "userland-proxy": false, "debug": true,
		"cgroup-parent": "/" + filepath.Base(base),
	})
	d.configure(t)
	t.Cleanup(func() { d.stop(t) })
	d.launch(t)
	return d
}

func (d *daemon) host() string { return "unix://" + d.dir + "/socket" }

// launch starts the daemon and waits until it answers.
func (d *daemon) launch(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(d.dir+"/log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("sh", "-c", namespaces, "sh", d.dir+"/etc", d.program(t, "dockerd"))
	cmd.Env = d.env
	cmd.Stdout, cmd.Stderr = log, log
	d.first = rig.StartInNamespaces(t, cmd)
	rig.Eventually(t, "dockerd listens", func() bool {
		if !d.runs() {
			t.Fatalf("dockerd ended\n%s", d.log(t))
		}
		_, err := os.Stat(d.dir + "/socket")
		return err == nil
	})
	d.must(t, "version") // which it answers when it is ready
}

// configure writes daemon.json.
func (d *daemon) configure(t *testing.T) {
	t.Helper()
	text, err := json.Marshal(d.settings)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(d.dir+"/etc", 0o755); err != nil {
		t.Fatal(err)
	}
	rig.WriteFile(t, d.dir+"/etc/daemon.json", string(text), 0o644)
}

func (d *daemon) runs() bool {
	select {
	case <-d.first.Exited:
		return false
	default:
		return true
	}
}

// log is what the daemons said.
func (d *daemon) log(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(d.dir + "/log")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// stop removes all containers, and fails where a process of one is left. Then
// it ends the daemon.
func (d *daemon) stop(t *testing.T) {
	t.Helper()
	if d.first == nil || !d.runs() {
		return
	}
	// The test's context has ended by now.
	const remove = `ids=$("$1" ps --all --quiet) && if [ "$ids" ]; then "$1" rm --force --volumes $ids; fi`
	cmd := exec.Command("timeout", "60", "sh", "-c", remove, "sh", d.program(t, "docker"))
	cmd.Env = d.client()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("remove the containers: %v\n%s", err, out)
	}
	var left []string
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if left = d.left(); len(left) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("processes of containers are left: %q\n%s", left, d.log(t))
			break
		}
	}
	d.end(t)
}

// end ends the daemon, and with its namespaces all that is in them.
func (d *daemon) end(t *testing.T) {
	t.Helper()
	if !rig.EndFirst(d.first) {
		t.Errorf("dockerd does not end\n%s", d.log(t))
	}
}

// processes are those that run in the namespaces, but for the first. All of
// them are its descendants.
func (d *daemon) processes() []int { return rig.Descendants(d.first.Pid) }

// left are the command lines of all processes but the daemons.
func (d *daemon) left() (left []string) {
	for _, pid := range d.processes() {
		cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		line := strings.ReplaceAll(string(cmdline), "\x00", " ")
		program, _, _ := strings.Cut(line, " ")
		if name := filepath.Base(program); name != "dockerd" && name != "containerd" {
			left = append(left, line)
		}
	}
	return left
}

// inside is a path as the engine sees it.
func (d *daemon) inside(path string) string {
	return fmt.Sprintf("/proc/%d/root%s", d.first.Pid, path)
}
