// SPDX-License-Identifier: Apache-2.0

// Package nri is the engines' half of NRI, for tests of plugins.
package nri

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/nri/pkg/adaptation"
	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/log"
)

// Engine is an engine in this process, called "engine 1.2.3".
type Engine struct {
	*adaptation.Adaptation
	Dir      string // what is its own, removed after the test
	Socket   string // where it listens for plugins
	Plugins  string // the directory of those that it starts itself
	Settings string // the directory of their settings
}

// New makes an engine that is not started yet. It logs nothing.
func New(tb testing.TB) *Engine {
	tb.Helper()
	log.Set(quiet{})
	dir, err := os.MkdirTemp("", "nri") // short: a socket's path has 107 bytes
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	e := &Engine{Dir: dir, Socket: filepath.Join(dir, "sock"), Plugins: filepath.Join(dir, "plugins"), Settings: filepath.Join(dir, "conf.d")}
	for _, d := range []string{e.Plugins, e.Settings} {
		if err := os.Mkdir(d, 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	return e
}

// Start starts the engine, which ends with the test.
func (e *Engine) Start(tb testing.TB) {
	tb.Helper()
	nothing := func(ctx context.Context, sync adaptation.SyncCB) error {
		_, err := sync(ctx, nil, nil)
		return err
	}
	var err error
	e.Adaptation, err = adaptation.New("engine", "1.2.3", nothing,
		func(context.Context, []*api.ContainerUpdate) ([]*api.ContainerUpdate, error) { return nil, nil },
		adaptation.WithSocketPath(e.Socket), adaptation.WithPluginPath(e.Plugins), adaptation.WithPluginConfigPath(e.Settings))
	if err == nil {
		err = e.Adaptation.Start()
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(e.Stop)
}

// Create shows the plugins the container web of a pod ns/pod with the annotations.
func (e *Engine) Create(tb testing.TB, annotations map[string]string) (*adaptation.CreateContainerResponse, error) {
	tb.Helper()
	return e.CreateContainer(tb.Context(), &adaptation.CreateContainerRequest{
		Pod:       &api.PodSandbox{Id: "p", Name: "pod", Namespace: "ns", Annotations: annotations},
		Container: &api.Container{Id: "c", Name: "web", PodSandboxId: "p"},
	})
}

// quiet is a log that says nothing.
type quiet struct{}

func (quiet) Debugf(context.Context, string, ...any) {}
func (quiet) Infof(context.Context, string, ...any)  {}
func (quiet) Warnf(context.Context, string, ...any)  {}
func (quiet) Errorf(context.Context, string, ...any) {}
