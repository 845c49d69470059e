// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const (
	// annotationGlob lets our annotations through to the runtime. containerd
	// matches with path.Match, and no key of ours has a second slash.
	annotationGlob = "secrets.oci/*"

	runcType     = "io.containerd.runc.v2" // containerd's shim that runs a program like runc
	defaultKey   = "default_runtime_name"
	nriDirectory = "/opt/nri/plugins"
)

// nriLinks are what containerd starts as its plugins, by their index and name:
// the one that adds the hook, and the guard that refuses containers without it.
// The guard comes first, so that what is cut off starts nothing bare.
var nriLinks = []string{"99-oci-secrets-guard", "10-oci-secrets"}

// criPlugins are the plugins with CRI's runtimes, by the version of config.toml.
var criPlugins = map[int64]string{2: "io.containerd.grpc.v1.cri", 3: "io.containerd.cri.v1.runtime"}

// inlineTable is a table on the way to the handlers that has no header.
var inlineTable = regexp.MustCompile(`(?m)^[ \t]*(plugins|containerd|runtimes|["']io\.containerd\.(grpc\.v1\.cri|cri\.v1\.runtime)["'])([ \t]*\.[^=\n]*)?[ \t]*=`)

// containerd gets a runtime handler, in a block of config.toml. A file of its
// imports would not do: up to 1.7, an imported file that has a plugin's table
// replaces all that config.toml says of the plugin.
func (m *Machine) containerd(o Options) (*engine, error) {
	const path = "/etc/containerd/config.toml"
	var major int
	e := &engine{reload: &reload{unit: "containerd", verb: "restart"}}
	e.ask = func() error {
		var here bool
		if major, _, here = m.version([]string{"containerd", "--version"}); !here {
			return notHere("containerd")
		}
		if o.NRI && major == 1 {
			e.notes = append(e.notes, `containerd 1.7 starts NRI plugins only with disable = false in [plugins."io.containerd.nri.v1.nri"], and 1.6 has no NRI`)
		}
		return nil
	}
	e.files = []file{{path: path, with: func(text []byte) ([]byte, error) {
		c := containerdConfig{byDefault: o.Default, shim: o.Hook.shim(), major: major}
		edited, err := c.with(text)
		e.notes = append(e.notes, c.notes...)
		if err == nil && c.version == 2 && major < 2 {
			err = m.checkImports(path, edited)
		}
		return edited, err
	}, without: withoutHandler}}
	for _, name := range nriLinks {
		e.files = append(e.files, file{path: filepath.Join(nriDirectory, name), link: true, with: func(target []byte) ([]byte, error) {
			if !o.NRI {
				return target, nil
			}
			return []byte(o.Hook.Path), nil
		}, without: func(target, _ []byte) ([]byte, error) {
			if !strings.HasPrefix(filepath.Base(string(target)), "oci-secrets") {
				return target, nil // somebody else's
			}
			return nil, nil
		}})
	}
	return e, nil
}

// containerdConfig is an edit of config.toml.
type containerdConfig struct {
	shim      string
	byDefault bool // the handler becomes the default
	major     int  // of containerd; 0 where it is not known

	version int64 // of the file
	notes   []string
}

// with adds the handler.
func (c *containerdConfig) with(text []byte) ([]byte, error) {
	all, err := decode(text)
	if err != nil {
		return nil, err
	}
	bare, err := withoutHandler(text, nil)
	if err != nil {
		return nil, err
	}
	config, err := decode(bare)
	if err != nil {
		return nil, err
	}
	c.version, _ = all["version"].(int64)
	if len(all) == 0 { // no file, or an empty one
		if c.version = 2; c.major >= 2 {
			c.version = 3
		}
	}
	plugin, ok := criPlugins[c.version]
	if !ok {
		return nil, refuse("`containerd config migrate` prints it in a newer version", "it has no version = 2 or 3")
	}
	cri := []string{"plugins", plugin, "containerd"}
	ours := [][]string{append(slices.Clone(cri), "runtimes", runtimeName)}
	var body strings.Builder
	if _, ok := config["version"]; !ok {
		fmt.Fprintf(&body, "version = %d\n", c.version)
		ours = append(ours, []string{"version"})
	}
	if c.version == 2 && len(table(config, append(slices.Clone(cri), "runtimes")...)) == 0 {
		// containerd 1 forgets its own handler where the file has another.
		runc := append(slices.Clone(cri), "runtimes", "runc")
		body.WriteString(tableTOML(runc, map[string]any{"runtime_type": runcType}))
		ours = append(ours, runc)
	}
	body.WriteString(tableTOML(ours[0], c.handler(table(config, cri...))))

	if inlineTable.Match(bare) {
		return nil, refuse("write them as [tables], or add this by hand:\n"+body.String(), "its tables for CRI are written inline, so nothing can be added to them")
	}
	out := withoutLines(text)
	if len(out) > 0 && out[len(out)-1] != '\n' {
		out = append(bytes.Clone(out), '\n')
	}
	if c.byDefault || table(all, cri...)[defaultKey] == runtimeName {
		ours = append(ours, append(slices.Clone(cri), defaultKey))
		var done bool
		if out, done = withLine(out, cri, defaultKey, quoteTOML(runtimeName)); !done {
			body.WriteString(tableTOML(cri, map[string]any{defaultKey: runtimeName}))
		}
	}
	if out, err = withBlock(out, body.String()); err != nil {
		return nil, err
	}
	for _, name := range []string{"cri", plugin} {
		if list, _ := config["disabled_plugins"].([]any); slices.Contains(list, any(name)) {
			c.notes = append(c.notes, "disabled_plugins has "+quoteTOML(name)+", so there are no pods here that could use the handler")
		}
	}
	return out, unchanged(bare, out, ours...)
}

