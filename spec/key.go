// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"slices"
	"strings"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

const (
	domain  = "secrets.oci"
	keyFrom = domain + "/from"
	keyDict = domain + "/dict"

	// A container's name has its place before the domain, where a Kubernetes key
	// has room for 253 characters, or after a dot, where it has room for 58.
	keyContainer = keyFrom + "."
)

// The annotations by which containerd and CRI-O (and podman, for a pod's infra
// container) say which container of a pod this is.
const (
	criName  = "io.kubernetes.cri.container-name"
	crioName = "io.kubernetes.container.name"

	criType     = "io.kubernetes.cri.container-type"
	criSandbox  = "io.kubernetes.cri.sandbox-id"
	crioType    = "io.kubernetes.cri-o.ContainerType"
	crioSandbox = "io.kubernetes.cri-o.SandboxID"
)

// target is what a key of ours is about.
type target struct {
	list      string // keyFrom or keyDict
	container string // the one that it is for; "" for all
}

// parseTarget understands a key that [IsOurs].
func parseTarget(text string) (t target, ok bool) {
	if text == keyFrom || text == keyDict {
		return target{list: text}, true
	}
	t.list = keyFrom
	if t.container, ok = strings.CutPrefix(text, keyContainer); ok {
		return t, isKey(t.container)
	}
	if t.container, ok = strings.CutSuffix(text, "."+keyFrom); ok {
		return t, isKey(t.container)
	}
	for _, t.list = range []string{keyFrom, keyDict} {
		if t.container, ok = strings.CutPrefix(text, t.list+"/"); ok {
			return t, isKey(t.container)
		}
	}
	return target{}, false
}

// isGenerated reports whether `podman kube generate` wrote a key of ours: it adds
// a slash and the container's name to the key of every annotation.
func isGenerated(text string) bool { return strings.Count(text, "/") > 1 }

// IsOurs reports whether an annotation is one of ours, or would be but for its
// letter case: that is a typo, and a typo must not start a bare container.
func IsOurs(text string) bool {
	prefix, _, ok := strings.Cut(text, "/")
	labels := strings.Split(prefix, ".")
	return ok && len(labels) > 1 && strings.EqualFold(strings.Join(labels[len(labels)-2:], "."), domain)
}

// isCut reports whether an annotation's key is the rest of a list that a front end
// cut in two: podman 4 makes `db` and `db#K=V` of `db,db#K=V`, and a quadlet of
// `db db#K=V`. It is so where it has an item with a # or one of our schemes.
func isCut(text string) bool {
	if !strings.ContainsAny(text, "#:") {
		return false
	}
	return slices.ContainsFunc(strings.FieldsFunc(text, isSeparator), func(item string) bool {
		name, _, keyed := strings.Cut(item, "#")
		scheme, rest, pinned := strings.Cut(name, ":")
		if pinned && slices.Contains(Schemes(), scheme) {
			return true
		}
		return keyed && !pinned && only(rest+name, "._-/@~?")
	})
}

// isKubernetes reports whether an annotation tells which container of a pod this is.
func isKubernetes(text string) bool {
	return slices.Contains([]string{criName, crioName, criType, criSandbox, crioType, crioSandbox}, text)
}

// IsSandbox reports whether annotations are those of a pod's sandbox, by the id of
// the container. Where people write annotations, they could write that it is one;
// but its id, which containerd and CRI-O write beside that, an engine makes up when
// they have written.
func IsSandbox(annotations map[string]string, id string) bool {
	return id != "" && (annotations[criType] == "sandbox" && annotations[criSandbox] == id ||
		annotations[crioType] == "sandbox" && annotations[crioSandbox] == id)
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

// unknownKey is the error for a secrets.oci/ key that is none, with the one
// that was probably meant.
func unknownKey(text string) error {
	prefix, name, _ := strings.Cut(text, "/")
	name = strings.ToLower(name)
	const before = "<container>." + keyFrom
	hint := "the keys are " + keyFrom + ", " + keyContainer + "<container>, " + before + " and " + keyDict
	switch {
	case distance(name, "from") <= 2 && !strings.EqualFold(prefix, domain):
		hint = "did you mean " + before + "?"
	case strings.HasPrefix(name, "from") && len(name) > len("froms"):
		hint = "did you mean " + keyContainer + "<container>?"
	case distance(name, "from") <= 2:
		hint = "did you mean " + keyFrom + "?"
	case distance(name, "dict") <= 2:
		hint = "did you mean " + keyDict + "?"
	}
	return fault.New(fault.Annotation, hint, "annotation %s: no such key", clip(text))
}
