// SPDX-License-Identifier: Apache-2.0

package start

import (
	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// Harden makes this process a place where values may pass through: it leaves
// no core dump and is unreadable for other processes of its user. Where it may,
// it also keeps its memory from being swapped; a rootless hook may not lock
// more than RLIMIT_MEMLOCK, so there a value can reach the swap while the hook
// runs (SECURITY.md).
func Harden() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fault.New(fault.Delivery, "", "make this process not dumpable: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fault.New(fault.Delivery, "", "forbid core dumps: %w", err)
	}
	return nil
}