// handler is the default handler with our program in the place of its own, so
// that all else (the cgroup driver, say) is as everywhere on the machine.
func (c *containerdConfig) handler(cri map[string]any) map[string]any {
	name, _ := cri[defaultKey].(string)
	if name == "" {
		name = "runc"
	}
	h := maps.Clone(table(cri, "runtimes", name))
	if t, ok := h["runtime_type"]; h == nil || ok && t != runcType {
		h = map[string]any{}
	}
	options := maps.Clone(table(h, "options"))
	if options == nil {
		options = map[string]any{}
	}
	if program, _ := options["BinaryName"].(string); program != "" {
		c.notes = append(c.notes, fmt.Sprintf("containers run with %s here; name it in the settings: [runtime] path = %q", program, program))
	}
	options["BinaryName"] = c.shim
	h["options"], h["runtime_type"] = options, runcType
	for _, key := range []string{"pod_annotations", "container_annotations"} {
		list, _ := h[key].([]any)
		if !slices.Contains(list, any(annotationGlob)) {
			h[key] = append(slices.Clone(list), annotationGlob)
		}
	}
	return h
}

// withoutHandler takes everything of ours out of a config.toml.
func withoutHandler(text, original []byte) ([]byte, error) {
	bare, err := withoutBlock(withoutLines(text), original)
	if err != nil {
		return nil, err
	}
	ours := [][]string{{"version"}}
	for _, plugin := range criPlugins {
		for _, key := range [][]string{{"runtimes", runtimeName}, {"runtimes", "runc"}, {defaultKey}} {
			ours = append(ours, append([]string{"plugins", plugin, "containerd"}, key...))
		}
	}
	return bare, unchanged(text, bare, ours...)
}

// checkImports refuses where an imported file would hide what is ours.
func (m *Machine) checkImports(path string, text []byte) error {
	config, err := decode(text)
	if err != nil {
		return err
	}
	imports, _ := config["imports"].([]any)
	for _, v := range imports {
		pattern, _ := v.(string)
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(filepath.Dir(path), pattern)
		}
		dir, err := m.real(filepath.Dir(pattern))
		if err != nil {
			return err
		}
		files, _ := filepath.Glob(filepath.Join(dir, filepath.Base(pattern)))
		for _, f := range files {
			text, err := readFile(f)
			if err != nil {
				return err
			}
			imported, err := decode(text)
			if err != nil {
				return fmt.Errorf("%s: %w", f, err)
			}
			if table(imported, "plugins", criPlugins[2]) != nil {
				return refuse("move its tables into config.toml", "%s has settings of CRI, and containerd before 2.0 then reads none of them from here", f)
			}
		}
	}
	return nil
}

// containerdUsers are the containers of all namespaces whose runtime is the
// shim.
func (m *Machine) containerdUsers() ([]string, error) {
	namespaces, err := m.Run("ctr", "namespaces", "list", "--quiet")
	if err != nil {
		return nil, err
	}
	var users []string
	for _, ns := range strings.Fields(namespaces) {
		ids, err := m.Run("ctr", "--namespace", ns, "containers", "list", "--quiet")
		if err != nil {
			return nil, err
		}
		for _, id := range strings.Fields(ids) {
			out, err := m.Run("ctr", "--namespace", ns, "containers", "info", id)
			if err != nil {
				return nil, err
			}
			var info struct {
				Runtime struct{ Options struct{ Value string } }
			}
			if err := json.Unmarshal([]byte(out), &info); err != nil {
				return nil, fmt.Errorf("ctr containers info %s: %w", id, err)
			}
			options, _ := base64.StdEncoding.DecodeString(info.Runtime.Options.Value) // a protobuf message
			if bytes.Contains(options, []byte("/"+Shim)) {
				users = append(users, ns+"/"+id)
			}
		}
	}
	return users, nil
}
