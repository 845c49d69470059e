// SPDX-License-Identifier: Apache-2.0

package install_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-secrets/oci-secrets/install"
	"github.com/oci-secrets/oci-secrets/spec"
)

var update = flag.Bool("update", false, "write testdata")

func TestGolden(t *testing.T) {
	plain := install.Hook{Path: "/usr/local/bin/oci-secrets"}
	config := install.Hook{Path: "/opt/a b/oci-secrets", Config: "/etc/oci \"secrets\"/config.toml"}
	for name, render := range map[string]func() ([]byte, error){
		"runc.json":             plain.Runc,
		"runc-config.json":      config.Runc,
		"podman.json":           plain.Podman,
		"podman-config.json":    config.Podman,
		"precreate.json":        plain.PodmanPrecreate,
		"precreate-config.json": config.PodmanPrecreate,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := render()
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestRuncIsSpec reads the block as a runtime does.
func TestRuncIsSpec(t *testing.T) {
	b, err := install.Hook{Path: "/bin/oci-secrets", Config: "/c"}.Runc()
	if err != nil {
		t.Fatal(err)
	}
	var s specs.Spec
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	seconds := 150
	hook := specs.Hook{Path: "/bin/oci-secrets", Args: []string{"oci-secrets", "hook", "--config", "/c"}, Timeout: &seconds}
	want := &specs.Hooks{Prestart: []specs.Hook{hook}, Poststop: []specs.Hook{hook}} //nolint:staticcheck // deprecated and everywhere
	if diff := cmp.Diff(want, s.Hooks); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestWhen matches annotations as podman does (pkg/hooks/1.0.0/when.go):
// regexp.MatchString for the key and for the value, unanchored. Every key that
// the contract knows or refuses must reach the hook: what does not is a
// container that starts without a word.
func TestWhen(t *testing.T) {
	b, err := install.Hook{Path: "/bin/oci-secrets"}.Podman()
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		When struct{ Annotations map[string]string }
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.When.Annotations) != 1 { // all must match, and an empty list never does
		t.Fatalf("when %v", file.When.Annotations)
	}
	matches := func(key, value string) bool {
		for k, v := range file.When.Annotations {
			if regexp.MustCompile(k).MatchString(key) && regexp.MustCompile(v).MatchString(value) {
				return true
			}
		}
		return false
	}
	for _, key := range []string{
		"secrets.oci/from", "secrets.oci/from.web", "secrets.oci/dict", "secrets.oci/form", "secrets.oci/",
		"Secrets.oci/from", "SECRETS.OCI/FROM", "\u017fecrets.oci/from", // a long s folds to s
		"secretsXoci/from", "x.secrets.oci/from", "secrets.oci", "io.kubernetes.cri.container-name", "",
	} {
		for _, value := range []string{"db", "", "a\nb", "{}"} {
			asked, err := spec.Parse(map[string]string{key: value})
			ours := err != nil || !asked.None()
			if key == "secrets.oci/dict" || key == "secrets.oci/from" {
				ours = true // also one that asks for nothing
			}
			if matches(key, value) != ours {
				t.Errorf("%q = %q matches: %v, want %v", key, value, !ours, ours)
			}
		}
	}
}
