// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

// TestRow has what a server may call a lease.
func TestRow(t *testing.T) {
	var b strings.Builder
	row(&b, "web", "", "database/creds/web/\x1b]0;x\x07\r\u009b\t")
	if got, want := b.String(), "web\t-\tdatabase/creds/web/"+`\u001b]0;x\u0007\u000d\u009b\u0009`+"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
