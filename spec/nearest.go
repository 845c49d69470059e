// SPDX-License-Identifier: Apache-2.0

package spec

// Schemes are the sources that a request can be pinned to, in the order of the
// default chain.
func Schemes() []string { return []string{"vault", "dict", "dotenv"} }

// Nearest is the known word that was probably meant by a mistyped one; empty
// where none is near.
func Nearest(word string, known []string) string {
	best, at := "", len(word)/3+1 // one slip in three characters, and one more
	for _, k := range known {
		if d := distance(word, k); d <= at && (best == "" || d < at) {
			best, at = k, d
		}
	}
	return best
}
