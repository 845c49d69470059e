// SPDX-License-Identifier: Apache-2.0

package podman

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// mode is one way to run podman.
type mode struct {
	rootless  bool
	precreate bool
	shim      bool   // no hook is installed; the runtime is the shim
	runtime   string // runc or crun
}

func (m mode) String() string {
	s := []string{"root", "inflight", m.runtime}
	if m.rootless {
		s[0] = "rootless"
	}
	switch {
	case m.precreate:
		s[1] = "precreate"
	case m.shim:
		s[1] = "shim"
	}
	return strings.Join(s, "-")
}

var (
	root         = mode{runtime: "runc"}
	rootCrun     = mode{runtime: "crun"}
	user1        = mode{rootless: true, runtime: "runc"}
	user1Crun    = mode{rootless: true, runtime: "crun"}
	hooked       = []mode{root, rootCrun, user1, user1Crun}
	allShim      = []mode{root.as(), rootCrun.as(), user1.as(), user1Crun.as()}
	inflight     = append(append([]mode{}, hooked...), allShim...)
	allPrecreate = []mode{root.pre(), rootCrun.pre(), user1.pre(), user1Crun.pre()}
	every        = append(append([]mode{}, inflight...), allPrecreate...)
)

func (m mode) pre() mode { m.precreate = true; return m }
func (m mode) as() mode  { m.shim = true; return m }

// each runs test once for every mode.
func each(t *testing.T, modes []mode, test func(t *testing.T, m mode)) {
	t.Helper()
	for _, m := range modes {
		t.Run(m.String(), func(t *testing.T) {
			t.Parallel()
			test(t, m)
		})
	}
}

// store is where one user's podman keeps everything. Tests share it, and with
// it the image.
type store struct {
	dir    string
	asUser bool   // it is the rootless user's
	conf   string // containers.conf without hooks
}

var (
	storeLock sync.Mutex
	stores    = map[bool]*store{}
)

// image has the payload, a shell, and a variable of its own.
const image = "localhost/test:latest"

// infraImage is the program of a pod's infra container.
const infraImage = "localhost/infra:latest"

func openStore(t *testing.T, m mode) *store {
	t.Helper()
	rig.NeedRoot(t)
	storeLock.Lock()
	defer storeLock.Unlock()
	if s := stores[m.rootless]; s != nil {
		return s
	}
	s := &store{asUser: m.rootless, dir: filepath.Join(base, map[bool]string{false: "root", true: "rootless"}[m.rootless])}
	s.mkdir(t, s.dir, 0o755)
	s.write(t, filepath.Join(s.dir, "storage.conf"), fmt.Sprintf(
		"[storage]\ndriver = \"overlay\"\ngraphroot = %q\nrootless_storage_path = %q\nrunroot = %q\n",
		s.dir+"/graph", s.dir+"/graph", s.dir+"/run"), 0o644)
	s.conf = filepath.Join(s.dir, "containers.conf")
	s.write(t, s.conf, s.settings("runc", s.dir+"/nohooks"), 0o644)
	s.mkdir(t, s.dir+"/nohooks", 0o755)
	tree := filepath.Join(s.dir, "tree")
	for _, d := range []string{"bin", "dev", "etc", "proc", "sys", "tmp", "vol"} {
		s.mkdir(t, filepath.Join(tree, d), 0o755)
	}
	rig.CopyFile(t, rig.Payload(t, "amd64"), tree+rig.PayloadPath, 0o755)
	rig.CopyFile(t, "/bin/busybox", tree+"/bin/busybox", 0o755)
	if err := os.Symlink("busybox", tree+"/bin/sh"); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(s.dir, "image.tar")
	rig.MustRun(t, "tar", "-C", tree, "-cf", archive, ".")
	for name, cmd := range map[string]string{image: `CMD ["/payload","report"]`, infraImage: `CMD ["/payload","wait","/report"]`} {
		out, err := s.command("import", "--change", "ENV FROM_IMAGE=image", "--change", cmd, archive, name).CombinedOutput()
		if err != nil {
			t.Fatalf("podman import: %v\n%s", err, out)
		}
	}
	stores[m.rootless] = s
	return s
}

