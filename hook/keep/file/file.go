// SPDX-License-Identifier: Apache-2.0

// Package file says where the file of package keep is. It stands alone because
// poststop, which only removes it, is served before package os is initialised
// (see package pass).
package file

import "strconv"

// Folder is where the files are, below the state directory.
const Folder = "exec"

// Name is the name of a container's file below the state directory: a hash
// (FNV-1a) of its id, which may be longer than a name. Whose file it is stands
// in it.
func Name(id string) string {
	h := uint64(14695981039346656037)
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	return Folder + "/" + strconv.FormatUint(h, 16)
}
