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
	if k := meant(key, known); k != "" {
		hint := fmt.Sprintf("did you mean %q?", k)
		if len(key) > 1 && !strings.Contains(k, ".") {
			hint += " it belongs above the first [table]"
		}
		return hint
	}
	of, table := "", key[:len(key)-1].String()
	if inner := below(table, known); len(inner) > 0 {
		known, of = inner, " below ["+table+"]"
	}
	return "the keys" + of + " are " + strings.Join(known, ", ")
}

// meant is the known key, or table, that was probably meant; empty where none was.
func meant(key toml.Key, known []string) string {
	name, table, last := key.String(), key[:len(key)-1].String(), key[len(key)-1]
	for _, k := range known {
		if strings.HasPrefix(k, name+"_") || len(last) > 3 && strings.HasPrefix(k, name) { // secret_id for secret_id_file, addr for address
			return k
		}
	}
	// In another table: role_id below [vault], or all of [auth].
	var elsewhere []string
	for _, k := range append(slices.Clone(known), tables(known)...) {
		of, own := split(k)
		if strings.HasSuffix(k, "."+name) || own == last && (within(of, table) || within(table, of)) {
			elsewhere = append(elsewhere, k)
		}
	}
	if len(elsewhere) == 1 {
		return elsewhere[0]
	}
	if table == "" || !slices.Contains(tables(known), table) {
		return spec.Nearest(name, known)
	}
	// What both have of the table would make any two keys look alike.
	var beside []string
	for _, k := range known {
		if of, own := split(k); of == table {
			beside = append(beside, own)
		}
	}
	if n := spec.Nearest(last, beside); n != "" {
		return table + "." + n
	}
	return ""
}

// inCase is a known key, or table, as it is written, of which key's last part
// differs in case alone.
func inCase(key toml.Key, known []string) string {
	name := key.String()
	for _, k := range known {
		if _, own := split(k); strings.EqualFold(k, name) && own != key[len(key)-1] {
			return k
		}
	}
	return ""
}

// tables are those that keys are in.
func tables(keys []string) (names []string) {
	for _, k := range keys {
		for of, _ := split(k); of != ""; of, _ = split(of) {
			if !slices.Contains(names, of) {
				names = append(names, of)
			}
		}
	}
	return names
}

// split gives the table that a key is in, and what it is called there.
func split(key string) (table, own string) {
	i := strings.LastIndexByte(key, '.')
	return key[:max(i, 0)], key[i+1:]
}

// within reports whether a table is below another one.
func within(table, above string) bool {
	return table != above && (above == "" || strings.HasPrefix(table, above+"."))
}

// below are the keys in a table and in those below it.
func below(table string, keys []string) []string {
	return slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return !strings.HasPrefix(k, table+".") })
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
		if !ok || name == "-" {
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
func (s *Settings) wrongType(text []byte) error {
	var tree map[string]any
	if meta, err := toml.Decode(string(text), &tree); err == nil {
		if key, want := mismatch(tree, reflect.TypeFor[Settings](), ""); key != "" {
			return s.errorf("", "%q must be %s", key, want)
		}
		if errs := s.miscased(meta); len(errs) > 0 {
			return errs[0]
		}
	}
	return s.errorf("", "the file does not have the form of settings")
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