// settings is a containers.conf that takes nothing from the host's.
func (s *store) settings(runtime, hooks string) string {
	return fmt.Sprintf(`[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
netns = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
image_copy_tmp_dir = "storage"
infra_image = %q
runtime = %q
hooks_dir = [%q]
tmp_dir = %q
[network]
network_config_dir = %q
`, infraImage, runtime, hooks, s.dir+"/tmp", s.dir+"/net")
}

// argv is podman's command line in the mount namespace, as the store's user.
func (s *store) argv(env []string, args ...string) []string {
	argv := []string{"nsenter", fmt.Sprintf("--mount=/proc/%d/ns/mnt", holder.Process.Pid)}
	home := "/root"
	if s.asUser {
		argv = append(argv, "setpriv", "--reuid", rootless.Uid, "--regid", rootless.Gid, "--init-groups")
		home = rootless.HomeDir
		env = append([]string{"XDG_RUNTIME_DIR=/run/user/" + rootless.Uid}, env...)
	}
	argv = append(argv, "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME="+home,
		"CONTAINERS_STORAGE_CONF="+s.dir+"/storage.conf", "CONTAINERS_CONF="+s.conf)
	return append(append(append(argv, env...), "podman"), args...)
}

// command is for set-up and clean-up, where a test's context has ended.
func (s *store) command(args ...string) *exec.Cmd {
	argv := s.argv(nil, args...)
	return exec.Command("timeout", append([]string{"60"}, argv...)...)
}

// mkdir makes a directory that belongs to the store's user.
func (s *store) mkdir(t *testing.T, dir string, perm os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(dir, perm); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, perm); err != nil {
		t.Fatal(err)
	}
	s.own(t, dir)
}

func (s *store) write(t *testing.T, path, text string, perm os.FileMode) {
	t.Helper()
	rig.WriteFile(t, path, text, perm)
	s.own(t, path)
}

func (s *store) own(t *testing.T, path string) {
	t.Helper()
	if !s.asUser {
		return
	}
	uid, _ := strconv.Atoi(rootless.Uid)
	gid, _ := strconv.Atoi(rootless.Gid)
	if err := os.Lchown(path, uid, gid); err != nil {
		t.Fatal(err)
	}
}

// site is a podman with the hook installed, and the secrets of its host.
type site struct {
	*store
	mode
	dir    string
	config string   // the hook's settings
	vol    string   // a directory for containers to write to
	env    []string // of podman
	n      int
}

type secrets map[string]map[string]string

func newSite(t *testing.T, m mode, have secrets) *site {
	t.Helper()
	s := &site{store: openStore(t, m), mode: m}
	var err error
	if s.dir, err = os.MkdirTemp(base, "site-"); err != nil { //nolint:usetesting // t.TempDir is closed to other users
		t.Fatal(err)
	}
	s.vol, s.config = s.dir+"/vol", s.dir+"/settings/config.toml"
	s.mkdir(t, s.dir, 0o755)
	s.mkdir(t, s.dir+"/settings", 0o755)
	s.mkdir(t, s.vol, 0o777)
	s.write(t, s.config, "[dict]\npath = \"secrets.json\"\n", 0o600)
	s.have(t, have)
	if m.shim {
		s.installShim(t)
	} else {
		s.install(t, rig.Binary(t), s.config)
	}
	rig.WantSeen(t, s.argv(nil)[:2], s.config)
	return s
}

// have replaces the secrets of the host.
func (s *site) have(t *testing.T, have secrets) {
	t.Helper()
	b, err := json.Marshal(have)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, filepath.Join(filepath.Dir(s.config), "secrets.json"), string(b), 0o600)
}

// install writes what `oci-secrets hook-config podman` prints to the only
// hooks directory.
func (s *site) install(t *testing.T, binary, config string) {
	t.Helper()
	hooks := s.dir + "/hooks.d"
	s.mkdir(t, hooks, 0o755)
	argv := []string{rig.Binary(t), "hook-config", "--path", binary}
	if config != "" {
		argv = append(argv, "--config", config)
	}
	if s.precreate {
		argv = append(argv, "--precreate")
	}
	s.write(t, hooks+"/oci-secrets.json", rig.MustRun(t, append(argv, "podman")...).Stdout, 0o644)
	conf := s.dir + "/containers.conf"
	s.write(t, conf, s.settings(s.runtime, hooks), 0o644)
	s.env = []string{"CONTAINERS_CONF=" + conf}
}

