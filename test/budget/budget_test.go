// SPDX-License-Identifier: Apache-2.0

package budget

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// The budgets. These are said here once more on purpose: they are a promise, and
// package limit is how it is kept.
const (
	mostMemory = 64 << 20
	mostText   = 1 << 20
	mostError  = 16 << 10
	deadline   = 3 * time.Second
	overtime   = 5 * time.Second
	slack      = 2 * time.Second // to start a process and to see its end
)

// host is what the programs run on.
type host struct {
	dir, binary, shim, config, log string
	env                            []string
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{dir: t.TempDir(), binary: rig.Binary(t)}
	h.config, h.log = filepath.Join(h.dir, "config.toml"), filepath.Join(h.dir, "log")
	bin := filepath.Join(h.dir, "bin")
	for _, d := range []string{bin, filepath.Join(h.dir, "env")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	rig.CopyFile(t, h.binary, filepath.Join(bin, "oci-secrets"), 0o755)
	h.shim = filepath.Join(bin, "oci-secrets-runtime")
	for name, target := range map[string]string{h.shim: filepath.Join(bin, "oci-secrets"), filepath.Join(bin, "runc"): "/bin/true"} {
		if err := os.Symlink(target, name); err != nil {
			t.Fatal(err)
		}
	}
	wide, big := map[string]string{}, map[string]string{"B": strings.Repeat("v", 130_000)}
	for i := range 1000 {
		wide[fmt.Sprintf("K%d", i)] = "v"
	}
	secrets, err := json.Marshal(map[string]any{"wide": wide, "big": big})
	if err != nil {
		t.Fatal(err)
	}
	rig.WriteFile(t, filepath.Join(h.dir, "secrets.json"), string(secrets), 0o600)
	h.configure(t, deadline, "[dict]\npath = \"secrets.json\"\n[dotenv]\n")
	h.env = []string{"PATH=" + bin + ":/usr/sbin:/usr/bin:/sbin:/bin", "OCI_SECRETS_CONFIG=" + h.config, "HOME=" + h.dir}
	return h
}

// configure writes the settings, with the tables of the sources.
func (h *host) configure(t *testing.T, deadline time.Duration, sources string) {
	t.Helper()
	rig.WriteFile(t, h.config, fmt.Sprintf("deadline = %q\nstate_dir = %q\n[log]\nfile = %q\n%s", deadline, rig.StateDir(t), h.log, sources), 0o600)
}

// forget removes the logs of the start before.
func (h *host) forget(t *testing.T) {
	t.Helper()
	for _, log := range []string{h.log, h.log + ".engine"} {
		if err := os.Remove(log); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// bundle writes the bundle of a container with the annotations.
func (h *host) bundle(t *testing.T, s shape) (dir, config string) {
	t.Helper()
	text, err := json.Marshal(specs.Spec{
		Version: "1.0.2", Process: &specs.Process{Cwd: "/", Args: []string{"/bin/true"}, Env: []string{"PATH=/bin"}},
		Root: &specs.Root{Path: "rootfs"}, Annotations: s,
	})
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	rig.WriteFile(t, filepath.Join(dir, "config.json"), string(text), 0o600)
	return dir, string(text)
}

// ways are the programs that read annotations; each with its standard input.
var ways = map[string]func(h *host, bundle, config string, s shape) (argv []string, stdin string){
	"hook": func(h *host, bundle, _ string, s shape) ([]string, string) {
		state, _ := json.Marshal(specs.State{Version: "1.0.2", ID: "web", Status: "creating", Pid: os.Getpid(), Bundle: bundle, Annotations: s})
		return []string{h.binary, "hook", "--config", h.config}, string(state)
	},
	"precreate": func(h *host, _, config string, _ shape) ([]string, string) {
		return []string{h.binary, "precreate", "--config", h.config}, config
	},
	"shim": func(h *host, bundle, _ string, _ shape) ([]string, string) {
		return []string{h.shim, "--log", h.log + ".engine", "create", "--bundle", bundle, "web"}, ""
	},
	"explain": func(h *host, bundle, _ string, _ shape) ([]string, string) {
		return []string{h.binary, "explain", "--config", h.config, "--bundle", bundle}, ""
	},
	"explain offline": func(h *host, bundle, _ string, _ shape) ([]string, string) {
		return []string{h.binary, "explain", "--offline", "--config", h.config, "--bundle", bundle}, ""
	},
}

// TestShapes tries every shape of annotations, in every way.
func TestShapes(t *testing.T) {
	h := newHost(t)
	for name, s := range shapes() {
		for way, command := range ways {
			t.Run(name+"/"+way, func(t *testing.T) {
				h.forget(t)
				dir, config := h.bundle(t, s)
				argv, stdin := command(h, dir, config, s)
				line, costs := measured(t, argv...)
				res := rig.RunWith(t, h.env, stdin, line...)
				said := res.Stderr
				if way != "precreate" { // whose output is the container's configuration
					said += res.Stdout
				}
				h.within(t, costs(), res, said)
			})
		}
	}
}

// within fails unless all of a start was within the budgets.
func (h *host) within(t *testing.T, c cost, res rig.Result, said string) {
	t.Helper()
	t.Logf("exit code %d, %v, %v of a processor, %.1f MiB, %d bytes", c.Code, c.Took.Round(time.Millisecond), c.CPU.Round(time.Millisecond), float64(c.RSS)/(1<<20), len(said))
	// A machine that has much else to do is no fault of the program's.
	if c.CPU > deadline || c.Took > deadline+overtime+slack {
		t.Errorf("it took %v, and %v of a processor", c.Took, c.CPU)
	}
	if c.RSS > mostMemory {
		t.Errorf("it had %.1f MiB", float64(c.RSS)/(1<<20))
	}
	if !slices.Contains([]int{0, 10, 11, 13, 14, 15, 16}, c.Code) {
		t.Errorf("exit code %d: %.2000s", c.Code, res.Stderr)
	}
	for what, text := range map[string]string{"it said": said, "the log has": text(h.log), "the engine's log has": text(h.log + ".engine")} {
		most := mostText
		if c.Code != 0 {
			most = mostError
		}
		if len(text) > most {
			t.Errorf("%s %d bytes", what, len(text))
		}
	}
}

// text is that of a file that need not be there.
func text(path string) string {
	b, _ := os.ReadFile(path)
	return string(b)
}
