// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"cmp"
	"encoding/json"
	"errors"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/spec"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// workload is who a container is to Kubernetes. It stands in the token of its
// service account, as the kubelet wrote it into a volume of the pod; what
// annotations say of it is not asked.
type workload struct {
	token              resolver.Value
	namespace, account string
}

func (a Auth) checkWorkload() error {
	for _, p := range []struct{ key, path string }{{"workload_token", a.WorkloadToken}, {"kubelet", a.Kubelet}} {
		if p.path != "" && !path.IsAbs(p.path) {
			return settings("vault: %s %q: it must be an absolute path", p.key, p.path)
		}
	}
	return nil
}

// workload finds the container's workload, once. Whoever needs it says so before
// an error.
func (s *Source) workload() (*workload, error) {
	s.facts.found.Do(func() {
		w, err := s.findWorkload()
		s.facts.workload = func() (*workload, error) { return w, err }
	})
	return s.facts.workload()
}

func (s *Source) findWorkload() (*workload, error) {
	if s.container.Spec == nil {
		return nil, fault.New(fault.Delivery, "explain takes --bundle DIR for a container", "there is no container here, and so no workload identity")
	}
	doc, err := s.container.Spec()
	if err != nil {
		return nil, err
	}
	mounts, err := doc.Mounts()
	if err != nil {
		return nil, err
	}
	token := path.Clean(cmp.Or(s.config.Auth.WorkloadToken, serviceAccountToken))
	source, name, err := volumeOf(mounts, token)
	if err != nil {
		return nil, err
	}
	volume, pod, err := openVolume(filepath.Clean(cmp.Or(s.config.Auth.Kubelet, "/var/lib/kubelet")), source)
	if err != nil {
		return nil, err
	}
	defer func() { _ = volume.Close() }() // only read from
	jwt, err := readProjected(volume, source, name)
	if err != nil {
		return nil, err
	}
	at := filepath.Join(source, name)
	w, from, err := parseWorkload(jwt)
	if err != nil {
		return nil, noWorkload("", "%s: %s", at, err)
	}
	if from.pod != pod {
		return nil, noWorkload("", "%s is in the volume of pod %s, and is the token of another pod", at, pod)
	}
	if want := s.config.Auth.WorkloadIssuer; want != "" && from.issuer != want {
		return nil, noWorkload("", "%s is a token of the issuer %q, and workload_issuer is %q", at, clean(from.issuer), want)
	}
	said := engineSays(doc)
	if said[cgroup] == "" {
		return nil, noWorkload("", "nothing shows that it is of pod %s, whose volume it mounts: its control group (linux.cgroupsPath) is none that a kubelet gives to a pod", pod)
	}
	for place, says := range said {
		if strings.ReplaceAll(says, "-", "_") != strings.ReplaceAll(pod, "-", "_") {
			return nil, noWorkload("", "the engine says with %s that the container is of another pod than %s, whose volume it mounts", place, pod)
		}
	}
	return w, nil
}

// podGroup is the pod's uid in the control group that a kubelet gives to a pod, by
// each of its drivers: kubepods/burstable/podUID, kubepods-burstable-podUID.slice
// where - is _. What an engine adds is behind it, and of its own making. It is
// compiled where a workload is asked for.
const podGroup = `(?:^|/)(?:kubepods(?:/[a-z]+)?/pod([A-Za-z0-9_-]+)(?:/|$)|(?:[^:/]+-)?kubepods(?:-[a-z]+)?-pod([A-Za-z0-9_]+)\.slice(?:[:/]|$))`

// cgroup is where an engine says in config.json which control group a container
// gets.
const cgroup = "cgroupsPath"

// engineSays gives the pod's uid as the engine has it from the kubelet, by the
// place where it says so. A pod that may mount what it likes of the host could
// mount another one's volume; so the control group must say the same. containerd
// and CRI-O have that from the kubelet, and a pod's author has no word in it.
// Annotations have the names of those that engines write, and under runc or podman
// they are anybody's: so they can contradict, and prove nothing. Nothing else of
// these places is used, and one that cannot be read says nothing.
func engineSays(doc *spec.Doc) map[string]string {
	said := map[string]string{}
	if text, ok := member(doc, "linux", cgroup); ok {
		if m := regexp.MustCompile(podGroup).FindStringSubmatch(text); m != nil {
			said[cgroup] = m[1] + m[2]
		}
	}
	const kubelet, containerd, crio = "io.kubernetes.pod.uid", "io.kubernetes.cri.sandbox-uid", "io.kubernetes.cri-o.Labels"
	for _, key := range []string{containerd, kubelet} {
		if text, ok := member(doc, "annotations", key); ok {
			said[key] = text
		}
	}
	if text, ok := member(doc, "annotations", crio); ok {
		var labels map[string]string
		if json.Unmarshal([]byte(text), &labels) == nil && labels[kubelet] != "" {
			said[crio] = labels[kubelet]
		}
	}
	return said
}

// member is a string of a document.
func member(doc *spec.Doc, path ...string) (text string, ok bool) {
	literal, ok, err := doc.Member(path...)
	return text, ok && err == nil && json.Unmarshal([]byte(literal), &text) == nil
}

// noWorkload is the fault of a container that has no workload identity, or not
// one that can be believed. There is no other to log in with: that of the host
// may do more.
func noWorkload(hint, format string, args ...any) error {
	return fault.New(fault.Refused, hint, "the container has no workload identity: "+format, args...).Because(fault.Denied)
}

// volumeOf finds the directory of the host's that a container sees above token,
// and the name of token in it.
func volumeOf(mounts []spec.Mount, token string) (source, name string, err error) {
	for _, m := range slices.Backward(mounts) { // a later one lies over those before it
		destination := path.Clean(m.Destination)
		name, below := strings.CutPrefix(token, strings.TrimSuffix(destination, "/")+"/")
		switch {
		case !path.IsAbs(destination) || !below && destination != token:
			continue
		case !below || m.Type != "bind":
			return "", "", noWorkload("", "what is mounted at %s is not a volume that the kubelet projected", clean(destination))
		}
		return m.Source, name, nil
	}
	return "", "", noWorkload("set automountServiceAccountToken for the pod, or workload_token to where it has its token", "nothing is mounted above %s", token)
}

// tokenOrigin is who gave a service-account token, and to which pod.
type tokenOrigin struct{ issuer, pod string }

// parseWorkload reads what a service-account token says.
func parseWorkload(jwt string) (w *workload, from tokenOrigin, err error) {
	c, err := claimsOf(jwt)
	if err != nil {
		return nil, tokenOrigin{}, err
	}
	var k struct {
		Namespace      string `json:"namespace"`
		Pod            struct{ UID string }
		ServiceAccount struct{ Name string }
	}
	if c.Kubernetes == nil || json.Unmarshal(c.Kubernetes, &k) != nil || k.Namespace == "" || k.Pod.UID == "" || k.ServiceAccount.Name == "" {
		return nil, tokenOrigin{}, errors.New("it is not the token of a service account that is bound to a pod")
	}
	issuer, _ := c.Issuer.(string) // or it is none
	return &workload{resolver.NewValue(jwt), k.Namespace, k.ServiceAccount.Name}, tokenOrigin{issuer, k.Pod.UID}, nil
}
