// SPDX-License-Identifier: Apache-2.0

package start

import (
	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// Harden makes this process a place where values may pass through: it leaves
// no core dump and is unreadable for other processes of its user.
func Harden() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fault.New(fault.Delivery, "", "make this process not dumpable: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fault.New(fault.Delivery, "", "forbid core dumps: %w", err)
	}
	return nil
}

// LockMemory keeps the memory of this process, from the moment it is used, out
// of the swap. It is refused to a rootless hook, whose RLIMIT_MEMLOCK is less
// than what any Go program reserves: there a value can reach the swap while the
// hook runs (SECURITY.md). The filter does not call it: what it prints is
// written to a disk.
func LockMemory() {
	_ = unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT)
}
