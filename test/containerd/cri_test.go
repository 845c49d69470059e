// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// pod is a pod that runs.
type pod struct {
	e      *engine
	id     string
	config *cri.PodSandboxConfig
}

// pod runs a pod, of the host's network, as a kubelet does.
func (s *site) pod(t *testing.T, annotations map[string]string) *pod {
	t.Helper()
	s.n++
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	config := &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: name, Namespace: "tests", Uid: name, Attempt: uint32(s.n)},
		LogDirectory: s.dir + "/logs",
		Annotations:  annotations,
		Linux: &cri.LinuxPodSandboxConfig{
			CgroupParent: "/" + filepath.Base(base),
			SecurityContext: &cri.LinuxSandboxSecurityContext{
				NamespaceOptions: &cri.NamespaceOption{Network: cri.NamespaceMode_NODE, Pid: cri.NamespaceMode_CONTAINER},
			},
		},
	}
	reply, err := s.runtime.RunPodSandbox(t.Context(), &cri.RunPodSandboxRequest{Config: config})
	if err != nil {
		t.Fatalf("run the pod: %v", err)
	}
	return &pod{s.engine, reply.PodSandboxId, config}
}

// create creates a container, which has the host's directory vol at /vol.
func (p *pod) create(t *testing.T, name, vol string, annotations map[string]string, command ...string) (id string, err error) {
	t.Helper()
	reply, err := p.e.runtime.CreateContainer(t.Context(), &cri.CreateContainerRequest{
		PodSandboxId: p.id, SandboxConfig: p.config,
		Config: &cri.ContainerConfig{
			Metadata:    &cri.ContainerMetadata{Name: name},
			Image:       &cri.ImageSpec{Image: image},
			Command:     command,
			Annotations: annotations,
			LogPath:     name,
			Mounts:      []*cri.Mount{{ContainerPath: "/vol", HostPath: vol}},
			Linux: &cri.LinuxContainerConfig{SecurityContext: &cri.LinuxContainerSecurityContext{
				NamespaceOptions: p.config.Linux.SecurityContext.NamespaceOptions,
			}},
		},
	})
	if err != nil {
		return "", err
	}
	return reply.ContainerId, nil
}

// start starts a container.
func (p *pod) start(t *testing.T, id string) error {
	t.Helper()
	_, err := p.e.runtime.StartContainer(t.Context(), &cri.StartContainerRequest{ContainerId: id})
	return err
}

// status is what `crictl inspect` shows of a container.
func (e *engine) status(t *testing.T, id string) *cri.ContainerStatusResponse {
	t.Helper()
	status, err := e.runtime.ContainerStatus(t.Context(), &cri.ContainerStatusRequest{ContainerId: id, Verbose: true})
	if err != nil {
		t.Fatal(err)
	}
	return status
}

// exec runs a command in a container, as a probe does.
func (e *engine) exec(t *testing.T, id string, command ...string) (*cri.ExecSyncResponse, error) {
	t.Helper()
	return e.runtime.ExecSync(t.Context(), &cri.ExecSyncRequest{ContainerId: id, Cmd: command, Timeout: 60})
}

// stopContainer stops a container.
func (e *engine) stopContainer(t *testing.T, id string) {
	t.Helper()
	if _, err := e.runtime.StopContainer(t.Context(), &cri.StopContainerRequest{ContainerId: id, Timeout: 20}); err != nil {
		t.Fatal(err)
	}
}

// removeAll removes all pods, with their containers. The test's context has
// ended by then.
func (e *engine) removeAll(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	pods, err := e.runtime.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{})
	if err != nil {
		t.Errorf("list the pods: %v", err)
	}
	for _, p := range pods.GetItems() {
		if _, err := e.runtime.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: p.Id}); err != nil {
			t.Errorf("stop the pod: %v", err)
		}
		if _, err := e.runtime.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: p.Id}); err != nil {
			t.Errorf("remove the pod: %v", err)
		}
	}
	var left []string
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if left = e.left(); len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("processes of containers are left: %q", left)
			return
		}
	}
}

// load imports the image, and waits until CRI knows it.
func (e *engine) load(t *testing.T) {
	t.Helper()
	e.must(t, "--namespace", "k8s.io", "images", "import", "--snapshotter", "overlayfs", archive(t))
	rig.Eventually(t, "CRI knows the image", func() bool {
		reply, err := e.images.ImageStatus(t.Context(), &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: image}})
		return err == nil && reply.Image != nil
	})
}
