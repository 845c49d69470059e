// SPDX-License-Identifier: Apache-2.0

package private

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"sync"
)

// extent is one line of a uid_map: first uid inside, first outside, and how
// many (user_namespaces(7)).
type extent struct{ inside, outside, count int64 }

// everything is the map of the first namespace, which maps each uid to itself.
var everything = []extent{{0, 0, 4294967295}}

// uids is the mapping through which this process sees uids; ok is false where
// it cannot be found out.
var uids = sync.OnceValues(func() (m []extent, ok bool) {
	b, err := os.ReadFile("/proc/self/uid_map")
	return parseMap(b), err == nil
})

// parseMap reads a uid_map. What is no line of one is left out.
func parseMap(text []byte) []extent {
	var m []extent
	for line := range bytes.Lines(text) {
		var n []int64
		for _, f := range bytes.Fields(line) {
			if v, err := strconv.ParseInt(string(f), 10, 64); err == nil {
				n = append(n, v)
			}
		}
		if len(n) == 3 {
			m = append(m, extent{n[0], n[1], n[2]})
		}
	}
	return m
}

// inUserNS reports whether this process sees uids through a mapping. Where
// that cannot be found out it says no, which is the strict answer.
func inUserNS() bool {
	m, ok := uids()
	return ok && !slices.Equal(m, everything)
}

// HostUID is the effective uid as the parent of this user namespace sees it;
// for the engines' namespaces that is the host. An uid that cannot be found
// out is not root's.
func HostUID() int {
	if m, ok := uids(); ok {
		return outside(m, os.Geteuid())
	}
	return os.Geteuid()
}

// outside looks uid up in a mapping; -1 if it is not there.
func outside(m []extent, uid int) int {
	for _, e := range m {
		if in := int64(uid) - e.inside; in >= 0 && in < e.count {
			return int(e.outside + in)
		}
	}
	return -1
}
