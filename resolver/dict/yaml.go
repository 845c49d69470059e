// SPDX-License-Identifier: Apache-2.0

package dict

import (
	"bytes"
	"errors"
	"io"
	"slices"
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
	top := yamlNode(doc.Content[0])
	switch top.kind {
	case aFlaw:
		return nil, top.wrong
	case aTable, aNull:
	default:
		return nil, problemf(doc.Line, "", "the file is %s, and must be a table of secrets", top.kind)
	}
	// A field that tells no name may stand for any.
	nameless := func(f field) bool { return f.name == "" && f.node.kind == aFlaw }
	if i := slices.IndexFunc(top.fields, nameless); i >= 0 {
		p := top.fields[i].node.wrong
		return slices.DeleteFunc(top.fields, nameless), p
	}
	return top.fields, nil
}

func yamlNode(n *yaml.Node) node {
	switch n.Kind {
	case yaml.ScalarNode:
		return yamlScalar(n)
	case yaml.MappingNode:
	case yaml.SequenceNode:
		return node{kind: "a sequence"}
	default:
		// An alias could also make a small file a huge one.
		return flaw(n, "write it out", "YAML aliases are not supported")
	}
	if n.ShortTag() != "!!map" {
		return node{kind: "a tagged value"}
	}
	table := node{kind: aTable}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, f := n.Content[i], field{line: n.Content[i].Line}
		switch {
		case key.ShortTag() == "!!merge":
			f.node = flaw(key, "write out what it merges", "YAML merge keys (<<) are not supported")
		case key.Kind != yaml.ScalarNode:
			f.node = flaw(key, "quote the name", "a name that is not a string")
		case key.ShortTag() != "!!str":
			f.name, f.node = key.Value, flaw(key, "quote the name", "a name that is not a string")
		default:
			f.name, f.node = key.Value, yamlNode(n.Content[i+1])
		}
		table.fields = append(table.fields, f)
	}
	return table
}

// flaw is what takes the place of a value for what is wrong at n.
func flaw(n *yaml.Node, hint, text string) node {
	return node{kind: aFlaw, wrong: problemf(n.Line, hint, "%s", text)}
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
