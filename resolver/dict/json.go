// SPDX-License-Identifier: Apache-2.0

package dict

import (
	"bytes"
	"encoding/json"
	"errors"
)

// parseJSON walks the tokens, because a decoder into Go values would take the
// last of two equal keys without a word.
func parseJSON(data []byte) ([]field, *problem) {
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, problemf(1+bytes.Count(data[:min(int(syntax.Offset), len(data))], []byte("\n")), "", "not valid JSON")
		}
		return nil, problemf(0, "", "not valid JSON")
	}
	w := walker{data: data, d: json.NewDecoder(bytes.NewReader(data))}
	w.d.UseNumber() // one that no float64 holds is still only a number
	top, err := w.node()
	if err != nil {
		return nil, problemf(w.line(), "", "not valid JSON")
	}
	if top.kind != aTable {
		return nil, problemf(1, "", "the file is %s, and must be an object of secrets", top.kind)
	}
	return top.fields, nil
}

// walker reads tokens and knows their lines.
type walker struct {
	data    []byte
	d       *json.Decoder
	counted int // up to where line ends are counted
	lines   int
}

func (w *walker) line() int {
	at := int(w.d.InputOffset())
	w.lines += bytes.Count(w.data[w.counted:at], []byte("\n"))
	w.counted = at
	return w.lines + 1
}

func (w *walker) node() (node, error) {
	token, err := w.d.Token()
	if err != nil {
		return node{}, err
	}
	switch v := token.(type) {
	case nil:
		return node{kind: aNull}, nil
	case string:
		return node{kind: aString, text: v}, nil
	case bool:
		return node{kind: "a boolean"}, nil
	case json.Delim:
		if v == '{' {
			return w.object()
		}
		for w.d.More() {
			if _, err := w.node(); err != nil {
				return node{}, err
			}
		}
		_, err := w.d.Token()
		return node{kind: "an array"}, err
	}
	return node{kind: "a number"}, nil
}

func (w *walker) object() (node, error) {
	table := node{kind: aTable}
	for w.d.More() {
		key, err := w.d.Token()
		if err != nil {
			return node{}, err
		}
		name, _ := key.(string) // the decoder allows nothing else here
		line := w.line()
		value, err := w.node()
		if err != nil {
			return node{}, err
		}
		table.fields = append(table.fields, field{name, line, value})
	}
	_, err := w.d.Token()
	return table, err
}
