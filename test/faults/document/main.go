// SPDX-License-Identifier: Apache-2.0

// Command document prints docs/faults.md, from what the tests left in the
// directory that it is given.
package main

import (
	"fmt"
	"os"

	"github.com/oci-secrets/oci-secrets/test/faults"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: document DIR")
		os.Exit(2)
	}
	text, err := faults.Document(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "document:", err)
		os.Exit(1)
	}
	_, _ = os.Stdout.WriteString(text) // make looks at what came
}
