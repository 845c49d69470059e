// SPDX-License-Identifier: Apache-2.0

package install

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// decode reads TOML.
func decode(text []byte) (map[string]any, error) {
	m := map[string]any{}
	if err := toml.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("not TOML, or not with what is ours: %w", err)
	}
	return m, nil
}

// unchanged refuses an edit that changes more than the keys that are ours.
// Where a table is opened in an unusual way, one that is appended can do so.
func unchanged(before, after []byte, ours ...[]string) error {
	was, err := decode(before)
	if err != nil {
		return err
	}
	is, err := decode(after)
	if err != nil {
		return err
	}
	for _, path := range ours {
		drop(was, path)
		drop(is, path)
	}
	if !reflect.DeepEqual(was, is) {
		return errors.New("the edit would change other settings as well; edit it by hand")
	}
	return nil
}

// drop takes the key at path out, and the tables that are then empty.
func drop(m map[string]any, path []string) {
	next, ok := m[path[0]].(map[string]any)
	switch {
	case len(path) == 1:
		delete(m, path[0])
	case ok:
		if drop(next, path[1:]); len(next) == 0 {
			delete(m, path[0])
		}
	}
}

// table follows path through tables; nil where it ends.
func table(m map[string]any, path ...string) map[string]any {
	for _, key := range path {
		m, _ = m[key].(map[string]any)
	}
	return m
}

// quoteTOML is s as a TOML string.
func quoteTOML(s string) string { return fmt.Sprintf("%q", s) }

// listTOML is a TOML array of strings.
func listTOML(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = quoteTOML(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// tableTOML is a table with its header, and the tables in it after it. The
// encoder's own headers would open the tables around it a second time.
func tableTOML(path []string, m map[string]any) string {
	var values, tables strings.Builder
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if sub, ok := m[key].(map[string]any); ok {
			tables.WriteString(tableTOML(append(slices.Clone(path), key), sub))
			continue
		}
		_ = toml.NewEncoder(&values).Encode(map[string]any{key: m[key]}) // it was read from TOML
	}
	return "[" + toml.Key(path).String() + "]\n" + values.String() + tables.String()
}

// A line of ours in a table that is the operator's, and what a line that it
// took the place of became.
const (
	lineMark   = " # oci-secrets"
	linePrefix = "# oci-secrets keeps: "
)

// withLine sets a key in a table that has a header in text, outside of the
// block; ok is false where it has none. It reads lines and not TOML: what comes
// of that is checked.
func withLine(text []byte, path []string, key, value string) (out []byte, ok bool) {
	var here, block bool
	add := func(indent string) {
		out, ok, here = fmt.Appendf(out, "%s%s = %s%s\n", indent, key, value, lineMark), true, false
	}
	var header string // the indentation of the table's header
	var at int        // where the table begins
	for line := range strings.Lines(string(text)) {
		trimmed := strings.TrimSpace(line)
		indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		name, _, _ := strings.Cut(trimmed, "=")
		switch {
		case here && strings.TrimSpace(name) == key:
			out = append(out, linePrefix+line...)
			add(indent)
			continue
		case trimmed == blockBegin, trimmed == blockEnd:
			here, block = false, trimmed == blockBegin
		case strings.HasPrefix(trimmed, "["):
			if here = !ok && !block && isHeader(trimmed, path); here {
				header, at = indent, len(out)+len(line)
			}
		}
		out = append(out, line...)
	}
	if !ok && at > 0 { // the key is not there: it comes first in its table
		rest := out[at:]
		out = out[:at:at]
		add(header)
		out = append(out, rest...)
	}
	return out, ok
}

// withoutLines takes the lines of ours out, and brings those back that they
// took the place of.
func withoutLines(text []byte) []byte {
	var out []byte
	for line := range strings.Lines(string(text)) {
		if strings.HasSuffix(strings.TrimRight(line, "\n"), lineMark) {
			continue
		}
		out = append(out, strings.TrimPrefix(line, linePrefix)...)
	}
	if out == nil && text != nil {
		out = []byte{}
	}
	return out
}

// isHeader says that a line opens the table at path, however it is quoted.
func isHeader(line string, path []string) bool {
	if !strings.HasPrefix(line, "[") || strings.HasPrefix(line, "[[") {
		return false
	}
	m, err := decode([]byte(line))
	for i, key := range path {
		next, ok := m[key].(map[string]any)
		if err != nil || !ok || len(m) != 1 || i == len(path)-1 && len(next) > 0 {
			return false
		}
		m = next
	}
	return true
}
