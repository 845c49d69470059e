// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Bundle is a container that can be run, and the secrets that its host has.
type Bundle struct {
	ID     string
	Dir    string
	Config string // the hook's settings
	Spec   *specs.Spec
}

// PayloadPath is where the containers' program is.
const PayloadPath = "/payload"

// NewBundle makes a bundle whose program is the payload, with the hook under
// the given stage ("" for none), and settings with a dict that holds the given
// secrets. Change Spec, then call Write.
func NewBundle(tb testing.TB, stage string, secrets map[string]map[string]string) *Bundle {
	tb.Helper()
	dir := tb.TempDir()
	b := &Bundle{ID: "t" + rand.Text(), Dir: dir, Config: filepath.Join(dir, "settings", "config.toml")}
	for _, d := range []string{"settings", "rootfs/proc", "rootfs/dev", "rootfs/sys", "rootfs/tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	// A container in a user namespace must be able to reach its root.
	for d := dir; d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	CopyFile(tb, Payload(tb, "amd64"), filepath.Join(dir, "rootfs", PayloadPath), 0o755)
	b.Spec = example()
	if stage != "" {
		b.Hook(tb, stage, Binary(tb), "hook", "--config", b.Config)
	}
	dict, err := json.Marshal(secrets)
	if err != nil {
		tb.Fatal(err)
	}
	b.WriteSettings(tb, "secrets.json", string(dict))
	b.WriteSettings(tb, "config.toml", "[dict]\npath = \"secrets.json\"\n")
	b.Write(tb)
	return b
}

// Hook adds a hook to a stage.
func (b *Bundle) Hook(tb testing.TB, stage, path string, args ...string) {
	tb.Helper()
	if b.Spec.Hooks == nil {
		b.Spec.Hooks = &specs.Hooks{}
	}
	h := specs.Hook{Path: path, Args: append([]string{filepath.Base(path)}, args...)}
	switch stage {
	case "prestart":
		b.Spec.Hooks.Prestart = append(b.Spec.Hooks.Prestart, h) //nolint:staticcheck // deprecated and everywhere
	case "createRuntime":
		b.Spec.Hooks.CreateRuntime = append(b.Spec.Hooks.CreateRuntime, h)
	case "createContainer":
		b.Spec.Hooks.CreateContainer = append(b.Spec.Hooks.CreateContainer, h)
	case "startContainer":
		b.Spec.Hooks.StartContainer = append(b.Spec.Hooks.StartContainer, h)
	case "poststart":
		b.Spec.Hooks.Poststart = append(b.Spec.Hooks.Poststart, h)
	case "poststop":
		b.Spec.Hooks.Poststop = append(b.Spec.Hooks.Poststop, h)
	default:
		tb.Fatalf("no stage %q", stage)
	}
}

// InPod has the container in the control group of a pod, where the engine of a
// kubelet's puts it.
func (b *Bundle) InPod(tb testing.TB, uid string) {
	tb.Helper()
	tb.Cleanup(func() { // of the runtime's container, which is deleted before
		for _, left := range removeCgroups(b.ID) {
			tb.Error(left)
		}
	})
	b.Spec.Linux.CgroupsPath = "/" + b.ID + "/kubepods/pod" + uid + "/" + b.ID
}

// Annotate sets an annotation.
func (b *Bundle) Annotate(key, value string) {
	if b.Spec.Annotations == nil {
		b.Spec.Annotations = map[string]string{}
	}
	b.Spec.Annotations[key] = value
}

// Write writes config.json.
func (b *Bundle) Write(tb testing.TB) {
	tb.Helper()
	text, err := json.MarshalIndent(b.Spec, "", "\t")
	if err != nil {
		tb.Fatal(err)
	}
	WriteFile(tb, filepath.Join(b.Dir, "config.json"), string(text), 0o644)
}

// WriteSettings writes a private file beside config.toml.
func (b *Bundle) WriteSettings(tb testing.TB, name, text string) {
	tb.Helper()
	path := filepath.Join(filepath.Dir(b.Config), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tb.Fatal(err)
	}
	WriteFile(tb, path, text, 0o600)
}

// Report is what the payload printed.
type Report struct {
	PID     int      `json:"pid"`
	UID     int      `json:"uid"`
	EUID    int      `json:"euid"`
	Args    int      `json:"args"`
	Env     []string `json:"env"`
	Environ []string `json:"environ"`
}

// ParseReport reads the payload's output.
func ParseReport(tb testing.TB, out string) Report {
	tb.Helper()
	var r Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		tb.Fatalf("the container did not report: %v\n%s", err, out)
	}
	return r
}

// WriteFile writes a file with exactly the given mode.
func WriteFile(tb testing.TB, path, text string, mode os.FileMode) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		tb.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		tb.Fatal(err)
	}
}

// ReadFile reads a text file.
func ReadFile(tb testing.TB, path string) string {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

// CopyFile copies a file.
func CopyFile(tb testing.TB, from, to string, mode os.FileMode) {
	tb.Helper()
	src, err := os.Open(from)
	if err != nil {
		tb.Fatal(err)
	}
	defer src.Close() //nolint:errcheck // only read from
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := io.Copy(dst, src); err != nil {
		tb.Fatal(err)
	}
	if err := dst.Close(); err != nil {
		tb.Fatal(err)
	}
}

// example is what `runc spec` prints, without a terminal.
func example() *specs.Spec {
	caps := []string{"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"}
	return &specs.Spec{
		Version: "1.0.2",
		Process: &specs.Process{
			Args: []string{PayloadPath, "report"}, Cwd: "/",
			Env:             []string{"PATH=/usr/bin:/bin", "TERM=xterm"},
			Capabilities:    &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps},
			Rlimits:         []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Hard: 1024, Soft: 1024}},
			NoNewPrivileges: true,
		},
		Root:     &specs.Root{Path: "rootfs", Readonly: true},
		Hostname: "test",
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
			{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid"}},
		},
		Linux: &specs.Linux{
			Namespaces: []specs.LinuxNamespace{
				{Type: "pid"}, {Type: "network"}, {Type: "ipc"}, {Type: "uts"}, {Type: "mount"},
			},
			MaskedPaths: []string{"/proc/kcore"}, ReadonlyPaths: []string{"/proc/sys"},
		},
	}
}
