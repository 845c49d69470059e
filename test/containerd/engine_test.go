// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/oci-secrets/oci-secrets/test/child"
	"github.com/oci-secrets/oci-secrets/test/rig"
)

// namespaces is the first process of a containerd's namespaces. It starts
// containerd again when that ends, until it is told to end itself, and reaps
// what containers leave to it.
const namespaces = `
set -e
mount --make-rprivate /
mount -t proc proc /proc
for d in /run /dev/shm; do mount -t tmpfs -o mode=755 tmpfs $d; done
stop=
trap 'stop=1; kill $!' TERM
until [ "$stop" ]; do
	"$@" &
	wait $! || :
	wait $! || :
done
`

// engine is a containerd and all that it starts.
type engine struct {
	dir     string
	path    string         // its PATH, where its own shim comes first
	first   *child.Process // the first process of the namespaces
	conn    *grpc.ClientConn
	runtime cri.RuntimeServiceClient
	images  cri.ImageServiceClient
}

// start starts a containerd in dir. Settings are tables of its config.toml, in
// addition to those that every test needs; env is for itself, and for the
// runtimes. It is stopped at the test's end.
func start(t *testing.T, dir, settings string, env ...string) *engine {
	t.Helper()
	programs := filepath.Dir(rig.Engine(t, "containerd.sh"))
	e := &engine{dir: dir}
	e.path = strings.Join([]string{programs, filepath.Dir(rig.Engine(t, "runc.sh")), "/usr/sbin:/usr/bin:/sbin:/bin"}, ":")
	rig.WriteFile(t, dir+"/config.toml", fmt.Sprintf(`version = 3
root = "%[1]s/root"
state = "%[1]s/state"
[grpc]
address = "%[1]s/socket"
[debug]
level = "debug"
[plugins."io.containerd.internal.v1.opt"]
path = "%[1]s/opt"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = %[2]q
[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
disable_apparmor = true
`, dir, image)+settings, 0o644)
	log, err := os.OpenFile(dir+"/log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("sh", "-c", namespaces, "sh", programs+"/containerd", "--config", dir+"/config.toml")
	cmd.Env = append(env, "PATH="+e.path)
	cmd.Stdout, cmd.Stderr = log, log
	e.first = rig.StartInNamespaces(t, cmd)
	t.Cleanup(func() { e.stop(t) })
	e.conn, err = grpc.NewClient("unix://"+dir+"/socket", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	e.runtime, e.images = cri.NewRuntimeServiceClient(e.conn), cri.NewImageServiceClient(e.conn)
	e.awaitReady(t)
	return e
}

// awaitReady waits until containerd serves CRI.
func (e *engine) awaitReady(t *testing.T) {
	t.Helper()
	rig.Eventually(t, "containerd serves CRI", func() bool {
		select {
		case <-e.first.Exited:
			t.Fatalf("containerd ended\n%s", e.log(t))
		default:
		}
		_, err := e.runtime.Status(t.Context(), &cri.StatusRequest{})
		return err == nil
	})
}

// restart ends containerd, which is started again. Containers go on.
func (e *engine) restart(t *testing.T) {
	t.Helper()
	pid := e.containerd(t)
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rig.AwaitEnd(t, "containerd", pid)
	e.awaitReady(t)
}

// containerd is the pid of the daemon.
func (e *engine) containerd(t *testing.T) int {
	t.Helper()
	for _, pid := range rig.Descendants(e.first.Pid) {
		if name := rig.StatusField(pid, "Name"); name == "containerd" {
			return pid
		}
	}
	t.Fatalf("containerd does not run\n%s", e.log(t))
	return 0
}

// log is what containerd said.
func (e *engine) log(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(e.dir + "/log")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// stop removes all pods and containers, and fails where a process of one is
// left. Then it ends containerd, and with the namespaces all that is in them.
func (e *engine) stop(t *testing.T) {
	t.Helper()
	if e.runtime != nil {
		e.removeAll(t)
		_ = e.conn.Close()
	}
	if t.Failed() {
		t.Logf("containerd's log, without what is for debugging:\n%s", important(e.log(t)))
	}
	if !rig.EndFirst(e.first) {
		t.Errorf("containerd does not end\n%s", e.log(t))
	}
}

// important are the lines of a log that are warnings or worse.
func important(log string) string {
	var b strings.Builder
	for line := range strings.Lines(log) {
		if !strings.Contains(line, "level=debug") && !strings.Contains(line, "level=info") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// left are the command lines of all processes but containerd and its plugins.
func (e *engine) left() (left []string) {
	for _, pid := range rig.Descendants(e.first.Pid) {
		cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		line := strings.ReplaceAll(string(cmdline), "\x00", " ")
		program, _, _ := strings.Cut(line, " ")
		if name := filepath.Base(program); name != "containerd" && !strings.HasPrefix(name, "10-") && !strings.HasPrefix(name, "99-") {
			left = append(left, line)
		}
	}
	return left
}

// inside is a path as the engine sees it.
func (e *engine) inside(path string) string {
	return fmt.Sprintf("/proc/%d/root%s", e.first.Pid, path)
}

// ctr runs containerd's own client to its end, in the engine's namespaces, where
// it makes the fifos for the containers' output.
func (e *engine) ctr(t *testing.T, args ...string) rig.Result {
	t.Helper()
	argv := []string{
		"nsenter", "--mount", "--pid", fmt.Sprintf("--target=%d", e.first.Pid), "env", "PATH=" + e.path,
		filepath.Join(filepath.Dir(rig.Engine(t, "containerd.sh")), "ctr"), "--address", e.dir + "/socket",
	}
	return rig.Run(t, append(argv, args...)...)
}

// must is ctr where it must succeed; it gives the output.
func (e *engine) must(t *testing.T, args ...string) string {
	t.Helper()
	r := e.ctr(t, args...)
	if r.Code != 0 {
		t.Fatalf("ctr %q: exit code %d\n%s%s", args, r.Code, r.Stdout, r.Stderr)
	}
	return strings.TrimSpace(r.Stdout)
}
