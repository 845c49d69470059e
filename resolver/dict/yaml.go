// SPDX-License-Identifier: Apache-2.0

package dict

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parseYAML reads nodes and not Go values, because only those tell where they
// stand, which keys are there twice, and which type a scalar was written as.
func parseYAML(data []byte) ([]field, *problem) {
	d := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil // nothing but comments
	} else if err != nil {
		return nil, yamlProblem(err)
	}
	var second yaml.Node
	if err := d.Decode(&second); err == nil {
		return nil, problemf(second.Line, "", "a second YAML document")
	} else if !errors.Is(err, io.EOF) {
		return nil, yamlProblem(err)
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	top, p := yamlNode(doc.Content[0])
	switch {
	case p != nil:
		return nil, p
	case top.kind != aTable && top.kind != aNull:
		return nil, problemf(doc.Line, "", "the file is %s, and must be a table of secrets", top.kind)
	}
	return top.fields, nil
}

func yamlNode(n *yaml.Node) (node, *problem) {
	switch n.Kind {
	case yaml.ScalarNode:
		return yamlScalar(n), nil
	case yaml.MappingNode:
	case yaml.SequenceNode:
		return node{kind: "a sequence"}, nil
	default:
		// An alias could also make a small file a huge one.
		return node{}, problemf(n.Line, "write it out", "YAML aliases are not supported")
	}
	if n.ShortTag() != "!!map" {
		return node{kind: "a tagged value"}, nil
	}
	table := node{kind: aTable}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" {
			return node{}, problemf(key.Line, "quote the name", "a name that is not a string")
		}
		value, p := yamlNode(n.Content[i+1])
		if p != nil {
			return node{}, p
		}
		table.fields = append(table.fields, field{key.Value, key.Line, value})
	}
	return table, nil
}

func yamlScalar(n *yaml.Node) node {
	switch n.ShortTag() {
	case "!!str":
		return node{kind: aString, text: n.Value}
	case "!!null":
		return node{kind: aNull}
	case "!!int":
		return node{kind: "an integer"}
	case "!!float":
		return node{kind: "a float"}
	case "!!bool":
		return node{kind: "a boolean"}
	case "!!timestamp":
		return node{kind: "a date or time"}
	case "!!binary":
		return node{kind: "binary"}
	}
	return node{kind: "a tagged value"}
}

// yamlProblem takes the line from the library's message, which is the only
// place where it gives it, and nothing else: the rest may quote the file. The
// line is that of what the library was in, and for some errors one too low.
func yamlProblem(err error) *problem {
	if rest, ok := strings.CutPrefix(err.Error(), "yaml: line "); ok {
		digits, _, _ := strings.Cut(rest, ":")
		if line, err := strconv.Atoi(digits); err == nil {
			return problemf(line, "", "not valid YAML, near this line")
		}
	}
	return problemf(0, "", "not valid YAML")
}
