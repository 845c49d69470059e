// SPDX-License-Identifier: Apache-2.0

package nri

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"

	"github.com/oci-secrets/oci-secrets/hook/printable"
	"github.com/oci-secrets/oci-secrets/hook/syslog"
	"github.com/oci-secrets/oci-secrets/spec"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// Socket is where an engine listens for plugins, unless told otherwise.
const Socket = api.DefaultSocketPath

// Options say which plugin to be, and where.
type Options struct {
	Plugin
	Guard  bool   // be the guard, and not the plugin
	Name   string // by which the engine's settings and messages know the plugin
	Index  string // two digits: the plugins' order
	Socket string
	Log    io.Writer // lines for a person; they are in the system log, too

	launched bool // by the engine, which has connected us
}

// Launched reports whether an engine has started this program, under a name like
// 10-oci-secrets in its directory of plugins: it does so without arguments, and
// says where in the environment. A name that ends in -guard is the guard.
func Launched(argv []string) (o Options, ok bool) {
	index, name, err := api.ParsePluginName(filepath.Base(argv[0]))
	if err != nil || len(argv) != 1 || os.Getenv(api.PluginSocketEnvVar) == "" {
		return Options{}, false
	}
	return Options{Guard: strings.HasSuffix(name, "-guard"), Name: name, Index: index, launched: true}, true
}

// The pause between two attempts to connect doubles from the first to the
// second. It is short, because a container that is created meanwhile gets no
// hook; an attempt costs the same as looking for the socket's file.
const (
	shortest = 50 * time.Millisecond
	longest  = time.Second
)

// Run is the plugin, until ctx is done. It connects again whenever the engine
// goes away, and waits for one that is not there yet. A plugin that its engine
// has started ends with the engine.
func Run(ctx context.Context, o Options) error {
	if err := errors.Join(api.CheckPluginIndex(o.Index), api.CheckPluginName(o.Name)); err != nil {
		return fault.New(fault.Usage, "see oci-secrets nri --help", "%w", err)
	}
	if !o.Guard && !spec.IsHook(o.Path, spec.HookArgs("", ""), "") {
		return fault.New(fault.Usage, "link instead of copying, or name it with --path",
			"the hook %s would not be known for one: its name must begin with oci-secrets", o.Path)
	}
	o.say = o.warn
	pause, told := shortest, ""
	for {
		connected, err := o.session(ctx)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // it was told to end
		case o.launched:
			return err
		case connected:
			pause, told = shortest, ""
		}
		if text := err.Error(); text != told {
			told = text
			o.warn("not connected: %s", text)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
			pause = min(2*pause, longest)
		}
	}
}

// session serves one connection to its end, and says whether the engine has
// taken the plugin.
func (o *Options) session(ctx context.Context) (connected bool, err error) {
	options := []stub.Option{stub.WithLogger(log{o})}
	gone := make(chan struct{})
	if !o.launched {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", o.Socket)
		if err != nil {
			return false, err
		}
		watched := &watched{conn, sync.OnceFunc(func() { close(gone) })}
		options = append(options, stub.WithPluginName(o.Name), stub.WithPluginIdx(o.Index), stub.WithConnection(watched))
	}
	// The stub finds out by its methods what a plugin serves.
	p := &peer{o: o}
	var plugin any = struct {
		*peer
		*Plugin
	}{p, &o.Plugin}
	if o.Guard {
		plugin = struct {
			*peer
			Guard
		}{p, Guard{&o.Plugin}}
	}
	s, err := stub.New(plugin, options...)
	if err != nil {
		return false, err
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	select {
	case err = <-done:
	case <-gone:
		// The stub is told, too; but where it waits to be configured it does not
		// listen, and would wait for ever.
		select {
		case err = <-done:
		case <-time.After(longest):
		}
	}
	if err == nil {
		err = errors.New("the engine has closed the connection")
	}
	return p.connected.Load(), err
}

// peer is the engine at the other end.
type peer struct {
	o         *Options
	connected atomic.Bool
}

// Configure is called once, when the engine takes the plugin. To one that it has
// started itself it passes on settings, a file in its directory for that. If they
// are broken, containers are better refused than started without a plugin.
func (p *peer) Configure(_ context.Context, config, engine, version string) (api.EventMask, error) {
	var s struct {
		Path   string `toml:"path"`
		Config string `toml:"config"`
	}
	meta, err := toml.Decode(config, &s)
	if unknown := meta.Undecoded(); err == nil && len(unknown) > 0 {
		err = fmt.Errorf("unknown key %s, only path and config are known", unknown[0])
	}
	if err != nil {
		p.o.broken = fmt.Errorf("oci-secrets: the plugin's settings: %w", err)
	}
	p.o.Path, p.o.Config = cmp.Or(s.Path, p.o.Path), cmp.Or(s.Config, p.o.Config)
	p.connected.Store(true)
	p.o.tell("%s-%s is connected to %s %s", p.o.Index, p.o.Name, engine, version)
	return 0, nil
}

// watched is a connection that tells when it is no more.
type watched struct {
	net.Conn
	gone func()
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil {
		w.gone()
	}
	return n, err
}

// tell writes a line for a person.
func (o *Options) tell(format string, args ...any) {
	_, _ = fmt.Fprintln(o.Log, printable.Line("oci-secrets: nri: "+fmt.Sprintf(format, args...))) // a log that is closed is none
}

// warn writes a line to the system log as well: who has started us may not read
// what we write.
func (o *Options) warn(format string, args ...any) {
	o.tell(format, args...)
	syslog.Error("nri: " + fmt.Sprintf(format, args...))
}

// log is the stub's, without what the stub tells of its own doings.
type log struct{ o *Options }

func (log) Debugf(context.Context, string, ...any)                 {}
func (log) Infof(context.Context, string, ...any)                  {}
func (l log) Warnf(_ context.Context, format string, args ...any)  { l.o.warn(format, args...) }
func (l log) Errorf(_ context.Context, format string, args ...any) { l.o.warn(format, args...) }
