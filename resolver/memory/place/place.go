// SPDX-License-Identifier: Apache-2.0

// Package place says where the files of a container are, below the state
// directory (package memory). It stands alone because poststop is served before
// package os is initialised (see package pass).
package place

import "strconv"

// The folders below the state directory.
const (
	Execs  = "exec"   // what containers got, for exec: package keep
	Leases = "leases" // what was leased for them: package lease
	Vault  = "vault"  // tokens, and what is known of a Vault: package vault
)

// Exec is the file with what a container got.
func Exec(id string) string { return Execs + "/" + hash(id) }

// Lease is the folder with the records of a container's leases. It is there
// only where there are some.
func Lease(id string) string { return Leases + "/" + hash(id) }

// hash makes a name (FNV-1a) of a container's id, which may be longer than a
// name. Whose file it is stands in it.
func hash(id string) string {
	h := uint64(14695981039346656037)
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	return strconv.FormatUint(h, 16)
}
