// SPDX-License-Identifier: Apache-2.0

package install

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-secrets/oci-secrets/spec"
)

// hooksD is a file of podman's hooks directories (oci-hooks(5)).
type hooksD struct {
	Version string     `json:"version"`
	Hook    specs.Hook `json:"hook"`
	When    struct {
		Annotations map[string]string `json:"annotations"`
	} `json:"when"`
	Stages []string `json:"stages"`
}

// Podman gives the file for a hooks directory that delivers in flight to every
// container with one of our annotations.
func (h Hook) Podman() ([]byte, error) {
	return marshal(h.hooksD("hook", "createRuntime", "poststop"))
}

// PodmanPrecreate gives the file that filters config.json instead. Such a file
// belongs in a directory that only podman reads: CRI-O and buildah refuse the
// stage.
func (h Hook) PodmanPrecreate() ([]byte, error) {
	return marshal(h.hooksD("precreate", "precreate"))
}

func (h Hook) hooksD(command string, stages ...string) hooksD {
	seconds := spec.HookTimeout
	d := hooksD{
		Version: "1.0.0",
		Hook:    specs.Hook{Path: h.Path, Args: h.args(command), Timeout: &seconds},
		Stages:  stages,
	}
	// Both are unanchored regular expressions. A key that is ours but for the
	// case of its letters must reach the hook, which refuses it.
	d.When.Annotations = map[string]string{`(?i)^([^/]*\.)?secrets\.oci/`: ".*"}
	return d
}

// podman is told by a drop-in of containers.conf, and by a file in a hooks
// directory of our own: a file in one of the shared directories would be read
// by other engines, too. The hook's file comes last.
func (m *Machine) podman(o Options) (*engine, error) {
	dropIn := m.etc("containers/containers.conf.d/90-oci-secrets.conf")
	hooks := m.hooksDir()
	hook, err := o.Hook.Podman()
	if err != nil {
		return nil, err
	}
	var before, after []conf
	var appends bool // it can add to a list of files read before
	e := &engine{}
	e.ask = func() error {
		major, minor, here := m.version([]string{"podman", "--version"})
		if !here {
			return notHere("podman")
		}
		appends = major > 4 || major == 4 && minor >= 8
		err := m.Quadlets()
		if err != nil {
			return err
		}
		before, after, err = m.containersConf(dropIn)
		if err == nil && m.Rootless() && slices.Contains(hooksDirs(before), systemHooks) {
			err = refuse("use it, or uninstall there first", "the system's containers.conf has the hook for every user already, and twice it would not work")
		}
		return err
	}
	e.files = []file{
		{path: dropIn, with: func(text []byte) ([]byte, error) {
			if err := checkLater(after, hooks, o.Default); err != nil {
				return nil, err
			}
			if err := foreign(append(after, before...)); err != nil {
				return nil, err
			}
			if o.Default {
				name, programs := defaultRuntime(before)
				note, err := m.takeOver(name, programs...)
				if err != nil {
					return nil, err
				}
				if note != "" {
					e.notes = append(e.notes, note)
				}
			}
			with := func(list []string, name string) string {
				if !appends { // a list replaces those that are read before it
					return listTOML(append(list, name))
				}
				return "[" + quoteTOML(name) + ", {append=true}]"
			}
			lists := "hooks_dir = " + with(hooksDirs(before), hooks) + "\n"
			for _, s := range supports {
				if list := listed(before, s.key, s.known); slices.Contains(list, m.realRuntime()) {
					lists += s.key + " = " + with(list, runtimeName) + "\n"
				}
			}
			return withEngine(text, lists, o)
		}, without: withoutBlock},
		{
			path: filepath.Join(hooks, "oci-secrets.json"), with: func([]byte) ([]byte, error) { return hook, nil },
			without: func([]byte, []byte) ([]byte, error) { return nil, nil },
		},
	}
	return e, nil
}

// supports are podman's lists of the runtimes that can do a thing, by their names,
// and those of which it knows without a file (containers.conf(5)). The shim can do
// what the real runtime can.
//
// It is not in runtime_supports_json: podman would have errors logged to a file
// then, and nobody would hear crun's hooks.
var supports = []struct {
	key   string
	known []string
}{
	{"runtime_supports_kvm", []string{"kata", "kata-runtime", "kata-qemu", "kata-fc", "krun"}},
	{"runtime_supports_nocgroup", []string{"crun", "krun"}},
}

// withEngine puts podman's settings into the drop-in.
func withEngine(text []byte, lists string, o Options) ([]byte, error) {
	conf, err := decode(text)
	if err != nil {
		return nil, err
	}
	body := "[engine]\n" + lists
	if o.Default || table(conf, "engine")["runtime"] == runtimeName {
		body += "runtime = " + quoteTOML(runtimeName) + "\n"
	}
	return withBlock(text, body+"[engine.runtimes]\n"+runtimeName+" = "+listTOML([]string{o.Hook.shim()})+"\n")
}

const systemHooks = "/etc/oci-secrets/hooks.d"

