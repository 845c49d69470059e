// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
)

const nriDirectory = "/opt/nri/plugins"

// nriLinks are what containerd starts as its plugins, by their index and name:
// the one that adds the hook, and the guard that refuses containers without it.
// The guard comes first, so that what is cut off starts nothing bare.
var nriLinks = []string{"99-oci-secrets-guard", "10-oci-secrets"}

// containerd gets a runtime handler, in a block of config.toml. A file of its
// imports would not do: up to 1.7, an imported file that has a plugin's table
// replaces all that config.toml says of the plugin.
func (m *Machine) containerd(o Options) (*engine, error) {
	path := cmp.Or(o.File, "/etc/containerd/config.toml")
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
		for _, name := range m.list(dir) {
			if ok, _ := filepath.Match(filepath.Base(pattern), name); !ok {
				continue
			}
			f := m.Root + filepath.Join(dir, name)
			text, err := m.read(filepath.Join(dir, name))
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
