// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/oci-secrets/oci-secrets/spec"
)

// nearest is the hint for a key that is not known.
func nearest(key toml.Key) string {
	known := keys(reflect.TypeFor[Settings](), "")
	if n := spec.Nearest(key.String(), known); n != "" {
		return fmt.Sprintf("did you mean %q?", n)
	}
	return "the keys are " + strings.Join(known, ", ")
}

// keys lists the keys of a table, dotted, as the struct's tags have them; what
// is no table has none.
func keys(t reflect.Type, prefix string) []string {
	if t.Kind() != reflect.Struct {
		return nil
	}
	var names []string
	for f := range t.Fields() {
		name, ok := f.Tag.Lookup("toml")
		if !ok {
			continue
		}
		kind := f.Type
		if kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		if inner := keys(kind, prefix+name+"."); len(inner) > 0 {
			names = append(names, inner...)
			continue
		}
		names = append(names, prefix+name)
	}
	return names
}
