// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// image has the payload, a shell, and a variable of its own.
const image = "test:latest"

// shim is the name of the runtime in daemon.json, and in docker's --runtime.
const shim = "oci-secrets"

// site is a docker with the shim among its runtimes, and the secrets of its host.
type site struct {
	*daemon
	binary string // the shim, as daemon.json names it
	config string // the settings of oci-secrets
	vol    string // a directory for containers to write to
}

type secrets map[string]map[string]string

// newSite starts a docker. settings are those of daemon.json, besides the
// runtime's.
func newSite(t *testing.T, e engine, have secrets, settings map[string]any) *site {
	t.Helper()
	dir, err := os.MkdirTemp(base, "site-") //nolint:usetesting // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	s := &site{binary: dir + "/oci-secrets-runtime", config: dir + "/settings/config.toml", vol: dir + "/vol"}
	for d, mode := range map[string]os.FileMode{dir: 0o755, dir + "/settings": 0o755, s.vol: 0o777, dir + "/cli": 0o755} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(d, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(rig.Binary(t), s.binary); err != nil {
		t.Fatal(err)
	}
	s.set(t, "")
	settings = maps.Clone(settings)
	if settings == nil {
		settings = map[string]any{}
	}
	settings["runtimes"] = map[string]any{shim: map[string]any{"path": s.binary}}
	s.daemon = e.start(t, dir, settings, "OCI_SECRETS_CONFIG="+s.config)
	s.have(t, have)
	rig.WantSeen(t, s.command(), s.config)
	s.must(t, "import", "--change", "ENV FROM_IMAGE=image", "--change", `CMD ["/payload","report"]`, archive(t), image)
	return s
}

// archive is the image's root as a tar file, made once.
func archive(t *testing.T) string {
	t.Helper()
	archived.Do(func() {
		tree := filepath.Join(base, "tree")
		for _, d := range []string{"bin", "dev", "etc", "proc", "sys", "tmp", "vol"} {
			if err := os.MkdirAll(filepath.Join(tree, d), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		rig.CopyFile(t, rig.Payload(t, "amd64"), tree+rig.PayloadPath, 0o755)
		rig.CopyFile(t, "/bin/busybox", tree+"/bin/busybox", 0o755)
		for _, applet := range []string{"sh", "sleep", "env", "cat"} {
			if err := os.Symlink("busybox", tree+"/bin/"+applet); err != nil {
				t.Fatal(err)
			}
		}
		rig.MustRun(t, "tar", "-C", tree, "-cf", base+"/image.tar", ".")
	})
	return base + "/image.tar"
}

// set writes the settings of oci-secrets: a dict, and more.
func (s *site) set(t *testing.T, more string) {
	t.Helper()
	rig.WriteFile(t, s.config, more+"\n[dict]\npath = \"secrets.json\"\n", 0o600)
}

// have replaces the secrets of the host.
func (s *site) have(t *testing.T, have secrets) {
	t.Helper()
	b, err := json.Marshal(have)
	if err != nil {
		t.Fatal(err)
	}
	rig.WriteFile(t, filepath.Join(filepath.Dir(s.config), "secrets.json"), string(b), 0o600)
}

// run runs a container to its end, and gives what it reports.
func (s *site) run(t *testing.T, args ...string) rig.Report {
	t.Helper()
	return rig.ParseReport(t, s.must(t, append(s.args("run", "--rm"), append(args, image)...)...))
}

// args begins the command line of a container under the shim.
func (s *site) args(command ...string) []string {
	return append(command, "--runtime", shim, "--network", "host", "--volume", s.vol+":/vol")
}

// up starts a container that reports into the volume and then waits for its
// end, and gives the report.
func (s *site) up(t *testing.T, name string, args ...string) rig.Report {
	t.Helper()
	s.must(t, append(s.args("run", "--detach", "--name", name), append(args, waiting(name)...)...)...)
	return s.report(t, name)
}

// waiting is the image and the command of such a container.
func waiting(name string) []string {
	return []string{image, rig.PayloadPath, "wait", "/vol/" + name}
}

// report waits for the report of a container, and takes it away.
func (s *site) report(t *testing.T, name string) rig.Report {
	t.Helper()
	path := filepath.Join(s.vol, name)
	r := rig.AwaitReport(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	return r
}

// exec gives what the payload reports that docker exec starts in the container web.
func (s *site) exec(t *testing.T, flags ...string) rig.Report {
	t.Helper()
	return rig.ParseReport(t, s.must(t, append(append([]string{"exec"}, flags...), "web", rig.PayloadPath, "report")...))
}

// state is a field of docker inspect's State.
func (s *site) state(t *testing.T, name, field string) string {
	t.Helper()
	return s.must(t, "inspect", "--format", fmt.Sprintf("{{.State.%s}}", field), name)
}

func from(list string) string { return "--annotation=secrets.oci/from=" + list }
