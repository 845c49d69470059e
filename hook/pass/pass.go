// SPDX-License-Identifier: Apache-2.0

// Package pass lets the containers that ask for nothing pass, before anything
// else of the program has been initialised.
//
// An engine runs the hook or the filter for containers of all kinds, and most
// of them are none of our business; what that costs, every one of them pays.
// Go initialises all packages that are linked in, used or not, in the order of
// their import paths as far as their dependencies allow (Go specification,
// "Program initialization"). This package imports next to nothing, so its init
// runs before those of packages fast and main. It reads standard input, and
// where that does not ask for secrets it answers and exits. Everything else,
// every error included, it leaves to them.
package pass

import (
	"io"
	"os"
	"strings"

	"github.com/oci-secrets/oci-secrets/spec"
)

// What was read from the command line and from standard input, for the
// packages that go on from here. Command is empty where the command line is
// not one of the plain ones: hook or precreate, and at most --config.
var (
	Command string
	Config  string
	Input   []byte
)

// MaxInput is far above any config.json or state; it keeps a wrong pipe from
// filling the memory.
const MaxInput = 64 << 20

func init() {
	var ok bool
	if Command, Config, ok = plain(os.Args); !ok {
		Command = ""
		return
	}
	var err error
	if Input, err = io.ReadAll(io.LimitReader(os.Stdin, MaxInput+1)); err != nil || len(Input) > MaxInput {
		return
	}
	if !asksNothing(Input) {
		return
	}
	if Command == "precreate" {
		if _, err := os.Stdout.Write(Input); err != nil {
			return
		}
	}
	os.Exit(0)
}

// asksNothing reports whether doc, a config.json or a state, has annotations
// and none of them is ours. A document without any tells nothing: a state may
// leave them out.
func asksNothing(input []byte) bool {
	doc, err := spec.ParseDoc(input)
	if err != nil {
		return false
	}
	annotations, err := doc.Annotations()
	if err != nil || Command == "hook" && len(annotations) == 0 {
		return false
	}
	asked, err := spec.Parse(annotations)
	return err == nil && asked.None()
}

// plain reads the command lines that are served here.
func plain(args []string) (command, config string, ok bool) {
	if len(args) < 2 || args[1] != "hook" && args[1] != "precreate" {
		return "", "", false
	}
	rest := args[2:]
	switch len(rest) {
	case 0:
		return args[1], "", true
	case 1:
		config, ok = strings.CutPrefix(rest[0], "--config=")
	case 2:
		config, ok = rest[1], rest[0] == "--config"
	}
	return args[1], config, ok && config != ""
}
