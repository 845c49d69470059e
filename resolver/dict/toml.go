// SPDX-License-Identifier: Apache-2.0

package dict

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// parseTOML has no lines to give but those of syntax errors. The library
// refuses keys that are there twice, as TOML asks.
func parseTOML(data []byte) ([]field, *problem) {
	var top map[string]any
	if _, err := toml.Decode(string(data), &top); err != nil {
		var at toml.ParseError
		if !errors.As(err, &at) {
			return nil, problemf(0, "", "not valid TOML")
		}
		if strings.HasSuffix(at.Message, "has already been defined.") {
			return nil, problemf(at.Position.Line, "", "a key or table is there twice")
		}
		return nil, problemf(at.Position.Line, "", "not valid TOML")
	}
	return tomlFields(top), nil
}

// tomlFields sorts, because a map would give another error every time.
func tomlFields(table map[string]any) []field {
	var fields []field
	for _, name := range slices.Sorted(maps.Keys(table)) {
		fields = append(fields, field{name: name, node: tomlNode(table[name])})
	}
	return fields
}

func tomlNode(v any) node {
	switch v := v.(type) {
	case string:
		return node{kind: aString, text: v}
	case map[string]any:
		return node{kind: aTable, fields: tomlFields(v)}
	case int64:
		return node{kind: "an integer"}
	case float64:
		return node{kind: "a float"}
	case bool:
		return node{kind: "a boolean"}
	case time.Time:
		return node{kind: "a date or time"}
	}
	return node{kind: "an array"}
}
