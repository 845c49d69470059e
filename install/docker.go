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
	e := &engine{reload: m.dockerReload(o.Default)}
	e.files = []file{{path: m.etc("docker/daemon.json"), with: func(text []byte) ([]byte, error) {
		out, err := withRuntime(text, o)
		if err != nil || !o.Default {
			return out, err
		}
		var was dockerConfig
		if !blank(text) {
			err = json.Unmarshal(text, &was)
		}
		if err != nil {
			return nil, err
		}
		var programs []string
		if r, ok := was.Runtimes[was.Default]; ok {
			programs = append(programs, r.Path)
		}
		note, err := m.takeOver(was.Default, programs...)
		if note != "" {
			e.notes = append(e.notes, note)
		}
		return out, err
	}, without: withoutRuntime}}
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

// dockerConfig is what a daemon.json says of runtimes.
type dockerConfig struct {
	Default  string                           `json:"default-runtime"`
	Runtimes map[string]struct{ Path string } `json:"runtimes"`
}

// withRuntime names the shim in a daemon.json.
func withRuntime(text []byte, o Options) ([]byte, error) {
	path, err := json.Marshal(o.Hook.shim())
	if err != nil {
		return nil, err
	}
	edits := []edit{set(string(path), dockerPath...)}
	if o.Default {
		edits = append(edits, set(`"`+runtimeName+`"`, dockerDefault))
	}
	if !blank(text) {
		doc, err := spec.ParseDoc(text)
		if err != nil {
			return nil, err
		}
		if _, _, err := doc.Member(dockerDefault); err != nil {
			return nil, err // uninstall could not tell whether it is ours
		}
		if r, err := runtimeOf(doc); err != nil {
			return nil, err
		} else if r != nil {
			if err := notOurs(*r); err != nil {
				return nil, err
			}
		}
		return apply(text, edits...)
	}
	out, err := apply([]byte("{}"), edits...)
	if err != nil {
		return nil, err
	}
	var pretty bytes.Buffer // nobody's style to keep
	err = json.Indent(&pretty, append(out, '\n'), "", "  ")
	return pretty.Bytes(), err
}

// withoutRuntime takes the shim out of a daemon.json.
func withoutRuntime(text, original []byte) ([]byte, error) {
	if blank(text) {
		return text, nil
	}
	doc, err := spec.ParseDoc(text)
	if err != nil {
		return nil, err
	}
	was := &spec.Doc{}
	if !blank(original) {
		if was, err = spec.ParseDoc(original); err != nil {
			return nil, fmt.Errorf("the backup: %w", err)
		}
	}
	if r, err := runtimeOf(doc); err != nil || r == nil || notOurs(*r) != nil {
		return text, err
	}
	edits := []edit{unset(dockerRuntime...)}
	runtimes, _, err := doc.Member(dockerRuntime[0])
	if err != nil {
		return nil, err
	}
	others, err := apply([]byte(runtimes), unset(runtimeName))
	if err != nil {
		return nil, err
	}
	if _, had, _ := was.Member(dockerRuntime[0]); !had && nothing(others) {
		edits = []edit{unset(dockerRuntime[0])}
	}
	name, _, err := doc.Member(dockerDefault)
	if err != nil {
		return nil, err
	}
	if name == `"`+runtimeName+`"` {
		if literal, had, _ := was.Member(dockerDefault); had {
			edits = append(edits, set(literal, dockerDefault))
		} else {
			edits = append(edits, unset(dockerDefault))
		}
	}
	out, err := apply(text, edits...)
	if err == nil && nothing(out) && blank(original) {
		return original, nil
	}
	return out, err
}

// runtimeOf returns the program of the runtime that has our name; nil where there
// is none.
func runtimeOf(doc *spec.Doc) (*string, error) {
	text, ok, err := doc.Member(dockerRuntime...)
	if err != nil || !ok {
		return nil, err
	}
	var r struct{ Path string }
	err = json.Unmarshal([]byte(text), &r)
	return &r.Path, err
}

// edit is a change of a JSON document.
type edit func(*spec.Doc) ([]byte, error)

func set(literal string, path ...string) edit {
	return func(doc *spec.Doc) ([]byte, error) { return doc.WithMember(literal, path...) }
}

func unset(path ...string) edit {
	return func(doc *spec.Doc) ([]byte, error) { return doc.WithoutMember(path...) }
}

func apply(text []byte, edits ...edit) ([]byte, error) {
	for _, e := range edits {
		doc, err := spec.ParseDoc(text)
		if err == nil {
			text, err = e(doc)
		}
		if err != nil {
			return nil, err
		}
	}
	return text, nil
}

func blank(text []byte) bool { return len(bytes.TrimSpace(text)) == 0 }

// nothing says that a document is an empty object.
func nothing(text []byte) bool { return strings.Trim(string(text), "{} \t\r\n") == "" }

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