// installShim makes the shim the runtime, and installs no hook. What podman has
// in its environment reaches the shim only through conmon, and where podman
// itself calls it, to start and to delete, not at all; so the shim's name says
// which runtime is the real one.
func (s *site) installShim(t *testing.T) {
	t.Helper()
	link := s.dir + "/oci-secrets-runtime-" + s.runtime
	if err := os.Symlink(rig.Binary(t), link); err != nil {
		t.Fatal(err)
	}
	s.write(t, s.config, fmt.Sprintf("state_dir = %q\n[dict]\npath = \"secrets.json\"\n", s.stateDir()), 0o600)
	engine := fmt.Sprintf("[engine]\nconmon_env_vars = [\"PATH=/usr/sbin:/usr/bin\", \"OCI_SECRETS_CONFIG=%s\"]\n", s.config)
	conf := strings.Replace(s.settings("oci-secrets", s.store.dir+"/nohooks"), "[engine]\n", engine, 1) +
		fmt.Sprintf("[engine.runtimes]\noci-secrets = [%q]\n", link)
	s.write(t, s.dir+"/containers.conf", conf, 0o644)
	s.env = []string{"CONTAINERS_CONF=" + s.dir + "/containers.conf"}
}

// stateDir is where the shim keeps what exec is to see: below a tmpfs, where
// the user is not the host's root.
func (s *site) stateDir() string {
	if s.asUser {
		return "/run/user/" + rootless.Uid + "/" + filepath.Base(s.dir)
	}
	return s.dir + "/state"
}

// podman runs podman to its end.
func (s *site) podman(t *testing.T, args ...string) rig.Result {
	t.Helper()
	return rig.Run(t, s.argv(s.env, args...)...)
}

// must is podman where it must succeed; it gives the output.
func (s *site) must(t *testing.T, args ...string) string {
	t.Helper()
	r := s.podman(t, args...)
	if r.Code != 0 {
		t.Fatalf("podman %q: exit code %d\n%s%s", args, r.Code, r.Stdout, r.Stderr)
	}
	return strings.TrimSpace(r.Stdout)
}

// run runs a container of the image to its end, and gives what it reports.
func (s *site) run(t *testing.T, args ...string) rig.Report {
	t.Helper()
	return s.reported(t, append([]string{"run", "--rm"}, append(args, image)...)...)
}

// reported gives what the payload of a podman command reports.
//
// Once in some two thousand runs podman 4.3.1 ends well and shows nothing of
// the container's output. The payload ends well only after it has written its
// report, so what is lost was lost between conmon and podman, and asking again
// hides nothing of ours.
func (s *site) reported(t *testing.T, args ...string) rig.Report {
	t.Helper()
	out := s.must(t, args...)
	for range 2 {
		if out != "" {
			break
		}
		t.Logf("podman %q: the container's output is lost", args)
		out = s.must(t, args...)
	}
	return rig.ParseReport(t, out)
}

// name is that of a new container, which is removed when the test ends.
func (s *site) name(t *testing.T) string {
	t.Helper()
	s.n++
	name := fmt.Sprintf("%s-%d", filepath.Base(s.dir), s.n)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		argv := s.argv(s.env, "rm", "--force", "--ignore", "--time", "1", name)
		if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Errorf("podman rm %s: %v\n%s", name, err, out)
		}
	})
	return name
}

// wait is the arguments of a container that reports into the volume and then
// waits for its end.
func (s *site) wait() []string {
	return []string{"--volume", s.vol + ":/vol", image, rig.PayloadPath, "wait", "/vol/report"}
}

// report waits for the report of a [site.wait] container and takes it away.
func (s *site) report(t *testing.T) rig.Report {
	t.Helper()
	path := s.vol + "/report"
	rig.Eventually(t, "the container reports", func() bool { _, err := os.Stat(path); return err == nil })
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	return rig.ParseReport(t, string(b))
}

func from(list string) string { return "--annotation=secrets.oci/from=" + list }
