// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"strings"

	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/spec/jsontext"
)

// The annotations that tell crun where to write what hooks print (crun.1). It
// opens the file with its own rights, makes it where it is not there, and appends
// (src/libcrun/container.c, open_hooks_output): who chooses both the file and
// what a message quotes has root write it.
const (
	HookStderr = "run.oci.hooks.stderr"
	hookStdout = "run.oci.hooks.stdout"
)

// Stderr is the one file that those annotations may name beside a request: crun's
// own standard error, which crun's caller chose and not the container's author.
const Stderr = "/dev/stderr"

// Redirected refuses annotations by which crun writes what hooks print to
// another file than [Stderr]. Its error quotes nothing of them.
func Redirected(annotations map[string]string) error {
	for key, value := range annotations {
		if redirects(key, value) {
			return fault.New(fault.Annotation, "take the annotation away; "+HookStderr+" may be "+Stderr+", and nothing else",
				"annotations %s and %s: they have crun write what we say, as root, to a file of the container's choice", HookStderr, hookStdout)
		}
	}
	return nil
}

// Redirects reports whether [Redirected] refuses the document's annotations, or
// one that stands there twice. It is for documents with whatever else wrong.
func (d *Doc) Redirects() bool {
	for _, m := range d.root {
		if key, _ := jsontext.Unquote(m.Key.Of(d.b)); key != "annotations" || d.b[m.Value.Start] != '{' {
			continue
		}
		for _, a := range jsontext.Members(d.b, m.Value) {
			key, _ := jsontext.Unquote(a.Key.Of(d.b))
			value := ""
			if d.b[a.Value.Start] == '"' {
				value, _ = jsontext.Unquote(a.Value.Of(d.b))
			}
			if redirects(key, value) {
				return true
			}
		}
	}
	return false
}

func redirects(key, value string) bool { return isHookStream(key) && value != Stderr }

// isHookStream reports whether crun takes key for one of its annotations. It
// reads strings up to a NUL.
func isHookStream(key string) bool {
	key, _, _ = strings.Cut(key, "\x00")
	return key == HookStderr || key == hookStdout
}
