// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"reflect"

	"github.com/oci-secrets/oci-secrets/spec"
	"github.com/oci-secrets/oci-secrets/spec/jsontext"
)

// bundle lists the hook in a bundle's config.json, where the runtime needs
// nothing else.
func (m *Machine) bundle(o Options) (*engine, error) {
	return &engine{files: []file{{
		path: filepath.Join(o.Bundle, "config.json"),
		with: func(text []byte) ([]byte, error) {
			if text == nil {
				return nil, refuse("`runc spec` makes one", "there is no such file, so this is no bundle")
			}
			doc, err := spec.ParseDoc(text)
			if err != nil {
				return nil, err
			}
			out, err := doc.WithHook(o.Hook.Path, spec.HookArgs(o.Hook.Config, ""), spec.Prestart, spec.Poststop)
			if err == nil && (!bytes.Contains(out, jsontext.AppendQuoted(nil, o.Hook.Path)) || hasOther(doc, o.Hook.Path)) {
				return nil, refuse("oci-secrets uninstall bundle", "it lists the hook with another binary")
			}
			if err == nil && o.Hook.Config != "" && !bytes.Contains(out, jsontext.AppendQuoted(nil, o.Hook.Config)) {
				return nil, refuse("oci-secrets uninstall bundle", "it lists the hook with other settings")
			}
			return out, err
		},
		without: func(text, original []byte) ([]byte, error) {
			doc, err := spec.ParseDoc(text)
			if err != nil {
				return nil, err
			}
			bare, err := doc.WithoutHook("") // whichever binary it is with
			if err == nil && original != nil && sameHooks(bare, original) {
				return original, nil
			}
			return bare, err
		},
	}}}, nil
}

// hasOther reports whether a document has a hook that is called like ours and is
// another program than the one at path.
func hasOther(doc *spec.Doc, path string) bool {
	bare, err := doc.WithoutHook(path)
	if err != nil {
		return false
	}
	if doc, err = spec.ParseDoc(bare); err != nil {
		return false
	}
	none, err := doc.WithoutHook("")
	return err == nil && !bytes.Equal(none, bare)
}

// sameHooks says that two documents differ at most in white space, and in lists
// of hooks that are empty or not there.
func sameHooks(a, b []byte) bool {
	var docs [2]map[string]any
	for i, text := range [][]byte{a, b} {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if d.Decode(&docs[i]) != nil {
			return false
		}
		hooks, _ := docs[i]["hooks"].(map[string]any)
		for stage, list := range hooks {
			if list, ok := list.([]any); list == nil || ok && len(list) == 0 {
				delete(hooks, stage)
			}
		}
		if len(hooks) == 0 {
			delete(docs[i], "hooks")
		}
	}
	return reflect.DeepEqual(docs[0], docs[1])
}
