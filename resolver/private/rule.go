// SPDX-License-Identifier: Apache-2.0

package private

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// rule is what the mode of one kind of file may not have, and the mode to ask
// for instead.
type rule struct {
	never fs.FileMode
	wants string
	chmod string
}

var (
	secret    = rule{never: 0o026, wants: "0640 or 0600", chmod: "0640"}
	trusted   = rule{never: 0o022, wants: "0644 or stricter", chmod: "0644"}
	directory = rule{never: 0o022, wants: "0755 or stricter", chmod: "0755"}
)

// overflowUID is how the kernel shows owners that a user namespace has no
// number for, the host's root among them.
const overflowUID = 65534

// check refuses a file whose mode or owner leaves it to others. info is that
// of the opened file; also are owners that count besides.
func (r rule) check(name string, info fs.FileInfo, also ...uint32) error {
	if bad := info.Mode().Perm() & r.never; bad != 0 {
		return fault.New(fault.Refused, "chmod "+r.chmod+" "+name,
			"%s has mode %04o, so %s; it must have %s", name, info.Mode().Perm(), who(bad), r.wants)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fault.New(fault.Refused, "", "%s: its owner is not known", name)
	}
	if !Trusts(st.Uid, also...) {
		return fault.New(fault.Refused, "chown root "+name,
			"%s belongs to uid %d; it must belong to root or to uid %d", name, st.Uid, os.Geteuid())
	}
	return nil
}

// ownerOK reports whether a file of this owner is root's or the user's own.
func ownerOK(owner, euid uint32, inUserNS func() bool) bool {
	return owner == 0 || owner == euid || owner == overflowUID && inUserNS()
}

// Trusts reports whether what this user owns counts as root's or as the user's
// own, or is of one who counts besides.
func Trusts(owner uint32, also ...uint32) bool {
	return ownerOK(owner, uint32(os.Geteuid()), inUserNS) || slices.Contains(also, owner)
}

// who names those that the bits let in.
func who(bits fs.FileMode) string {
	var can []string
	for _, c := range []struct {
		bit  fs.FileMode
		text string
	}{{0o020, "its group can write it"}, {0o002, "others can write it"}, {0o004, "others can read it"}} {
		if bits&c.bit != 0 {
			can = append(can, c.text)
		}
	}
	return strings.Join(can, " and ")
}
