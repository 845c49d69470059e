// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/spec/jsontext"
	"github.com/oci-secrets/oci-secrets/spec/limit"
)

const (
	maxQuote     = 64 // bytes of the user's text in a message
	maxGenerated = 63 // characters that podman 4 leaves of a value in `kube generate`
)

// none is the list that asks for nothing.
const none = "none:"

// Parse gives what annotations ask for, by the grammar of README.md. The zero
// Asked is the answer for annotations without a secrets.oci/ key. An error joins
// one fault for each thing that is wrong, each one line. What a pod's sandbox has
// in its annotations is for the pod's containers; see [IsSandbox].
func Parse(annotations map[string]string) (Asked, error) {
	var keys, cut []string
	size, names := 0, 0
	for text, value := range annotations {
		switch {
		case IsOurs(text):
			keys = append(keys, text)
			size += len(value)
			names += len(text)
		case isCut(text):
			cut = append(cut, text)
		}
	}
	if len(keys) == 0 {
		return Asked{}, nil
	}
	for what, n := range map[string]int{"values": size, "keys": names} {
		if n > limit.Annotations {
			return Asked{}, fault.New(fault.Annotation, "",
				"the %s of all secrets.oci/ annotations are %d bytes together, more than %d", what, n, limit.Annotations)
		}
	}
	if err := Redirected(annotations); err != nil { // alone: where it is told, nothing of the annotations may be
		return Asked{}, err
	}
	slices.Sort(keys)
	slices.Sort(cut)

	var p problems
	requests, dicts, texts := map[target][]Request{}, map[target][]Pair{}, map[target]string{}
	here, nameless := containerName(annotations)
	var perContainer bool
	for _, text := range keys {
		t, ok := parseTarget(text)
		if !ok {
			p.Add(unknownKey(text))
			continue
		}
		switch {
		case texts[t] != "":
			p.Add(fault.New(fault.Annotation, "keep one of the two", "annotation %s: the same is in %s", clip(text), clip(texts[t])))
		case isGenerated(text):
			p.generated(t, text, annotations[text], nameless)
		case t.container != "":
			perContainer = true
		}
		texts[t] = text
		if t.list == keyDict {
			dicts[t] = p.dict(text, annotations[text])
		} else {
			requests[t] = p.list(text, annotations[text]) // another container's list must be right, too
		}
	}
	if perContainer && nameless != nil {
		p.Add(nameless)
	}
	for _, text := range cut {
		p.Add(fault.New(fault.Annotation, "write + between items: podman 4 cuts an annotation at commas, and a quadlet at blanks",
			"annotation %s: it is the rest of a list that was cut in two", clip(text)))
	}
	if err := p.Err(); err != nil {
		return Asked{}, err
	}
	of := func(list string) target {
		if own := (target{list, here}); texts[own] != "" {
			return own
		}
		return target{list: list}
	}
	return Asked{Requests: requests[of(keyFrom)], Dict: dicts[of(keyDict)]}, nil
}

// generated checks what `podman kube generate` made of an annotation. It names the
// container in the key, and `podman kube play` then gives the annotation to all
// containers of the pod and tells none of them its name.
func (p *problems) generated(t target, text, value string, nameless error) {
	if nameless != nil {
		p.Add(fault.New(fault.Annotation, "take /"+clip(t.container)+" off the key, and the whole pod gets it",
			"annotation %s: it is for the container %s, and this container has no name in a pod", clip(text), clip(t.container)))
	}
	if t.list == keyFrom && utf8.RuneCountInString(value) == maxGenerated {
		p.Add(fault.New(fault.Annotation, "write the whole list under another key, "+keyFrom+" or "+keyContainer+clip(t.container),
			"annotation %s: the list has %d characters, and podman 4 cuts a longer one there", clip(text), maxGenerated))
	}
}

// OfContainer gives the annotations that the hook of a container in a pod has to
// see to know what the container asks for, from what an engine has of the pod, of
// the container, and of its name. It is nil where the container asks for nothing.
// An error is one of [Parse].
func OfContainer(pod, container map[string]string, name string) (map[string]string, error) {
	seen := map[string]string{}
	for _, annotations := range []map[string]string{pod, container} { // the container's own wins
		for key, value := range annotations {
			if IsOurs(key) || isCut(key) {
				seen[key] = value
			}
		}
	}
	if len(seen) == 0 {
		return nil, nil
	}
	for key, value := range container {
		if isKubernetes(key) {
			seen[key] = value
		}
	}
	if seen[criName] == "" && seen[crioName] == "" && name != "" {
		seen[criName] = name
	}
	if asked, err := Parse(seen); err != nil || asked.None() {
		return nil, err
	}
	for _, annotations := range []map[string]string{pod, container} { // which ones reach the runtime is the engine's choice
		if err := Redirected(annotations); err != nil {
			return nil, err
		}
	}
	return seen, nil
}

// list reads the value of a secrets.oci/from.
func (p *problems) list(key, value string) []Request {
	switch strings.TrimFunc(value, isBlank) {
	case none:
		return nil
	case "":
		p.Add(fault.New(fault.Annotation, "leave the annotation out if nothing is wanted; "+none+" exempts one container of a pod",
			"annotation %s: the list is empty", clip(key)))
		return nil
	}
	if i := strings.IndexFunc(value, isControl); i >= 0 {
		p.Add(fault.New(fault.Annotation, "", "annotation %s: a control character at byte %d", clip(key), i))
		return nil
	}
	var requests []Request
	n, picked := 0, 0
	for part := range strings.SplitSeq(strings.ReplaceAll(value, ",", "+"), "+") {
		items := strings.FieldsFunc(part, isBlank)
		if len(items) == 0 {
			n++
			p.Add(fault.New(fault.Annotation, "one + separates two items",
				"annotation %s: item %d is empty", clip(key), n))
		}
		for _, item := range items {
			if n++; n > limit.Names {
				p.Add(fault.New(fault.Annotation, "", "annotation %s: the list has more than %d items", clip(key), limit.Names))
				return nil
			}
			if picked += strings.Count(item, "#"); picked > limit.Keys {
				p.Add(fault.New(fault.Annotation, "ask for whole secrets", "annotation %s: the list picks more than %d keys", clip(key), limit.Keys))
				return nil
			}
			r, err := parseItem(item)
			if err != nil {
				p.Add(fmt.Errorf("annotation %s: item %d, %s: %w", clip(key), n, clip(item), err))
				continue
			}
			requests = append(requests, r)
		}
	}
	return requests
}

// isBlank is the white space between items. No other kind is: what only looks
// like a blank is part of a name, and no name has it.
func isBlank(r rune) bool { return r < 0x80 && jsontext.IsBlank(byte(r)) }

// isSeparator is all that can stand between two items.
func isSeparator(r rune) bool { return r == '+' || r == ',' || isBlank(r) }

// isControl reports a control character that is not white space here.
func isControl(r rune) bool { return unicode.IsControl(r) && !isBlank(r) }

// problems is what is wrong with the annotations.
type problems struct{ fault.List }

// clip makes a message out of the user's text: bare where it is harmless,
// quoted where it is not, cut where it is long.
func clip(s string) string {
	cut := len(s) > maxQuote
	if cut {
		n := maxQuote
		for n > maxQuote-utf8.UTFMax && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	if s == "" || !only(s, "._-/") {
		s = strconv.Quote(s)
	}
	if cut {
		s += "..."
	}
	return s
}
