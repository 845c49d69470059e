// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

const (
	runcType   = "io.containerd.runc.v2" // containerd's shim that runs a program like runc
	defaultKey = "default_runtime_name"
)

// annotationGlobs let our annotations through to the runtime. containerd matches
// with path.Match, and Kubernetes allows a key one slash.
var annotationGlobs = []any{"secrets.oci/*", "*.secrets.oci/*"}

// annotationLists are the keys of a handler that list such globs, for annotations of
// pods and of containers.
var annotationLists = []string{"pod_annotations", "container_annotations"}

// criPlugins are the plugins with CRI's runtimes, by the version of config.toml.
// Version 2 is that of containerd 1.3, the others are of 2.x; each containerd
// reads the older ones as well.
var criPlugins = map[int64]string{
	2: "io.containerd.grpc.v1.cri", 3: "io.containerd.cri.v1.runtime", 4: "io.containerd.cri.v1.runtime",
}

// inlineTable is a table on the way to the handlers that has no header. It is not
// compiled here, because every start of a container would do that.
const inlineTable = `(?m)^[ \t]*(plugins|containerd|runtimes|["']io\.containerd\.(grpc\.v1\.cri|cri\.v1\.runtime)["'])([ \t]*\.[^=\n]*)?[ \t]*=`

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
		return nil, refuse("`containerd config migrate` prints it in a newer version", "it has no version = 2, 3 or 4")
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

	if regexp.MustCompile(inlineTable).Match(bare) {
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
		c.notes = append(c.notes, runsWith(program))
	}
	options["BinaryName"] = c.shim
	h["options"], h["runtime_type"] = options, runcType
	for _, key := range annotationLists {
		list, _ := h[key].([]any)
		list = slices.DeleteFunc(slices.Clone(list), func(glob any) bool { return slices.Contains(annotationGlobs, glob) })
		h[key] = append(list, annotationGlobs...)
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
