// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// way is how oci-secrets comes into containerd.
type way struct {
	plugin   bool     // the NRI plugin, by a link: containerd starts it
	guard    bool     // its guard, likewise
	shim     bool     // the runtime shim, and the annotations that a handler passes on
	blind    bool     // the handler passes none on
	required []string // plugins without which containerd creates no container
}

// ways are those that deliver.
var ways = []way{{plugin: true, guard: true, required: []string{plugin, guard}}, {shim: true}}

func (w way) String() string {
	if w.shim {
		return "shim"
	}
	return "plugin"
}

// each runs a test once for every way.
func each(t *testing.T, ways []way, test func(t *testing.T, w way)) {
	t.Helper()
	t.Parallel()
	for _, w := range ways {
		t.Run(w.String(), func(t *testing.T) {
			t.Parallel()
			test(t, w)
		})
	}
}

type (
	secrets     map[string]map[string]string
	annotations = map[string]string
)

var three = secrets{
	"db":     {"DB_USER": "app", "DB_PASSWORD": "hunter2", "SHARED": "db"},
	"stripe": {"STRIPE_KEY": "sk_1", "SHARED": "stripe"},
}

// site is a containerd with a way in, and the secrets of its host.
type site struct {
	*engine
	config string // the settings of oci-secrets
	vol    string // a directory for containers to write to
	n      int    // of pods
}

func newSite(t *testing.T, w way, have secrets) *site {
	t.Helper()
	rig.Engine(t, "containerd.sh")     // or skip
	dir, err := os.MkdirTemp(base, "") //nolint:usetesting // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	s := &site{config: dir + "/settings/config.toml", vol: dir + "/vol"}
	for d, mode := range map[string]os.FileMode{
		dir: 0o755, dir + "/settings": 0o755, s.vol: 0o777, dir + "/plugins": 0o755, dir + "/conf.d": 0o755, dir + "/logs": 0o755,
	} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(d, mode); err != nil {
			t.Fatal(err)
		}
	}
	links := map[string]bool{
		dir + "/plugins/10-oci-secrets": w.plugin, dir + "/plugins/99-oci-secrets-guard": w.guard, dir + "/oci-secrets-runtime": w.shim,
	}
	for link, wanted := range links {
		if wanted {
			if err := os.Symlink(rig.Binary(t), link); err != nil {
				t.Fatal(err)
			}
		}
	}
	rig.WriteFile(t, dir+"/conf.d/oci-secrets.conf", fmt.Sprintf("config = %q\n", s.config), 0o644)
	s.configure(t, "")
	s.have(t, have)
	settings := "[plugins.\"io.containerd.nri.v1.nri\"]\ndisable = false\n"
	if len(w.required) > 0 {
		example, err := os.ReadFile(filepath.Join(rig.Root(t), "install/kubernetes/containerd.toml"))
		if err != nil {
			t.Fatal(err)
		}
		settings = strings.Replace(string(example), `["oci-secrets", "oci-secrets-guard"]`, `["`+strings.Join(w.required, `", "`)+`"]`, 1)
	}
	settings = strings.Replace(settings, "disable = false\n", fmt.Sprintf(
		"disable = false\nsocket_path = %q\nplugin_path = %q\nplugin_config_path = %q\n", dir+"/nri", dir+"/plugins", dir+"/conf.d"), 1)
	if w.shim {
		passed := `pod_annotations = ["secrets.oci/*", "*.secrets.oci/*"]
container_annotations = ["secrets.oci/*", "*.secrets.oci/*"]
`
		if w.blind {
			passed = ""
		}
		settings += fmt.Sprintf(`[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
`+passed+`[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = %q
`, dir+"/oci-secrets-runtime")
	}
	s.engine = start(t, dir, settings, "OCI_SECRETS_CONFIG="+s.config)
	rig.WantSeen(t, s.command(t), s.config)
	s.load(t)
	return s
}

// configure writes the settings of oci-secrets: a dict, and more.
func (s *site) configure(t *testing.T, more string) {
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

// up starts a container that reports into the volume and then waits for its
// end, and gives its id and the report.
func (s *site) up(t *testing.T, p *pod, name string, own annotations) (string, rig.Report) {
	t.Helper()
	id, err := p.create(t, name, s.vol, own, rig.PayloadPath, "wait", "/vol/"+name)
	if err != nil {
		t.Fatalf("create %s: %v", name, err)
	}
	if err := p.start(t, id); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	path := filepath.Join(s.vol, name)
	r := rig.AwaitReport(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	return id, r
}

// refused has a container that must not start, and gives what the kubelet is
// told, with what differs between two runs left out.
func (s *site) refused(t *testing.T, p *pod, name string) string {
	t.Helper()
	id, err := p.create(t, name, s.vol, nil, rig.PayloadPath, "mark", "/vol/"+name)
	if err == nil {
		err = p.start(t, id)
	}
	if err == nil {
		t.Fatalf("%s has been started", name)
	}
	if _, err := os.Stat(filepath.Join(s.vol, name)); err == nil {
		t.Errorf("the program of %s ran", name)
	}
	if id != "" {
		if status := s.status(t, id).Status; status.State != cri.ContainerState_CONTAINER_EXITED {
			t.Errorf("%s is %v", name, status.State)
		}
	}
	text := strings.NewReplacer(filepath.Dir(s.config), "SETTINGS", s.dir, "DIR").Replace(err.Error())
	if id != "" {
		text = strings.ReplaceAll(text, id, "ID")
	}
	return text
}

// service is the NRI plugin as a service of the host's.
type service struct {
	cmd *exec.Cmd
	log string
}

// service starts the plugin, with flags, and waits until containerd has taken it.
// It ends with the test.
func (s *site) service(t *testing.T, flags ...string) *service {
	t.Helper()
	svc := &service{log: filepath.Join(t.TempDir(), "log")}
	log, err := os.Create(svc.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	argv := append([]string{"nri", "--socket", s.dir + "/nri", "--config", s.config}, flags...)
	svc.cmd = exec.Command(rig.Binary(t), argv...)
	svc.cmd.Stderr = log
	if err := svc.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = svc.cmd.Process.Kill()
		_ = svc.cmd.Wait() // it was killed
	})
	rig.Eventually(t, "the plugin connects", func() bool {
		return strings.Contains(svc.said(), " is connected to containerd ")
	})
	return svc
}

// said is what the plugin has said.
func (s *service) said() string {
	b, _ := os.ReadFile(s.log)
	return string(b)
}