// hooksDir is the hooks directory of our own. A user's is not in
// ~/.config/oci-secrets: where that is there, settings are looked for in it and
// no longer in /etc/oci-secrets.
func (m *Machine) hooksDir() string {
	if m.Rootless() {
		return filepath.Join(m.Config, "containers/oci-secrets/hooks.d")
	}
	return systemHooks
}

// conf is a containers.conf that was read.
type conf struct {
	path string
	keys map[string]any // of [engine]
}

// containersConf reads the files that podman reads before and after the drop-in
// (containers.conf(5)).
func (m *Machine) containersConf(dropIn string) (before, after []conf, err error) {
	dirs := []string{"/usr/share/containers", "/etc/containers"}
	if m.Rootless() {
		dirs = append(dirs, m.etc("containers"))
	}
	var paths []string
	for _, dir := range dirs {
		paths = append(paths, dir+"/containers.conf")
		full, err := m.real(dir + "/containers.conf.d")
		if err != nil {
			return nil, nil, err
		}
		more := append(m.list(full), filepath.Base(dropIn)) // as if it were there
		slices.Sort(more)
		for _, name := range slices.Compact(more) {
			if filepath.Ext(name) == ".conf" {
				paths = append(paths, filepath.Join(dir, "containers.conf.d", name))
			}
		}
	}
	at := slices.Index(paths, dropIn)
	for i, path := range paths {
		if path == dropIn {
			continue
		}
		text, err := m.read(path)
		if err != nil {
			return nil, nil, err
		}
		all, err := decode(text)
		if err != nil {
			return nil, nil, refuse("", "%s: %w", m.Root+path, err)
		}
		c := conf{path, table(all, "engine")}
		if i < at {
			before = append(before, c)
		} else {
			after = append(after, c)
		}
	}
	return before, after, nil
}

// hooksDirs are the hooks directories that podman reads without ours.
func hooksDirs(files []conf) []string {
	return listed(files, "hooks_dir", []string{"/usr/share/containers/oci/hooks.d", "/etc/containers/oci/hooks.d"})
}

// listed is what a list has without ours; known is what it has without a file.
func listed(files []conf, key string, known []string) []string {
	all := slices.Clone(known)
	for _, f := range files {
		list, ok := f.keys[key].([]any)
		if !ok {
			continue
		}
		if !appended(list) {
			all = nil
		}
		for _, v := range list {
			if s, ok := v.(string); ok && !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	return all
}

// appended says that a list is added to what was read before it.
func appended(list []any) bool {
	for _, v := range list {
		if attributes, ok := v.(map[string]any); ok {
			return attributes["append"] == true
		}
	}
	return false
}

// checkLater refuses where a file that is read after ours has the last word.
func checkLater(files []conf, hooks string, setDefault bool) error {
	for _, f := range files {
		list, ok := f.keys["hooks_dir"].([]any)
		if ok && !appended(list) && !slices.Contains(list, any(hooks)) {
			return refuse("add "+quoteTOML(hooks)+" to its hooks_dir", "%s is read later, and has a hooks_dir of its own", f.path)
		}
		if name, ok := f.keys["runtime"]; ok && setDefault && name != runtimeName {
			return refuse("take it out there", "%s is read later, and sets the runtime", f.path)
		}
	}
	return nil
}

// foreign refuses where a file defines a runtime of our name that is not ours.
func foreign(files []conf) error {
	for _, f := range files {
		if programs := f.programs(runtimeName); programs != nil {
			if err := notOurs(programs[0]); err != nil {
				return fmt.Errorf("%s: %w", f.path, err)
			}
		}
	}
	return nil
}

// programs are those of a runtime, the first of which that is there podman runs;
// nil where the file does not define it.
func (c conf) programs(name string) []string {
	list, ok := table(c.keys, "runtimes")[name].([]any)
	if !ok {
		return nil
	}
	programs := []string{}
	for _, v := range list {
		if p, ok := v.(string); ok {
			programs = append(programs, p)
		}
	}
	return append(programs, "")[:max(len(programs), 1)]
}

// defaultRuntime is what podman runs without ours: a name, and where the files say
// so its programs.
func defaultRuntime(files []conf) (name string, programs []string) {
	for _, f := range files {
		if s, ok := f.keys["runtime"].(string); ok {
			name = s
		}
	}
	for _, f := range files {
		if p := f.programs(name); p != nil {
			programs = p
		}
	}
	return name, programs
}

// podmanUsers are the containers that have asked for secrets, or were made for
// the shim.
func (m *Machine) podmanUsers() ([]string, error) {
	out, err := m.Run("podman", "ps", "--all", "--quiet", "--no-trunc")
	if err != nil {
		return nil, err
	}
	ids := strings.Fields(out)
	if len(ids) == 0 {
		return nil, nil
	}
	out, err = m.Run(append([]string{
		"podman", "inspect", "--type", "container", "--format",
		"{{.Name}} {{.OCIRuntime}} {{json .Config.Annotations}}",
	}, ids...)...)
	var users []string
	for line := range strings.Lines(out) {
		name, rest, _ := strings.Cut(line, " ")
		if strings.HasPrefix(rest, runtimeName+" ") || strings.Contains(strings.ToLower(rest), "secrets.oci/") {
			users = append(users, name)
		}
	}
	return users, err
}
