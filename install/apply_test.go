// SPDX-License-Identifier: Apache-2.0

package install_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/install"
)

var (
	podmanAnswers = map[string]string{"podman --version": "podman version 5.0.0"}
	options       = install.Options{Hook: install.Hook{Path: "/usr/local/bin/oci-secrets"}}
)

// TestCutOff stops install and uninstall after each of their steps. What is
// there then can be installed and taken back as if nothing had happened, and at
// no time is there a hook without its binary.
func TestCutOff(t *testing.T) {
	for cut := range 3 {
		m := machine(t, nil, podmanAnswers, false)
		before := tree(t, m.Root)
		part := func(p *install.Plan) {
			if len(p.Changes) != 2 || cut == 2 && len(p.Changes) < cut {
				t.Fatalf("%d changes", len(p.Changes))
			}
			p.Changes = p.Changes[:cut]
			apply(t, p)
		}
		part(must(m.Install("podman", options)))
		hook := m.Root + "/etc/oci-secrets/hooks.d/oci-secrets.json"
		if _, err := os.Stat(hook); (err == nil) != (cut == 2) {
			t.Errorf("after %d steps of install the hook is there: %v", cut, err)
		}
		apply(t, must(m.Uninstall("podman", options)))
		if diff := cmp.Diff(before, tree(t, m.Root)); diff != "" {
			t.Errorf("after %d steps of install, uninstall leaves\n%s", cut, diff)
		}

		apply(t, must(m.Install("podman", options)))
		installed := tree(t, m.Root)
		part(must(m.Uninstall("podman", options)))
		if _, err := os.Stat(hook); (err == nil) != (cut == 0) {
			t.Errorf("after %d steps of uninstall the hook is there: %v", cut, err)
		}
		apply(t, must(m.Install("podman", options)))
		if diff := cmp.Diff(installed, tree(t, m.Root)); diff != "" {
			t.Errorf("after %d steps of uninstall, install leaves\n%s", cut, diff)
		}
	}
}

// TestCutOffAtBackup stops install between the backup, which is a second link to
// the file, and the new file.
func TestCutOffAtBackup(t *testing.T) {
	m := machine(t, map[string]string{"etc/docker/daemon.json": "{}"}, nil, false)
	before := tree(t, m.Root)
	file := m.Root + "/etc/docker/daemon.json"
	if err := os.Link(file, file+".before-oci-secrets"); err != nil {
		t.Fatal(err)
	}
	apply(t, must(m.Uninstall("docker", options)))
	if diff := cmp.Diff(before, tree(t, m.Root)); diff != "" {
		t.Errorf("left behind\n%s", diff)
	}
}

// TestEngineGone takes back what was installed for an engine that is not there
// any more.
func TestEngineGone(t *testing.T) {
	for _, engine := range []string{"podman", "docker", "containerd", "crio"} {
		m := machine(t, nil, nil, false)
		before := tree(t, m.Root)
		apply(t, must(m.Install(engine, options)))
		m.Run = func(argv ...string) (string, error) { return "", exec.ErrNotFound }
		if err := m.InUse(engine); err != nil {
			t.Error(err)
		}
		apply(t, must(m.Uninstall(engine, options)))
		if diff := cmp.Diff(before, tree(t, m.Root)); diff != "" {
			t.Errorf("%s: left behind\n%s", engine, diff)
		}
	}
}

// TestSomebodyElse has a file change between plan and apply: what was done before
// it is taken back.
func TestSomebodyElse(t *testing.T) {
	m := machine(t, nil, podmanAnswers, false)
	p := must(m.Install("podman", options))
	write(t, m.Root+"/etc/oci-secrets/hooks.d/oci-secrets.json", "mine", 0o600)
	before := tree(t, m.Root)
	err := p.Apply()
	if err == nil || !strings.HasSuffix(err.Error(), "/etc/oci-secrets/hooks.d/oci-secrets.json: somebody else changes it at the same time") {
		t.Errorf("error %v", err)
	}
	if diff := cmp.Diff(before, tree(t, m.Root)); diff != "" {
		t.Errorf("left behind\n%s", diff)
	}
}

