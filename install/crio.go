// SPDX-License-Identifier: Apache-2.0

package install

import (
	"encoding/json"
	"fmt"
)

// crio is told by a drop-in. It hands every annotation of the pod to the
// runtime, so that ours must not be listed anywhere; it would not start with
// one of them in allowed_annotations. Written from crio.conf(5), and not run by
// the tests.
func (m *Machine) crio(o Options) (*engine, error) {
	return &engine{
		reload: &reload{unit: "crio", verb: "restart"},
		notes:  []string{"this was written from CRI-O's documents, and has not been run with it"},
		files: []file{{path: "/etc/crio/crio.conf.d/90-oci-secrets.conf", with: func(text []byte) ([]byte, error) {
			conf, err := decode(text)
			if err != nil {
				return nil, err
			}
			var body string
			if o.Default || table(conf, "crio", "runtime")["default_runtime"] == runtimeName {
				body = tableTOML([]string{"crio", "runtime"}, map[string]any{"default_runtime": runtimeName})
			}
			return withBlock(text, body+tableTOML([]string{"crio", "runtime", "runtimes", runtimeName},
				map[string]any{"runtime_path": o.Hook.shim(), "runtime_type": "oci"}))
		}, without: withoutBlock}},
	}, nil
}

// crioUsers are the pods that were made with the handler.
func (m *Machine) crioUsers() ([]string, error) {
	out, err := m.Run("crictl", "pods", "--output", "json")
	if err != nil {
		return nil, err
	}
	var list struct {
		Items []struct {
			Metadata struct{ Name, Namespace string }
			Handler  string `json:"runtimeHandler"`
		}
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, fmt.Errorf("crictl pods: %w", err)
	}
	var users []string
	for _, p := range list.Items {
		if p.Handler == runtimeName {
			users = append(users, p.Metadata.Namespace+"/"+p.Metadata.Name)
		}
	}
	return users, nil
}
