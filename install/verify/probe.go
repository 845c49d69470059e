// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/oci-secrets/oci-secrets/resolver/throwaway"
)

// ProbeCommand is the hidden command that the throw-away containers run.
const ProbeCommand = "verify-probe"

// lifetime bounds a container whose verify was killed.
const lifetime = 5 * time.Minute

// Probe is the containers' program. It prints a digest of the variable, and
// with wait it then stays until it is told to end.
func Probe(ctx context.Context, w io.Writer, wait bool) error {
	if _, err := fmt.Fprintln(w, digest(os.Getenv(throwaway.Variable))); err != nil || !wait {
		return err
	}
	select {
	case <-ctx.Done():
	case <-time.After(lifetime):
	}
	return nil
}
