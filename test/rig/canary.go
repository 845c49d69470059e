// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bytes"
	"crypto/rand"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Canary is a value that is found nowhere else in the world.
func Canary() string { return "canary-" + rand.Text() }

// Find gives the files below the directories that contain value, by name or
// by content. What vanishes during the search, or cannot be read by anybody
// (a socket), holds nothing.
func Find(tb testing.TB, value string, dirs ...string) []string {
	tb.Helper()
	var found []string
	for _, dir := range dirs {
		if _, err := os.Stat(dir); err != nil {
			tb.Fatalf("nothing to search: %v", err)
		}
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil //nolint:nilerr // it vanished
			}
			if target, err := os.Readlink(path); err == nil && bytes.Contains([]byte(target), []byte(value)) {
				found = append(found, path)
			}
			if !d.Type().IsRegular() {
				return nil
			}
			if b, err := os.ReadFile(path); err == nil && bytes.Contains(b, []byte(value)) {
				found = append(found, path)
			}
			return nil
		})
	}
	return found
}
