// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/oci-secrets/oci-secrets/spec"
)

// nearest is the hint for a key that is not known.
func nearest(key toml.Key) string {
	known := keys(reflect.TypeFor[Settings](), "")
	for _, k := range known {
		if strings.HasPrefix(k, key.String()+"_") { // secret_id for secret_id_file
			return fmt.Sprintf("did you mean %q?", k)
		}
	}
	if n := spec.Nearest(key.String(), known); n != "" {
		return fmt.Sprintf("did you mean %q?", n)
	}
	of, table := "", key[:len(key)-1].String()
	if inner := slices.DeleteFunc(slices.Clone(known), func(k string) bool { return !strings.HasPrefix(k, table+".") }); len(inner) > 0 {
		known, of = inner, " below ["+table+"]"
	}
	return "the keys" + of + " are " + strings.Join(known, ", ")
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

// wrongType says which key has a value of another type than it should. The TOML
// package knows it and tells only the types.
func wrongType(text []byte) string {
	var tree map[string]any
	if _, err := toml.Decode(string(text), &tree); err == nil {
		if key, want := mismatch(tree, reflect.TypeFor[Settings](), ""); key != "" {
			return fmt.Sprintf("%q must be %s", key, want)
		}
	}
	return "the file does not have the form of settings"
}

// mismatch finds the first key below v that is not of the type that t has for
// it. What reads its own text is left out: those errors name the key.
func mismatch(v any, t reflect.Type, key string) (at, want string) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if _, own := reflect.New(t).Interface().(encoding.TextUnmarshaler); own {
		return "", ""
	}
	var ok bool
	switch t.Kind() {
	case reflect.String:
		_, ok = v.(string)
		want = "a string"
	case reflect.Bool:
		_, ok = v.(bool)
		want = "true or false"
	case reflect.Slice:
		var list []any
		list, ok = v.([]any)
		for _, e := range list {
			_, isString := e.(string)
			ok = ok && isString
		}
		want = "an array of strings"
	case reflect.Map:
		var table map[string]any
		table, ok = v.(map[string]any)
		for _, e := range table {
			_, isString := e.(string)
			ok = ok && isString
		}
		want = "a table of strings"
	default: // a table
		var table map[string]any
		table, ok = v.(map[string]any)
		want = "a table"
		for f := range t.Fields() {
			name := f.Tag.Get("toml")
			if inner, is := table[name]; is {
				if at, want := mismatch(inner, f.Type, strings.TrimPrefix(key+"."+name, ".")); at != "" {
					return at, want
				}
			}
		}
	}
	if ok {
		return "", ""
	}
	return key, want
}
