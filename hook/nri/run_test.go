// SPDX-License-Identifier: Apache-2.0

package nri

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/nri/pkg/api"

	"github.com/oci-secrets/oci-secrets/spec/fault"
	testnri "github.com/oci-secrets/oci-secrets/test/nri"
	"github.com/oci-secrets/oci-secrets/test/rig"
)

func TestMain(m *testing.M) {
	code := m.Run()
	rig.Cleanup()
	os.Exit(code)
}

// engine is the engines' half of NRI.
type engine struct{ *testnri.Engine }

func newEngine(t *testing.T) engine {
	t.Helper()
	return engine{testnri.New(t)}
}

// hooksOf are the hooks that a container gets which asks for a secret.
func (e engine) hooksOf(t *testing.T) ([]*api.Hook, error) {
	t.Helper()
	reply, err := e.Create(t, annotations{"secrets.oci/from": "db"})
	return reply.GetAdjust().GetHooks().GetCreateRuntime(), err
}

// awaitHook waits for a container to get the hook.
func (e engine) awaitHook(t *testing.T) *api.Hook {
	t.Helper()
	var hooks []*api.Hook
	rig.Eventually(t, "a container gets the hook", func() bool {
		hooks, _ = e.hooksOf(t)
		return len(hooks) > 0
	})
	if len(hooks) != 1 {
		t.Fatalf("it gets %v", hooks)
	}
	return hooks[0]
}

// buffer is a log that can be read while it is written.
type buffer struct {
	sync.Mutex
	b bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) { b.Lock(); defer b.Unlock(); return b.b.Write(p) }
func (b *buffer) String() string              { b.Lock(); defer b.Unlock(); return b.b.String() }

// run starts a plugin, and ends it with the test.
func (e engine) run(t *testing.T, o Options) *buffer {
	t.Helper()
	said := &buffer{}
	o.Path, o.Socket, o.Log = binary, e.Socket, said
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the plugin: %v", err)
		}
	})
	return said
}

// TestWaitsForEngine has an engine that comes late.
func TestWaitsForEngine(t *testing.T) {
	e := newEngine(t)
	said := e.run(t, Options{Name: "oci-secrets", Index: "10"})
	rig.Eventually(t, "the plugin has tried", func() bool { return said.String() != "" })
	e.Start(t)
	if h := e.awaitHook(t); h.Path != binary {
		t.Errorf("the hook is %v", h)
	}
	if !strings.HasSuffix(said.String(), "10-oci-secrets is connected to engine 1.2.3\n") {
		t.Errorf("it has said %s", said)
	}
}

// TestWaitsQuietly looks at what the plugin does while there is no engine: it
// says so once, and does next to nothing.
func TestWaitsQuietly(t *testing.T) {
	said := newEngine(t).run(t, Options{Name: "oci-secrets", Index: "10"})
	rig.Eventually(t, "the plugin has tried", func() bool { return said.String() != "" })
	used := cpu(t)
	for begun := time.Now(); time.Since(begun) < 3*longest; time.Sleep(longest) { // it is time that is looked at
		continue
	}
	if used = cpu(t) - used; used > 100*time.Millisecond {
		t.Errorf("it has used %v", used)
	}
	if n := strings.Count(said.String(), "\n"); n != 1 {
		t.Errorf("it has said %s", said)
	}
}

func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestEngineThatFallsSilent has an engine that takes the plugin and goes away
// before it configures it, which the stub does not notice.
func TestEngineThatFallsSilent(t *testing.T) {
	e := newEngine(t)
	l, err := net.Listen("unix", e.Socket)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	e.run(t, Options{Name: "oci-secrets", Index: "10"})
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	var register []byte
	for b := make([]byte, 4<<10); !bytes.Contains(register, []byte("RegisterPlugin")); {
		n, err := conn.Read(b)
		if err != nil {
			t.Fatalf("%q, %v", register, err)
		}
		register = append(register, b[:n]...)
	}
	answerRegistration(t, conn)
	if err := errors.Join(conn.Close(), l.Close(), os.Remove(e.Socket)); err != nil {
		t.Fatal(err)
	}
	e.Start(t)
	e.awaitHook(t)
}

// answerRegistration is an empty reply to the first request: a frame of the
// multiplexer (connection 2, length 10) with one of ttrpc (no payload, stream 1,
// a response).
func answerRegistration(t *testing.T, conn net.Conn) {
	t.Helper()
	if _, err := conn.Write([]byte{0, 0, 0, 2, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0}); err != nil {
		t.Fatal(err)
	}
}

// TestGuardRefuses has the real engine ask the real guard.
func TestGuardRefuses(t *testing.T) {
	e := newEngine(t)
	e.Start(t)
	said := e.run(t, Options{Name: "oci-secrets-guard", Index: "99", Guard: true})
	var err error
	rig.Eventually(t, "the guard refuses", func() bool {
		_, err = e.hooksOf(t)
		return err != nil
	})
	const want = `validator "99-oci-secrets-guard" rejected container adjustment, reason: container web of pod ns/pod asks for secrets, ` +
		"and the NRI plugin oci-secrets has not added its hook: it is not connected, or was too slow"
	if err.Error() != want {
		t.Errorf("got %v\n%s", err, said)
	}
	e.run(t, Options{Name: "oci-secrets", Index: "10"})
	e.awaitHook(t)
}

// TestLaunched has the engine start the real program, by a link in its
// directory of plugins, with settings.
func TestLaunched(t *testing.T) {
	e := newEngine(t)
	for _, name := range []string{"10-oci-secrets", "99-oci-secrets-guard"} {
		if err := os.Symlink(rig.Binary(t), filepath.Join(e.Plugins, name)); err != nil {
			t.Fatal(err)
		}
	}
	e.Start(t)
	hooks, err := e.hooksOf(t)
	if err != nil || len(hooks) != 1 || hooks[0].Path != rig.Binary(t) || len(hooks[0].Args) != 2 {
		t.Errorf("the first container gets %v, %v", hooks, err)
	}
	e.Stop()

	rig.WriteFile(t, e.Settings+"/oci-secrets.conf", "config = \"/c\"\npath = \"/x/oci-secrets\"\n", 0o644)
	e.Start(t)
	if h := e.awaitHook(t); h.Path != "/x/oci-secrets" || strings.Join(h.Args, " ") != "oci-secrets hook --config /c" {
		t.Errorf("the hook is %v", h)
	}
	e.Stop()

	rig.WriteFile(t, e.Settings+"/oci-secrets.conf", "conf = \"/c\"\n", 0o644)
	e.Start(t)
	if hooks, err := e.hooksOf(t); err == nil || !strings.Contains(err.Error(), "the plugin's settings: unknown key conf") {
		t.Errorf("with broken settings, a container gets %v, %v", hooks, err)
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{
		{Name: "oci-secrets", Index: "1", Plugin: Plugin{Path: binary}},
		{Name: "oci secrets", Index: "10", Plugin: Plugin{Path: binary}},
		{Name: "oci-secrets", Index: "10", Plugin: Plugin{Path: "/opt/nri/plugins/10-oci-secrets"}},
	} {
		if err := Run(t.Context(), o); !errors.Is(err, fault.Usage) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
