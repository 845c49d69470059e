// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// client is the environment of the docker command line.
func (d *daemon) client() []string {
	return d.environment("DOCKER_HOST="+d.host(), "DOCKER_CONFIG="+d.dir+"/cli", "HOME="+d.dir, "DOCKER_BUILDKIT=0")
}

// docker runs the docker command line to its end.
func (d *daemon) docker(t *testing.T, args ...string) rig.Result {
	t.Helper()
	return rig.RunWith(t, d.client(), "", append([]string{d.program(t, "docker")}, args...)...)
}

// command is a command line in the daemon's namespaces.
func (d *daemon) command(argv ...string) []string {
	return append([]string{"nsenter", "--target", strconv.Itoa(d.first.Pid), "--mount", "--pid", "--"}, argv...)
}

// must is docker where it must succeed; it gives the output.
func (d *daemon) must(t *testing.T, args ...string) string {
	t.Helper()
	r := d.docker(t, args...)
	if r.Code != 0 {
		t.Fatalf("docker %q: exit code %d\n%s%s", args, r.Code, r.Stdout, r.Stderr)
	}
	return strings.TrimSpace(r.Stdout)
}

// event waits for the first event that the flags let through, also one that has
// been, and gives what happened.
func (d *daemon) event(t *testing.T, flags ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	args := append([]string{"events", "--since", "1h", "--format", "{{.Action}}"}, flags...)
	cmd := exec.CommandContext(ctx, d.program(t, "docker"), args...)
	cmd.Env = d.client()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Errorf("docker %q: %v", args, err)
	}
	cancel()
	_ = cmd.Wait() // it was killed
	return strings.TrimSpace(line)
}

// now is the time in the form that docker events takes.
func now() string {
	t := time.Now()
	return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond())
}
