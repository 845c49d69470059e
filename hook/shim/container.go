// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/oci-secrets/oci-secrets/hook/keep"
	"github.com/oci-secrets/oci-secrets/hook/pass"
	"github.com/oci-secrets/oci-secrets/hook/shim/argv"
	"github.com/oci-secrets/oci-secrets/resolver/private"
	"github.com/oci-secrets/oci-secrets/spec"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// container is one that exists already.
type container struct {
	keep.Container
	doc *spec.Doc // its config.json
}

// find finds the container of an exec, and what it asks for. One that the
// runtime does not know asks for nothing: the runtime says so in its own words.
//
// The id is the first argument behind the flags. A flag that is not known may
// have a value, which then stands where the id would, and ends what is read as
// flags. So all that follows is tried, and a container that asks is not for
// guesses: only with a process file, and as the last argument, is it certain.
func (s *shim) find() (*container, spec.Asked, error) {
	ids := s.Args[s.Rest:]
	unknown := ""
	for _, o := range s.Local {
		if !o.Known {
			unknown = o.Name
		}
	}
	file := s.processFile() != ""
	if len(ids) == 0 || !file && len(ids) == 1 { // no container, or nothing to run
		return nil, spec.Asked{}, nil
	}
	if unknown == "" {
		ids = ids[:1]
	}
	for i, id := range ids {
		bundle, config, err := s.bundle(id)
		if err != nil {
			return nil, spec.Asked{}, fault.New(fault.Delivery, "", "exec in container %s: ask the runtime for its bundle: %w", id, err)
		}
		if bundle == "" {
			continue
		}
		b, err := os.ReadFile(config)
		if err != nil {
			return nil, spec.Asked{}, fault.New(fault.Document, "", "exec in container %s: what it asks for cannot be told: %w", id, err)
		}
		doc, asked, err := read(b, filepath.Clean(id))
		if err != nil {
			return nil, spec.Asked{}, fmt.Errorf("exec in container %s: read %s: %w", id, config, err)
		}
		if asked.None() {
			continue
		}
		if unknown != "" && !(file && i == len(ids)-1) {
			return nil, spec.Asked{}, fault.New(fault.Delivery, "describe the process in a file, and give that with --process before the flag",
				"exec in container %s: the flag --%s is not known, and might be lost", id, unknown)
		}
		return &container{keep.Container{ID: filepath.Clean(id), Bundle: bundle}, doc}, asked, nil
	}
	return nil, spec.Asked{}, nil
}

// bundle is the bundle of a container that exists, as the runtime has it, and
// the path of its configuration; "" for none. To ask the runtime takes as long
// as half an exec, so what runc and crun keep of each container is read first.
// crun, whose --config need not be in the bundle, keeps a copy of it. It also
// takes ./ID and ID/ for an id, so what is one is left to the runtime.
func (s *shim) bundle(id string) (bundle, config string, err error) {
	const name = "config.json"
	for _, root := range s.roots() {
		if b, err := os.ReadFile(filepath.Join(root, id, "state.json")); err == nil { // runc
			if bundle := pass.BundleOfRunc(b); bundle != "" {
				return bundle, filepath.Join(bundle, name), nil
			}
		}
		if b, err := os.ReadFile(filepath.Join(root, id, "status")); err == nil { // crun
			if bundle := bundleOf(b); bundle != "" {
				copied := filepath.Join(root, id, name)
				if _, err := os.Stat(copied); err != nil {
					copied = filepath.Join(bundle, name)
				}
				return bundle, copied, nil
			}
		}
	}
	cmd := exec.Command(s.real, append(s.Args[:s.At:s.At], "state", id)...)
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.Exited() { // it knows none
		return "", "", nil
	} else if err != nil {
		return "", "", err
	}
	if bundle = bundleOf(out); bundle == "" {
		return "", "", nil
	}
	return bundle, filepath.Join(bundle, name), nil
}

// pid is that of a container's first process, as runc and crun keep it; 0 where
// there is none on this kernel, or none that can be told so.
func (s *shim) pid(id string) int {
	for _, root := range s.roots() {
		for _, name := range []string{"state.json", "status"} {
			var state struct {
				Runc int `json:"init_process_pid"`
				Crun int `json:"pid"`
			}
			b, err := os.ReadFile(filepath.Join(root, id, name))
			if err != nil || json.Unmarshal(b, &state) != nil {
				continue
			}
			if pid := max(state.Runc, state.Crun); pid > 0 {
				return pid
			}
		}
	}
	return 0
}

// roots are the directories where the runtime may have its containers.
func (s *shim) roots() []string {
	if root, ok := argv.Last(s.Global, "root"); ok {
		return []string{root}
	}
	name := filepath.Base(s.real)
	roots := []string{"/run/" + name}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" && private.HostUID() != 0 {
		roots = []string{filepath.Join(dir, name)}
	}
	return roots
}

// bundleOf reads the bundle in a state, or in crun's file of one.
func bundleOf(b []byte) string {
	var state struct {
		Bundle string `json:"bundle"`
	}
	_ = json.Unmarshal(b, &state) // what cannot be read has none
	return state.Bundle
}
