// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"

	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/spec/limit"
)

// capped is an output that takes no more than [limit.Output].
type capped struct {
	to   io.Writer
	size int
}

func (c *capped) Write(b []byte) (int, error) {
	if c.size += len(b); c.size > limit.Output {
		return 0, fault.New(fault.Annotation, "ask for fewer secrets", "there is more to show than %d bytes", limit.Output)
	}
	return c.to.Write(b)
}
