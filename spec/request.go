// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"strconv"
	"strings"
)

// Request is one item of a secrets.oci/from list: the name of one secret and
// what is wanted of it.
type Request struct {
	Scheme   string // "vault", "dict" or "dotenv" where pinned to one source; "" for the chain
	Name     string // without escapes; empty only with scheme dotenv: the directory's own .env
	Version  int    // 0 for the newest
	Keys     []Key  // empty for all keys
	Optional bool   // a miss is not an error; a refusal or an outage is
}

// Key is one selected, and so required, key of a secret.
type Key struct {
	Name string // the key in the secret
	Env  string // the variable it becomes; the same as Name unless renamed
}

// Pair is one variable of the inline secrets.oci/dict.
type Pair struct{ Name, Value string }

// Asked is everything that a container's annotations ask for.
type Asked struct {
	Requests []Request // in the order of the list; later wins
	Dict     []Pair    // applied last, sorted by name
}

// None reports whether the container asks for nothing at all.
func (a Asked) None() bool { return len(a.Requests) == 0 && len(a.Dict) == 0 }

// String is the request in the grammar of the annotation.
func (r Request) String() string {
	var b strings.Builder
	if r.Scheme != "" {
		b.WriteString(r.Scheme + ":")
	}
	b.WriteString(EscapeName(r.Name))
	if r.Version != 0 {
		b.WriteString("@" + strconv.Itoa(r.Version))
	}
	for _, k := range r.Keys {
		b.WriteString("#" + k.Name)
		if k.Env != k.Name || !IsVariable(k.Env) {
			b.WriteString("=" + k.Env)
		}
	}
	if r.Optional {
		b.WriteString("?")
	}
	return b.String()
}

// maxBrief is how much of a request stands in a message, in bytes.
const maxBrief = 256

// Brief is the request as errors name it: [Request.String], cut where that is long.
func (r Request) Brief() string {
	s := r.String()
	if len(s) > maxBrief {
		s = s[:maxBrief] + "..."
	}
	return s
}
