// SPDX-License-Identifier: Apache-2.0

package dict

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/spec"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// node is a value as a file has it, in what the three formats share.
type node struct {
	kind   string  // one of the constants, or what else it is, in words
	text   string  // of a string
	fields []field // of a table, in the order of the file where that is known

	wrong *problem // of aFlaw
}

type field struct {
	name string
	line int // 0 where the format does not tell
	node node
}

const (
	aString = "a string"
	aNull   = "null"
	aTable  = "a table"
	aFlaw   = "" // that no secret can have
)

// problem is what is wrong with a file, or with one secret in it. Its text may name secrets and keys
// that look like such, never a value and never what a parser says.
type problem struct {
	line int
	text string
	hint string
}

func problemf(line int, hint, format string, args ...any) *problem {
	return &problem{line, fmt.Sprintf(format, args...), hint}
}

// in is the error of a problem in file.
func (p *problem) in(file string) error {
	if p.line > 0 {
		file = fmt.Sprintf("%s:%d", file, p.line)
	}
	return fault.New(fault.Refused, p.hint, "%s: %s", file, p.text)
}

// parser reads one format: it returns the fields of the table that the file is,
// and a problem where the file may hold other fields than those.
type parser func(data []byte) ([]field, *problem)

// parserOf goes by the name, and is nil for a name that is none of ours.
func parserOf(file string) parser {
	switch filepath.Ext(file) {
	case ".toml":
		return parseTOML
	case ".yaml", ".yml":
		return parseYAML
	case ".json":
		return parseJSON
	}
	return nil
}

// add reads one file into d.
func (d *dict) add(file string, data []byte, parse parser) {
	fields, p := []field(nil), (*problem)(nil)
	if !utf8.Valid(data) {
		p = problemf(0, "save it as UTF-8", "not UTF-8 text")
	} else {
		fields, p = parse(data)
	}
	if p != nil {
		d.unread = append(d.unread, p.in(file))
	}
	seen := map[string]bool{}
	for _, f := range fields {
		s := secret{file: file}
		entries, p := entries(f)
		if seen[f.name] {
			p = problemf(f.line, "", "secret %s is there twice", spec.ShowName(f.name))
		}
		seen[f.name] = true
		other, again := d.secrets[f.name]
		switch {
		case p == nil && f.node.kind == aNull || again && other.err != nil:
			continue
		case again && other.file != file:
			p = problemf(f.line, "keep one of the two", "secret %s is in %s as well", spec.ShowName(f.name), other.file)
		}
		if s.entries = entries; p != nil {
			s.err = p.in(file)
		}
		d.secrets[f.name] = s
	}
}

const quoteIt = "quote the value"

// entries are the keys of one secret, sorted.
func entries(of field) ([]resolver.Entry, *problem) {
	switch of.node.kind {
	case aNull:
		return nil, nil
	case aString:
		return []resolver.Entry{{Key: of.name, Value: resolver.NewValue(of.node.text)}}, nil
	case aTable:
	case aFlaw:
		return nil, of.node.wrong
	default:
		return nil, problemf(of.line, quoteIt, "secret %s is %s, and must be a string or a table of strings", spec.ShowName(of.name), of.node.kind)
	}
	var list []resolver.Entry
	seen := map[string]bool{}
	for _, f := range of.node.fields {
		if seen[f.name] {
			return nil, problemf(f.line, "", "secret %s: key %s is there twice", spec.ShowName(of.name), spec.ShowKey(f.name))
		}
		seen[f.name] = true
		switch f.node.kind {
		case aNull:
		case aFlaw:
			return nil, f.node.wrong
		case aString:
			list = append(list, resolver.Entry{Key: f.name, Value: resolver.NewValue(f.node.text)})
		case aTable:
			return nil, problemf(f.line, `a file is name -> {KEY: "value"} and no deeper; a name with a slash or dot is written in quotes`,
				"secret %s: key %s is a table, and must be a string", spec.ShowName(of.name), spec.ShowKey(f.name))
		default:
			return nil, problemf(f.line, quoteIt, "secret %s: key %s is %s, and must be a string", spec.ShowName(of.name), spec.ShowKey(f.name), f.node.kind)
		}
	}
	slices.SortFunc(list, func(a, b resolver.Entry) int { return strings.Compare(a.Key, b.Key) })
	return list, nil
}
