// SPDX-License-Identifier: Apache-2.0

package resolver

import "github.com/oci-secrets/oci-secrets/spec"

// Container is what is known, for certain and not from its annotations, of the
// container that secrets are for. The zero value is none, as for a person who
// asks what a container would get.
type Container struct {
	ID     string // as the runtime has it; "" before there is one
	Bundle string // as the runtime has it in its state
	Pid    int    // of the first process; 0 where it has none on this kernel

	// Spec reads the config.json, where somebody needs it; nil for none.
	Spec func() (*spec.Doc, error)
}
