// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// maxPart is the longest part of a secret's name, as in the seed's service.
const maxPart = 64

// grammar is the hint for an item that does not even look like one.
const grammar = "an item is [scheme:]name[@version][#KEY[=VARIABLE]]...[?]"

// parseItem reads one item of a list:
//
//	[scheme:]name[@version][#KEY[=ENV]]...[?]
//
// Its errors leave out the item itself; the caller knows where it stands.
func parseItem(text string) (Request, error) {
	var r Request
	text, r.Optional = strings.CutSuffix(text, "?")
	head, keys, keyed := strings.Cut(text, "#")
	head, version, versioned := strings.Cut(head, "@")

	name := head
	if scheme, rest, ok := strings.Cut(head, ":"); ok {
		if scheme+":" == none {
			return r, fault.New(fault.Annotation, "", "%s asks for nothing, and stands alone in a list", none)
		}
		if !slices.Contains(Schemes(), scheme) {
			return r, fault.New(fault.Annotation, "the schemes are "+strings.Join(Schemes(), ", "), "no scheme %s", clip(scheme))
		}
		r.Scheme, name = scheme, rest
	}
	var err error
	if r.Name, err = parseName(name, r.Scheme); err != nil {
		return r, err
	}
	if versioned {
		n, err := strconv.ParseInt(version, 10, 32)
		if err != nil || n < 1 || version[0] < '1' || version[0] > '9' {
			return r, fault.New(fault.Annotation, "in a name ~40 stands for @", "the version %s is not a number from 1 to %d", clip(version), math.MaxInt32)
		}
		r.Version = int(n)
	}
	if !keyed {
		return r, nil
	}
	seen := map[string]bool{}
	for text := range strings.SplitSeq(keys, "#") {
		key, err := parseKey(text)
		if err != nil {
			return r, err
		}
		if seen[key.Env] {
			return r, fault.New(fault.Annotation, "", "variable %s is set twice", clip(key.Env))
		}
		seen[key.Env] = true
		r.Keys = append(r.Keys, key)
	}
	return r, nil
}

// parseName reads the name of a secret that is pinned to scheme, or to none.
func parseName(text, scheme string) (string, error) {
	if text == "" {
		if scheme == "dotenv" {
			return "", nil // the directory's own .env
		}
		return "", fault.New(fault.Annotation, grammar, "it names no secret")
	}
	parts := strings.Split(text, "/")
	for i, part := range parts {
		switch {
		case part == "":
			return "", fault.New(fault.Annotation, "", "the name %s has an empty part", clip(text))
		case part == "." || part == "..":
			return "", fault.New(fault.Annotation, "a name never leaves the place the operator chose",
				"the name %s has a part %q", clip(text), part)
		case !only(part, plain+"~"):
			return "", fault.New(fault.Annotation, grammar+"; in a name ~40 stands for @, and ~20 for a blank",
				"the name %s has a character other than letters, digits and . _ - /", clip(text))
		}
		var err error
		if parts[i], err = unescape(part); err != nil {
			return "", fmt.Errorf("the name %s has %w", clip(text), err)
		}
		if len(parts[i]) > maxPart {
			return "", fault.New(fault.Annotation, "", "a part of the name %s is longer than %d characters", clip(text), maxPart)
		}
	}
	return strings.Join(parts, "/"), nil
}

// parseKey reads KEY or KEY=ENV. A key that is no shell name says which variable it
// becomes, be it of the same name: most programs cannot use that one.
func parseKey(text string) (Key, error) {
	name, env, renamed := strings.Cut(text, "=")
	switch {
	case name == "":
		return Key{}, fault.New(fault.Annotation, grammar, "no key follows a #")
	case !isKey(name):
		return Key{}, fault.New(fault.Annotation, grammar,
			"the key %s has a character other than letters, digits and . _ -", clip(name))
	case !renamed:
		env = name
	case env == "":
		return Key{}, fault.New(fault.Annotation, grammar, "no variable follows the = after the key %s", clip(name))
	case !isKey(env):
		return Key{}, fault.New(fault.Annotation, grammar,
			"%s is not a variable name, which is letters, digits and . _ -", clip(env))
	}
	if !renamed && !IsVariable(name) {
		return Key{}, NotVariable(name)
	}
	return Key{Name: name, Env: env}, nil
}

// isKey is [A-Za-z0-9._-]+.
func isKey(name string) bool { return name != "" && only(name, "._-") }
