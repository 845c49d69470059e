// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/oci-secrets/oci-secrets/spec"
)

// runtimeName is what engines call the shim.
const runtimeName = "oci-secrets"

// The members of docker's daemon.json that are ours.
var (
	dockerRuntime = []string{"runtimes", runtimeName}
	dockerPath    = []string{"runtimes", runtimeName, "path"}
)

const dockerDefault = "default-runtime"

// docker has one file, which people edit, and no drop-ins. It is changed in two
// places at most, and stays as it is in all others.
func (m *Machine) docker(o Options) (*engine, error) {
	e := &engine{reload: m.dockerReload(), files: []file{{
		path:    m.etc("docker/daemon.json"),
		with:    func(text []byte) ([]byte, error) { return withRuntime(text, o) },
		without: withoutRuntime,
	}}}
	e.ask = func() error {
		major, _, here := m.version([]string{"docker", "version", "--format", "{{.Server.Version}}"}, []string{"dockerd", "--version"})
		if !here && !m.Rootless() { // whose daemon is often on another path
			return notHere("docker")
		}
		if major > 0 && major < 24 {
			e.notes = append(e.notes, fmt.Sprintf("docker %d knows no annotations, so no container can ask for secrets; 24 and later have `docker run --annotation`", major))
		}
		return nil
	}
	return e, nil
}

// withRuntime names the shim in a daemon.json.
func withRuntime(text []byte, o Options) ([]byte, error) {
	set := [][2]any{{dockerPath, o.Hook.shim()}}
	if o.Default {
		set = append(set, [2]any{[]string{dockerDefault}, runtimeName})
	}
	out := text
	if len(bytes.TrimSpace(text)) == 0 {
		out = []byte("{\n}\n")
	}
	for _, s := range set {
		literal, err := json.Marshal(s[1])
		if err != nil {
			return nil, err
		}
		doc, err := spec.ParseDoc(out)
		if err != nil {
			return nil, err
		}
		if out, err = doc.WithMember(string(literal), s[0].([]string)...); err != nil {
			return nil, err
		}
	}
	if text == nil { // nobody's style to keep
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, out, "", "  "); err != nil {
			return nil, err
		}
		return pretty.Bytes(), nil
	}
	return out, nil
}

// withoutRuntime takes the shim out of a daemon.json.
func withoutRuntime(text, original []byte) ([]byte, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return text, nil
	}
	doc, err := spec.ParseDoc(text)
	if err != nil {
		return nil, err
	}
	was := &spec.Doc{}
	if len(bytes.TrimSpace(original)) > 0 {
		if was, err = spec.ParseDoc(original); err != nil {
			return nil, fmt.Errorf("the backup: %w", err)
		}
	}
	if _, ours, err := doc.Member(dockerRuntime...); err != nil || !ours {
		return text, err
	}
	out, err := doc.WithoutMember(dockerRuntime...)
	if err != nil {
		return nil, err
	}
	if doc, err = spec.ParseDoc(out); err != nil {
		return nil, err
	}
	rest, _, err := doc.Member("runtimes")
	if err != nil {
		return nil, err
	}
	if _, had, _ := was.Member("runtimes"); !had && strings.Trim(rest, "{} \t\r\n") == "" {
		if out, err = doc.WithoutMember("runtimes"); err != nil {
			return nil, err
		}
		if doc, err = spec.ParseDoc(out); err != nil {
			return nil, err
		}
	}
	if name, _, err := doc.Member(dockerDefault); err != nil || name == `"`+runtimeName+`"` {
		literal, had, _ := was.Member(dockerDefault)
		if had {
			out, err = doc.WithMember(literal, dockerDefault)
		} else if err == nil {
			out, err = doc.WithoutMember(dockerDefault)
		}
		if err != nil {
			return nil, err
		}
	}
	if strings.Trim(string(out), "{} \t\r\n") == "" && len(bytes.TrimSpace(original)) == 0 {
		return original, nil
	}
	return out, nil
}

// dockerUsers are the containers that were made for the shim.
func (m *Machine) dockerUsers() ([]string, error) {
	out, err := m.Run("docker", "ps", "--all", "--quiet", "--no-trunc")
	if err != nil {
		return nil, err
	}
	ids := strings.Fields(out)
	if len(ids) == 0 {
		return nil, nil
	}
	out, err = m.Run(append([]string{"docker", "inspect", "--type", "container", "--format", "{{.Name}} {{.HostConfig.Runtime}}"}, ids...)...)
	var users []string
	for line := range strings.Lines(out) {
		if name, runtime, _ := strings.Cut(strings.TrimSpace(line), " "); runtime == runtimeName {
			users = append(users, strings.TrimPrefix(name, "/"))
		}
	}
	return users, err
}
