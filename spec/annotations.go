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
)

const (
	keyFrom      = "secrets.oci/from"
	keyContainer = "secrets.oci/from." // and the container's name
	keyDict      = "secrets.oci/dict"
)

// The annotations by which containerd and CRI-O (and podman, for a pod's infra
// container) say which container of a pod this is.
const (
	criName  = "io.kubernetes.cri.container-name"
	crioName = "io.kubernetes.container.name"
	criType  = "io.kubernetes.cri.container-type"
	crioType = "io.kubernetes.cri-o.ContainerType"
)

const (
	maxAnnotation = 256 << 10 // bytes of all values together
	maxQuote      = 64        // bytes of the user's text in a message
	maxItems      = 1000      // of one list
)

// Parse gives what annotations ask for, by the grammar of README.md. The zero
// Asked is the answer for annotations without a secrets.oci/ key, and for a
// pod's sandbox. An error joins one fault for each thing that is wrong, each
// one line.
func Parse(annotations map[string]string) (Asked, error) {
	if annotations[criType] == "sandbox" || annotations[crioType] == "sandbox" {
		return Asked{}, nil
	}
	var keys []string
	size := 0
	for key, value := range annotations {
		if isOurs(key) {
			keys = append(keys, key)
			size += len(value)
		}
	}
	if len(keys) == 0 {
		return Asked{}, nil
	}
	if size > maxAnnotation {
		return Asked{}, fault.New(fault.Annotation, "",
			"the values of all secrets.oci/ annotations are %d bytes together, more than %d", size, maxAnnotation)
	}
	slices.Sort(keys)

	var p problems
	var asked Asked
	var own []Request
	var perContainer, hasOwn bool
	here, nameless := containerName(annotations)
	for _, key := range keys {
		value := annotations[key]
		container, forContainer := strings.CutPrefix(key, keyContainer)
		switch {
		case key == keyFrom:
			asked.Requests = p.list(key, value)
		case key == keyDict:
			asked.Dict = p.dict(value)
		case forContainer && isKey(container):
			perContainer = true
			requests := p.list(key, value) // another container's list must be right too
			if container == here {
				own, hasOwn = requests, true
			}
		default:
			p.Add(unknownKey(key))
		}
	}
	if perContainer && nameless != nil {
		p.Add(nameless)
	}
	if err := p.Err(); err != nil {
		return Asked{}, err
	}
	if hasOwn {
		asked.Requests = own
	}
	return asked, nil
}

// OfContainer gives the annotations that the hook of a container in a pod has to
// see to know what the container asks for, from what an engine has of the pod, of
// the container, and of its name. It is nil where the container asks for nothing.
// An error is one of [Parse].
func OfContainer(pod, container map[string]string, name string) (map[string]string, error) {
	seen := map[string]string{}
	for _, annotations := range []map[string]string{pod, container} { // the container's own wins
		for key, value := range annotations {
			if isOurs(key) {
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
	return seen, nil
}

// isOurs reports whether an annotation is one of ours, or would be but for its
// letter case: that is a typo, and a typo must not start a bare container.
func isOurs(key string) bool {
	domain, _, ok := strings.Cut(key, "/")
	return ok && strings.EqualFold(domain, "secrets.oci")
}

// isKubernetes reports whether Parse reads the annotation to know where it is.
func isKubernetes(key string) bool {
	return key == criName || key == crioName || key == criType || key == crioType
}

// containerName is the name of this container in its pod.
func containerName(annotations map[string]string) (string, error) {
	cri, crio := annotations[criName], annotations[crioName]
	switch {
	case cri == "" && crio == "":
		return "", fault.New(fault.Annotation, "use "+keyFrom,
			"annotation %s<container>: this container has no name in a pod", keyContainer)
	case cri != "" && crio != "" && cri != crio:
		return "", fault.New(fault.Annotation, "",
			"annotation %s<container>: %s and %s disagree about this container's name", keyContainer, criName, crioName)
	case cri != "":
		return cri, nil
	}
	return crio, nil
}

// list reads the value of a secrets.oci/from.
func (p *problems) list(key, value string) []Request {
	if strings.TrimFunc(value, isSeparator) == "" {
		p.Add(fault.New(fault.Annotation, "leave the annotation out if nothing is wanted",
			"annotation %s: the list is empty", clip(key)))
		return nil
	}
	if i := strings.IndexFunc(value, isControl); i >= 0 {
		p.Add(fault.New(fault.Annotation, "", "annotation %s: a control character at byte %d", clip(key), i))
		return nil
	}
	var requests []Request
	n := 0
	for part := range strings.SplitSeq(value, ",") {
		items := strings.FieldsFunc(part, isSeparator)
		if len(items) == 0 {
			n++
			p.Add(fault.New(fault.Annotation, "one comma separates two items",
				"annotation %s: item %d is empty", clip(key), n))
		}
		for _, item := range items {
			if n++; n > maxItems {
				p.Add(fault.New(fault.Annotation, "", "annotation %s: the list has more than %d items", clip(key), maxItems))
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

// isSeparator is the white space between items. No other kind is: what only
// looks like a blank is part of a name, and no name has it.
func isSeparator(r rune) bool { return r < 0x80 && jsontext.IsBlank(byte(r)) }

// isControl reports a control character that is not white space here.
func isControl(r rune) bool { return unicode.IsControl(r) && !isSeparator(r) }

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
