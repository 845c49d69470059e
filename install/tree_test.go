// SPDX-License-Identifier: Apache-2.0

package install_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/install"
)

// host is a machine's tree, and beside it a directory of the host's with a file,
// and with directories in which nothing is.
func host(t *testing.T) (m *install.Machine, outside string) {
	t.Helper()
	m = machine(t, nil, nil, false)
	outside = t.TempDir()
	write(t, outside+"/file", "the host's", 0o600)
	write(t, outside+"/daemon.json", "{}", 0o600)
	mkdir(t, outside+"/empty/plugins")
	return m, outside
}

// everything installs and takes back for each engine; what comes of it is of no
// importance.
func everything(m *install.Machine) {
	for _, engine := range []string{"podman", "docker", "containerd", "crio"} {
		o := options
		o.NRI = true
		if p, err := m.Install(engine, o); err == nil {
			_ = p.Apply()
		}
		if p, err := m.Uninstall(engine, o); err == nil {
			_ = p.Apply()
		}
	}
}

// TestHostileTree works as root in trees whose maker means the host.
func TestHostileTree(t *testing.T) {
	const record = "/var/lib/oci-secrets/directories"
	for name, change := range map[string]func(t *testing.T, root, outside string){
		"the list leads out with dots": func(t *testing.T, root, outside string) {
			up := strings.Repeat("/..", 20)
			write(t, root+record, up+outside+"/file\n/.."+up+outside+"/empty/plugins\n"+up+outside+"/empty\n", 0o644)
		},
		"the list leads out through a link": func(t *testing.T, root, outside string) {
			link(t, outside, root+"/etc/way")
			write(t, root+record, "/etc/way/file\n/etc/way/empty/plugins\n/etc/way/empty\n", 0o644)
		},
		"the list has a directory of ours that is a link": func(t *testing.T, root, outside string) {
			link(t, outside+"/empty/plugins", root+"/etc/docker")
			link(t, outside+"/empty", root+"/opt/nri")
			write(t, root+record, "/etc/docker\n/opt/nri/plugins\n/opt/nri\n", 0o644)
		},
		"the list is outside":         func(t *testing.T, root, outside string) { link(t, outside+"/file", root+record) },
		"the list's directory is":     func(t *testing.T, root, outside string) { link(t, outside, root+"/var/lib/oci-secrets") },
		"a configuration's directory": func(t *testing.T, root, outside string) { link(t, outside, root+"/etc/docker") },
		"an empty one":                func(t *testing.T, root, outside string) { link(t, outside+"/empty", root+"/etc/oci-secrets") },
		"a directory, relatively": func(t *testing.T, root, outside string) {
			link(t, strings.Repeat("../", 20)+outside, root+"/etc/docker")
		},
		"a configuration": func(t *testing.T, root, outside string) {
			link(t, outside+"/daemon.json", root+"/etc/docker/daemon.json")
		},
		"a configuration, relatively": func(t *testing.T, root, outside string) {
			link(t, strings.Repeat("../", 20)+outside+"/daemon.json", root+"/etc/docker/daemon.json")
		},
		"the directory of the plugins":  func(t *testing.T, root, outside string) { link(t, outside, root+"/opt/nri/plugins") },
		"a file in the place of a link": func(t *testing.T, root, _ string) { write(t, root+"/opt/nri/plugins/10-oci-secrets", "", 0o755) },
		"a backup": func(t *testing.T, root, outside string) {
			write(t, root+"/etc/docker/daemon.json", "{}", 0o644)
			link(t, outside+"/file", root+"/etc/docker/daemon.json.before-oci-secrets")
		},
		"a file that is half written": func(t *testing.T, root, outside string) {
			link(t, outside+"/file", root+"/opt/nri/plugins/.oci-secrets-link")
		},
		"a pipe": func(t *testing.T, root, _ string) {
			mkdir(t, root+"/etc/docker")
			if err := unix.Mkfifo(root+"/etc/docker/daemon.json", 0o644); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, outside := host(t)
			change(t, m.Root, outside)
			before := tree(t, outside)
			everything(m)
			if diff := cmp.Diff(before, tree(t, outside)); diff != "" {
				t.Errorf("outside of the tree (-before +after)\n%s", diff)
			}
		})
	}
}

// TestSwapped has a directory become a link to the host's again and again while
// root works in it.
func TestSwapped(t *testing.T) {
	m, outside := host(t)
	before := tree(t, outside)
	dirs := []string{"/etc/docker", "/etc/containerd", "/etc/oci-secrets/hooks.d", "/opt/nri/plugins", "/var/lib/oci-secrets"}
	for _, dir := range dirs {
		mkdir(t, m.Root+dir)
		link(t, outside, m.Root+dir+".link")
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			for _, dir := range dirs {
				_ = unix.Renameat2(unix.AT_FDCWD, m.Root+dir, unix.AT_FDCWD, m.Root+dir+".link", unix.RENAME_EXCHANGE)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	for range 5 {
		everything(m)
	}
	close(stop)
	<-stopped
	if diff := cmp.Diff(before, tree(t, outside)); diff != "" {
		t.Errorf("outside of the tree (-before +after)\n%s", diff)
	}
}

// TestSwappedOnce has a directory become a link between the plan, which has been
// shown, and what is done.
func TestSwappedOnce(t *testing.T) {
	for _, engine := range []string{"docker", "podman", "containerd"} {
		for _, command := range []string{"install", "uninstall"} {
			t.Run(command+" "+engine, func(t *testing.T) {
				m, outside := host(t)
				for _, dir := range []string{"docker", "oci-secrets/hooks.d", "containers/containers.conf.d", "containerd"} {
					mkdir(t, m.Root+"/etc/"+dir)
				}
				p := must(m.Install(engine, options))
				if command == "uninstall" {
					apply(t, p)
					p = must(m.Uninstall(engine, options))
				}
				for _, c := range p.Changes {
					dir := filepath.Dir(c.Path)
					if err := os.Rename(dir, dir+".was"); err != nil {
						t.Fatal(err)
					}
					link(t, outside, dir)
					if c.Before != nil {
						write(t, outside+"/"+filepath.Base(c.Path), string(c.Before), 0o644)
					}
				}
				before := tree(t, outside)
				_ = p.Apply() // which may fail
				if diff := cmp.Diff(before, tree(t, outside)); diff != "" {
					t.Errorf("outside of the tree (-before +after)\n%s", diff)
				}
			})
		}
	}
}

// TestList has directories in the list that install did not make.
func TestList(t *testing.T) {
	m, _ := host(t)
	mkdir(t, m.Root+"/home/empty")
	apply(t, must(m.Install("docker", options)))
	const record = "/var/lib/oci-secrets/directories"
	text, err := os.ReadFile(m.Root + record)
	if err != nil {
		t.Fatal(err)
	}
	write(t, m.Root+record, string(text)+"/home/empty\n/etc/docker/daemon.json\n", 0o644)
	p := must(m.Uninstall("docker", options))
	var shown bytes.Buffer
	if err := p.Print(&shown); err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for line := range strings.Lines(shown.String()) {
		if dir, ok := strings.CutPrefix(line, "remove the directory "+m.Root); ok {
			dirs = append(dirs, strings.TrimSpace(dir))
		}
	}
	if diff := cmp.Diff([]string{"/etc/docker"}, dirs); diff != "" {
		t.Errorf("the plan shows (-want +got)\n%s", diff)
	}
	apply(t, p)
	if _, err := os.Stat(m.Root + "/home/empty"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(m.Root + "/etc/docker"); err == nil {
		t.Error("/etc/docker is left")
	}
}
