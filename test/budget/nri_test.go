// SPDX-License-Identifier: Apache-2.0

package budget

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/nri/pkg/adaptation"
	"github.com/containerd/nri/pkg/api"
	nrilog "github.com/containerd/nri/pkg/log"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// patience is how long engines wait for an answer of a plugin, before they drop it
// and start the container as it was.
const patience = adaptation.DefaultPluginRequestTimeout

// TestNRI has the engines' half of NRI show containers to the plugin and the guard:
// one with every shape of annotations, after one by which they are known to be there.
func TestNRI(t *testing.T) {
	nrilog.Set(quiet{})
	adaptation.SetPluginRequestTimeout(time.Minute) // the machine may have much else to do
	defer adaptation.SetPluginRequestTimeout(patience)
	for name, flags := range map[string][]string{"plugin": nil, "guard": {"--guard"}} {
		for shape, s := range shapes() {
			t.Run(shape+"/"+name, func(t *testing.T) {
				h := newEngine(t)
				line, costs := measured(t, append([]string{h.binary, "nri", "--socket", h.socket}, flags...)...)
				cmd := exec.Command(line[0], line[1:]...)
				cmd.Env = []string{"HOME=" + h.dir}
				var said strings.Builder
				cmd.Stdout, cmd.Stderr = &said, &said
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				rig.Eventually(t, "the plugin is there", func() bool {
					reply, err := h.create(t, from("db"))
					return err != nil || len(reply.GetAdjust().GetHooks().GetCreateRuntime()) > 0
				})
				reply, err := h.create(t, s)
				if end := cmd.Process.Signal(syscall.SIGTERM); end != nil {
					t.Fatal(end)
				}
				if ended := cmd.Wait(); ended != nil {
					t.Errorf("it ended with %v\n%s", ended, said.String())
				}
				c := costs()
				(&host{}).within(t, c, rig.Result{}, said.String())
				if c.CPU > patience {
					t.Errorf("it took %v of a processor", c.CPU)
				}
				if err != nil && len(err.Error()) > mostError {
					t.Errorf("it refused with %d bytes", len(err.Error()))
				}
				if size := reply.GetAdjust().SizeVT(); size > 3*full { // of keys, of values, and around them
					t.Errorf("it added %d bytes", size)
				}
			})
		}
	}
}

// engine is the engines' half of NRI.
type engine struct {
	*adaptation.Adaptation
	binary, dir, socket string
}

func newEngine(t *testing.T) *engine {
	t.Helper()
	dir, err := os.MkdirTemp("", "nri") //nolint:usetesting // short: a socket's path has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	e := &engine{binary: rig.Binary(t), dir: dir, socket: filepath.Join(dir, "sock")}
	e.Adaptation, err = adaptation.New("engine", "1",
		func(ctx context.Context, sync adaptation.SyncCB) error {
			_, err := sync(ctx, nil, nil)
			return err
		},
		func(context.Context, []*api.ContainerUpdate) ([]*api.ContainerUpdate, error) { return nil, nil },
		adaptation.WithSocketPath(e.socket), adaptation.WithPluginPath(dir), adaptation.WithPluginConfigPath(dir))
	if err == nil {
		err = e.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	return e
}

// create shows the plugins a container of a pod with the annotations.
func (e *engine) create(t *testing.T, s shape) (*adaptation.CreateContainerResponse, error) {
	t.Helper()
	return e.CreateContainer(t.Context(), &adaptation.CreateContainerRequest{
		Pod:       &api.PodSandbox{Id: "p", Name: "pod", Namespace: "ns", Annotations: s},
		Container: &api.Container{Id: "c", Name: "web", PodSandboxId: "p"},
	})
}

// quiet is the log of the engines' half.
type quiet struct{}

func (quiet) Debugf(context.Context, string, ...any) {}
func (quiet) Infof(context.Context, string, ...any)  {}
func (quiet) Warnf(context.Context, string, ...any)  {}
func (quiet) Errorf(context.Context, string, ...any) {}