// TestReplace looks at what a file that is edited keeps.
func TestReplace(t *testing.T) {
	m := machine(t, map[string]string{"srv/daemon.json": "{}\n"}, nil, false)
	target := m.Root + "/srv/daemon.json"
	if err := os.Chmod(target, 0o604); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(target, 12, 34); err != nil {
			t.Fatal(err)
		}
	}
	// A link that leads through the tree's root, as it does in the image.
	link(t, "/srv/daemon.json", m.Root+"/etc/docker/daemon.json")
	stat := func() (s syscall.Stat_t) {
		t.Helper()
		if err := syscall.Stat(target, &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	before, was := tree(t, m.Root), stat()
	apply(t, must(m.Install("docker", options)))
	is := stat()
	if is.Mode != was.Mode || is.Uid != was.Uid || is.Gid != was.Gid || is.Ino == was.Ino {
		t.Errorf("before %+v, after %+v", was, is)
	}
	if after := tree(t, m.Root); after["/etc/docker/daemon.json"] != before["/etc/docker/daemon.json"] ||
		after["/srv/daemon.json.before-oci-secrets"] != before["/srv/daemon.json"] {
		t.Errorf("the link, or the backup, is not as it was\n%s", cmp.Diff(before, after))
	}
	apply(t, must(m.Uninstall("docker", options)))
	if is = stat(); is.Ino != was.Ino || is.Mtim != was.Mtim {
		t.Errorf("it is another file now: %+v, %+v", was, is)
	}
	if diff := cmp.Diff(before, tree(t, m.Root)); diff != "" {
		t.Errorf("uninstall leaves\n%s", diff)
	}
}

// TestUmask installs as somebody whose files nobody else may read. Rootless
// podmans must read them.
func TestUmask(t *testing.T) {
	m := machine(t, nil, podmanAnswers, false)
	p := must(m.Install("podman", options))
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	apply(t, p)
	for path, what := range tree(t, m.Root) {
		if mode, _, _ := strings.Cut(what, " "); strings.HasPrefix(path, "/etc/") && mode != "drwxr-xr-x" && mode != "-rw-r--r--" {
			t.Errorf("%s has mode %s", path, mode)
		}
	}
}

// TestTwoEngines takes one of two back: the other keeps its directories, and the
// last takes all of them.
func TestTwoEngines(t *testing.T) {
	m := machine(t, nil, nil, false)
	before := tree(t, m.Root)
	apply(t, must(m.Install("docker", options)))
	one := tree(t, m.Root)
	apply(t, must(m.Install("containerd", options)))
	apply(t, must(m.Uninstall("containerd", options)))
	if diff := cmp.Diff(one, tree(t, m.Root)); diff != "" {
		t.Errorf("the first is not as it was\n%s", diff)
	}
	apply(t, must(m.Install("containerd", options)))
	apply(t, must(m.Uninstall("docker", options)))
	write(t, m.Root+"/etc/containerd/mine.toml", "", 0o600)
	apply(t, must(m.Uninstall("containerd", options)))
	if _, err := os.Stat(filepath.Join(m.Root, "/etc/containerd/mine.toml")); err != nil {
		t.Error(err)
	}
	if err := os.Remove(m.Root + "/etc/containerd/mine.toml"); err != nil {
		t.Fatal(err)
	}
	apply(t, must(m.Install("docker", options)))
	apply(t, must(m.Uninstall("docker", options)))
	if diff := cmp.Diff(before, tree(t, m.Root)); diff != "" {
		t.Errorf("left behind\n%s", diff)
	}
}

// TestMoreOptions installs again with more: what there was before the first time
// is what uninstall goes back to.
func TestMoreOptions(t *testing.T) {
	m := machine(t, map[string]string{"etc/docker/daemon.json": `{"default-runtime": "crun"}`}, nil, false)
	before := tree(t, m.Root)
	more := options
	more.Default = true
	apply(t, must(m.Install("docker", options)))
	apply(t, must(m.Install("docker", more)))
	apply(t, must(m.Uninstall("docker", options)))
	if diff := cmp.Diff(before, tree(t, m.Root)); diff != "" {
		t.Errorf("left behind\n%s", diff)
	}
	// Somebody restores the file without us, and changes it: that is then what
	// there was before.
	apply(t, must(m.Install("docker", options)))
	write(t, m.Root+"/etc/docker/daemon.json", `{"debug": true}`, 0o640)
	before = tree(t, m.Root)
	delete(before, "/etc/docker/daemon.json.before-oci-secrets")
	apply(t, must(m.Install("docker", options)))
	apply(t, must(m.Uninstall("docker", options)))
	if diff := cmp.Diff(before, tree(t, m.Root)); diff != "" {
		t.Errorf("left behind\n%s", diff)
	}
}

// TestNeighbours has settings that would mean something else without our block,
// or with it.
func TestNeighbours(t *testing.T) {
	m := machine(t, map[string]string{"etc/containerd/config.toml": "version = 2\n"}, nil, false)
	config := m.Root + "/etc/containerd/config.toml"
	apply(t, must(m.Install("containerd", options)))
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, config, string(text)+"level = \"debug\"\n", 0o640) // which is in our last table
	if _, err := m.Uninstall("containerd", options); err == nil || !strings.HasSuffix(err.Error(), "would change other settings as well; edit it by hand") {
		t.Errorf("uninstall: error %v", err)
	}
	write(t, config, strings.Replace(string(text), "# oci-secrets end\n", "", 1), 0o640)
	if _, err := m.Uninstall("containerd", options); err == nil || !strings.HasSuffix(err.Error(), "are not as they were; put them right by hand") {
		t.Errorf("without the last line: error %v", err)
	}
}

