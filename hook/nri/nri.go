// SPDX-License-Identifier: Apache-2.0

// Package nri is the way into containerd and CRI-O: a plugin of their Node
// Resource Interface (github.com/containerd/nri), which is shown every container
// of a pod before it is created and may amend its spec.
//
// [Plugin] adds the hook, and the annotations that the hook reads, to the
// containers that ask for secrets. It never adds a value: an engine keeps what
// plugins add in its database and shows it to whoever may ask. And it does
// nothing that could take time, because an engine waits two seconds for a plugin,
// then drops it and starts the container as it was. What takes time happens in
// the hook, which a runtime waits for, and whose failure refuses the container.
//
// An engine does without a plugin that is not there. [Guard] is a second plugin,
// in a process of its own, that refuses what the first one has missed. It does
// not help where both are gone; that is for the engine's list of required
// plugins.
package nri

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/nri/pkg/api"

	"github.com/oci-secrets/oci-secrets/hook/printable"
	"github.com/oci-secrets/oci-secrets/hook/report"
	"github.com/oci-secrets/oci-secrets/spec"
)

// Plugin adds the hook.
type Plugin struct {
	Path   string // of the hook's binary, as the engine's host has it
	Config string // its settings; "" for the usual places
	broken error  // why no container can be served
	say    func(format string, args ...any)
}

// CreateContainer is called before a container of a pod is created. What is
// wrong with the annotations is told right here: the engine hands the text on to
// who asked for the container, whereas of a hook's text it shows what the
// runtime makes of it.
func (p *Plugin) CreateContainer(_ context.Context, pod *api.PodSandbox, c *api.Container) (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
	annotations, err := asks(pod, c)
	if err != nil || annotations == nil {
		return nil, nil, err
	}
	if p.broken != nil {
		return nil, nil, p.broken
	}
	// All of them: that an engine shows a container's annotation here does not
	// say that it is in the spec.
	adjust := &api.ContainerAdjustment{Annotations: annotations}
	if !hooked(c.GetHooks(), p.Path) {
		hook := []*api.Hook{{Path: p.Path, Args: spec.HookArgs(p.Config, ""), Timeout: api.Int(spec.HookTimeout)}}
		adjust.Hooks = &api.Hooks{CreateRuntime: hook, Poststop: hook}
	}
	return adjust, nil, nil
}

// Synchronize is called when the plugin has connected, with all that is there.
// A container that was started in the plugin's absence runs without its secrets,
// and nobody else would notice.
func (p *Plugin) Synchronize(_ context.Context, pods []*api.PodSandbox, containers []*api.Container) ([]*api.ContainerUpdate, error) {
	byID := map[string]*api.PodSandbox{}
	for _, pod := range pods {
		byID[pod.GetId()] = pod
	}
	for _, c := range containers {
		pod := byID[c.GetPodSandboxId()]
		annotations, err := asks(pod, c)
		running := c.GetState() == api.ContainerState_CONTAINER_CREATED || c.GetState() == api.ContainerState_CONTAINER_RUNNING
		if running && (annotations != nil || err != nil) && !hooked(c.GetHooks(), p.Path) {
			p.say("%s asks for secrets and has been created without the hook: create it again", full(pod, c))
		}
	}
	return nil, nil
}

// Guard refuses containers that ask for secrets and have no hook.
type Guard struct {
	For *Plugin // that lists the hook
}

// ValidateContainerAdjustment is called when all plugins have had a container.
// The container is as the engine had it before them.
func (g Guard) ValidateContainerAdjustment(_ context.Context, req *api.ValidateContainerAdjustmentRequest) error {
	annotations, err := asks(req.GetPod(), req.GetContainer())
	if err != nil || annotations == nil {
		return err
	}
	added := req.GetAdjust()
	if err := spec.Redirected(added.GetAnnotations()); err != nil {
		return oneLine(err)
	}
	told := !slices.ContainsFunc(slices.Collect(maps.Keys(annotations)), func(key string) bool {
		return added.GetAnnotations()[key] != annotations[key]
	})
	if told && (hooked(req.GetContainer().GetHooks(), g.For.Path) || hooked(added.GetHooks(), g.For.Path)) {
		return nil
	}
	return fmt.Errorf("%s asks for secrets, and the NRI plugin oci-secrets has not added its hook: it is not connected, or was too slow",
		full(req.GetPod(), req.GetContainer()))
}

// asks gives the annotations that the container's hook must see; nil where it
// asks for nothing.
func asks(pod *api.PodSandbox, c *api.Container) (map[string]string, error) {
	annotations, err := spec.OfContainer(pod.GetAnnotations(), c.GetAnnotations(), c.GetName())
	if err != nil {
		return nil, oneLine(err)
	}
	return annotations, nil
}

// hooked reports whether the hook, whose binary is at path, is where it delivers.
func hooked(hooks *api.Hooks, path string) bool {
	return slices.ContainsFunc(slices.Concat(hooks.GetPrestart(), hooks.GetCreateRuntime()), func(h *api.Hook) bool {
		return spec.IsHook(h.GetPath(), h.GetArgs(), path)
	})
}

// full is the name of a container for a person.
func full(pod *api.PodSandbox, c *api.Container) string {
	return printable.Line(fmt.Sprintf("container %s of pod %s/%s", c.GetName(), pod.GetNamespace(), pod.GetName()))
}

// oneLine is an error as an engine can show it.
func oneLine(err error) error {
	text := "oci-secrets: " + strings.Join(report.Lines(err), "; ")
	if hints := report.Hints(err); len(hints) > 0 {
		text += " (" + strings.Join(hints, "; ") + ")"
	}
	return errors.New(text)
}
