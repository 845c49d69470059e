// SPDX-License-Identifier: Apache-2.0

package install_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"testing"

	"github.com/BurntSushi/toml"
	"go.yaml.in/yaml/v3"
)

// TestKubernetesExamples reads the manifests, and holds them to what the engines'
// settings call the plugins and the annotation.
func TestKubernetesExamples(t *testing.T) {
	var daemons struct {
		Kind string
		Spec struct {
			Template struct {
				Metadata struct{ Annotations map[string]string }
				Spec     struct {
					Containers []struct {
						Name         string
						Command      []string
						VolumeMounts []struct{ Name string } `yaml:"volumeMounts"`
					}
				}
			}
		}
	}
	documents(t, "kubernetes/daemonset.yaml", &daemons)
	pod := daemons.Spec.Template
	if daemons.Kind != "DaemonSet" || len(pod.Spec.Containers) != 2 {
		t.Fatalf("got %+v", daemons)
	}
	for _, c := range pod.Spec.Containers {
		if c.Command[1] != "nri" || slices.Contains(c.Command, "--guard") != (c.Name == "guard") || c.VolumeMounts[0].Name != "nri" {
			t.Errorf("got %+v", c)
		}
	}

	var class struct{ Kind, Handler string }
	var user struct {
		Kind string
		Spec struct {
			RuntimeClassName string `yaml:"runtimeClassName"`
		}
	}
	documents(t, "kubernetes/runtimeclass.yaml", &class, &user)
	if class.Kind != "RuntimeClass" || class.Handler != "oci-secrets" || user.Spec.RuntimeClassName != "oci-secrets" {
		t.Errorf("got %+v, %+v", class, user)
	}

	var containerd struct {
		Plugins map[string]struct {
			Disable   bool
			Validator struct {
				Enable   bool
				Required []string `toml:"required_plugins"`
				Tolerate string   `toml:"tolerate_missing_plugins_annotation"`
			} `toml:"default_validator"`
		}
	}
	var crio struct {
		Crio struct {
			NRI struct {
				Enable    bool `toml:"enable_nri"`
				Validator struct {
					Enable   bool     `toml:"nri_enable_default_validator"`
					Required []string `toml:"nri_validator_required_plugins"`
					Tolerate string   `toml:"nri_validator_tolerate_missing_plugins_annotation"`
				} `toml:"default_validator"`
			}
		}
	}
	settings(t, "kubernetes/containerd.toml", &containerd)
	settings(t, "crio/90-oci-secrets-nri.conf", &crio)
	nri := containerd.Plugins["io.containerd.nri.v1.nri"]
	if nri.Disable || !nri.Validator.Enable || !crio.Crio.NRI.Enable || !crio.Crio.NRI.Validator.Enable {
		t.Error("NRI is off")
	}
	for _, required := range [][]string{nri.Validator.Required, crio.Crio.NRI.Validator.Required} {
		if !slices.Equal(required, []string{"oci-secrets", "oci-secrets-guard"}) {
			t.Errorf("required are %q", required)
		}
	}
	for _, tolerate := range []string{nri.Validator.Tolerate, crio.Crio.NRI.Validator.Tolerate} {
		if pod.Metadata.Annotations[tolerate] != "true" {
			t.Errorf("the DaemonSet does not tolerate its own absence by %q", tolerate)
		}
	}
}

// documents reads a file of YAML documents, one for each of into.
func documents(t *testing.T, path string, into ...any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	for _, v := range into {
		if err := d.Decode(v); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		t.Errorf("%s: not %d documents: %v", path, len(into), err)
	}
}

// settings reads a TOML file, all of whose keys must be known.
func settings(t *testing.T, path string, into any) {
	t.Helper()
	meta, err := toml.DecodeFile(path, into)
	if err != nil || len(meta.Undecoded()) > 0 {
		t.Errorf("%s: %v, unknown keys %v", path, err, meta.Undecoded())
	}
}