// TestInUse asks each engine which containers would lose the shim.
func TestInUse(t *testing.T) {
	tests := map[string]struct {
		answers map[string]string
		want    string
	}{
		"podman": {map[string]string{
			"podman ps --all --quiet --no-trunc": "a\nb\nc\nd\n",
			"podman inspect --type container --format {{.Name}} {{.OCIRuntime}} {{json .Config.Annotations}} a b c d": "web oci-secrets {}\ndb runc {\"secrets.oci/from\":\"db\"}\nother crun null\nodd runc {\"Secrets.oci/x\":\"\"}\n",
		}, "containers still use it: web, db, odd"},
		"docker": {map[string]string{
			"docker ps --all --quiet --no-trunc":                                             "a\nb\n",
			"docker inspect --type container --format {{.Name}} {{.HostConfig.Runtime}} a b": "/web oci-secrets\n/db runc\n",
		}, "containers still use it: web"},
		"containerd": {map[string]string{
			"ctr namespaces list --quiet":                    "k8s.io\n",
			"ctr --namespace k8s.io containers list --quiet": "a\nb\n",
			"ctr --namespace k8s.io containers info a":       `{"Runtime": {"Options": {"value": "` + "Ii8vdXNyL2xvY2FsL2Jpbi9vY2ktc2VjcmV0cy1ydW50aW1l" + `"}}}`,
			"ctr --namespace k8s.io containers info b":       `{"Runtime": {}}`,
		}, "containers still use it: k8s.io/a"},
		"crio":                {map[string]string{"crictl pods --output json": `{"items": [{"metadata": {"name": "web", "namespace": "x"}, "runtimeHandler": "oci-secrets"}, {"metadata": {"name": "db"}}]}`}, "containers still use it: x/web"},
		"podman, none":        {map[string]string{"podman ps --all --quiet --no-trunc": "\n"}, ""},
		"docker, not here":    {map[string]string{}, ""},
		"docker, no answer":   {map[string]string{"docker ps --all --quiet --no-trunc": "!"}, "which containers use it cannot be found out: down"},
		"containerd, nothing": {map[string]string{"ctr namespaces list --quiet": ""}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			engine, _, _ := strings.Cut(name, ",")
			err := machine(t, nil, tt.answers, false).InUse(engine)
			if got := ""; err != nil {
				if got = err.Error(); got != tt.want {
					t.Errorf("got %s, want %s", got, tt.want)
				}
			} else if tt.want != "" {
				t.Errorf("got none, want %s", tt.want)
			}
		})
	}
}

// TestForeignStays takes back what was never installed: a runtime of our name is
// somebody else's.
func TestForeignStays(t *testing.T) {
	m := machine(t, map[string]string{
		"etc/docker/daemon.json": `{"default-runtime": "oci-secrets", "runtimes": {"oci-secrets": {"path": "/opt/other/runtime"}}}`,
	}, nil, false)
	before := tree(t, m.Root)
	apply(t, must(m.Uninstall("docker", options)))
	if diff := cmp.Diff(before, tree(t, m.Root)); diff != "" {
		t.Errorf("(-before +after)\n%s", diff)
	}
}
