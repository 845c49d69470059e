// SPDX-License-Identifier: Apache-2.0

// Package pass lets the containers that ask for nothing pass, before anything
// else of the program has been initialised.
//
// An engine runs the hook, the filter or the runtime shim for containers of all kinds, and most
// of them are none of our business; what that costs, every one of them pays.
// Go initialises all packages that are linked in, used or not, in the order of
// their import paths as far as their dependencies allow (Go specification,
// "Program initialization"). This package imports only what comes first, no os
// and no fmt, so its init runs before almost all others; a test holds it to
// that. It reads standard input, and where that asks for nothing beyond doubt
// it answers and exits. Everything else, every error included, it leaves to
// packages fast and main, which read the contract in full.
package pass

import (
	"syscall"

	"github.com/oci-secrets/oci-secrets/resolver/memory/place"
	"github.com/oci-secrets/oci-secrets/spec/jsontext"
)

// What was read from the command line and from standard input, for the
// packages that go on from here. Command is empty, and nothing was read, where
// the command line is not one of the plain ones: hook or
// precreate, at most --config, and for hook --keep.
var (
	Command string
	Config  string
	Keep    string
	Input   []byte
)

// MaxInput is far above any config.json or state; it keeps a wrong pipe from
// filling the memory.
const MaxInput = 64 << 20

func init() {
	args := commandLine()
	if len(args) > 0 && IsShim(args[0]) {
		alarm(lastSeconds)
		passOn(args)
		return
	}
	var ok bool
	if Command, Config, Keep, ok = plain(args); !ok {
		Command = ""
		return
	}
	alarm(lastSeconds)
	// What cannot be read is not a document either; package fast says so.
	Input = readAll(syscall.Stdin)
	if len(Input) > MaxInput {
		return
	}
	if Command == "hook" && forget(Input) {
		syscall.Exit(0)
	}
	if !asksNothing(Input, Command == "hook") {
		return
	}
	if Command == "precreate" && !writeAll(syscall.Stdout, Input) {
		syscall.Exit(1)
	}
	syscall.Exit(0)
}

// forget serves poststop, where state says so: it removes what was kept for the
// container (package keep). A file that is not there, or cannot be removed, is no
// reason to fail: runc reports a failed poststop hook as a failed delete, and
// engines then keep what belongs to a container that is gone. It is not all that
// there is to do where something was leased for the container (package lease), or
// where that cannot be told without the settings.
func forget(state []byte) (done bool) {
	var id string
	_, err := jsontext.Scan(state, func(m jsontext.Member) {
		if state[m.Value.Start] != '"' {
			return
		}
		value, _ := jsontext.Unquote(m.Value.Of(state))
		switch string(m.Key.Of(state)) {
		case `"status"`:
			done = value == "stopped"
		case `"id"`:
			id = value
		}
	})
	if err != nil || !done {
		return false
	}
	if Keep == "" {
		return false
	}
	_ = syscall.Unlink(Keep + "/" + place.Exec(id))
	var st syscall.Stat_t
	return syscall.Stat(Keep+"/"+place.Lease(id), &st) == syscall.ENOENT
}

// asksNothing reports whether input, a config.json or a state, asks for
// nothing beyond doubt. A state may leave the annotations out, so one without
// them is in doubt. It may not err in the other direction: where it says yes,
// package spec says so, too.
func asksNothing(input []byte, state bool) bool {
	var annotations []jsontext.Span
	doubt := false
	root, err := jsontext.Scan(input, func(m jsontext.Member) {
		switch {
		case string(m.Key.Of(input)) == `"annotations"`:
			annotations = append(annotations, m.Value)
		case !simple(m.Key.Of(input), "annotations"):
			doubt = true
		}
	})
	if err != nil || doubt || input[root.Start] != '{' || len(annotations) > 1 {
		return false
	}
	if len(annotations) == 0 {
		return !state
	}
	if input[annotations[0].Start] != '{' {
		return false
	}
	members := jsontext.Members(input, annotations[0])
	for _, m := range members {
		if !simple(m.Key.Of(input), "secrets.oci") {
			return false
		}
	}
	return len(members) > 0 || !state
}

// simple reports whether a key's literal is plain ASCII, without escapes, and
// does not contain word in any letter case.
func simple(literal []byte, word string) bool {
	for _, c := range literal {
		if c == '\\' || c >= 0x80 {
			return false
		}
	}
	return !mentions(literal, word)
}

// mentions reports whether text contains word, which is ASCII, in any letter
// case.
func mentions(text []byte, word string) bool {
	for i := 0; i+len(word) <= len(text); i++ {
		for j := 0; text[i+j]|0x20 == word[j]|0x20; {
			if j++; j == len(word) {
				return true
			}
		}
	}
	return false
}

// plain reads the command lines that are served here.
func plain(args []string) (command, config, keep string, ok bool) {
	if len(args) < 2 || args[1] != "hook" && args[1] != "precreate" {
		return "", "", "", false
	}
	command, args = args[1], args[2:]
	for len(args) > 0 {
		flag, value, attached := args[0], "", false
		for i := range len(flag) {
			if flag[i] == '=' {
				flag, value, attached = flag[:i], flag[i+1:], true
				break
			}
		}
		args = args[1:]
		if !attached && len(args) > 0 {
			value, args = args[0], args[1:]
		}
		// What looks like a flag is left to the command line, which knows --help and
		// a shell's question for completions.
		switch {
		case value == "" || value[0] == '-':
			return "", "", "", false
		case flag == "--config" && config == "":
			config = value
		case flag == "--keep" && keep == "" && command == "hook": // spec.KeepFlag
			keep = value
		default:
			return "", "", "", false
		}
	}
	return command, config, keep, true
}

// commandLine is os.Args, before package os has it; nil without a /proc.
func commandLine() []string {
	fd, err := syscall.Open("/proc/self/cmdline", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	line := readAll(fd)
	_ = syscall.Close(fd) // only read from
	return split(line)
}

// split gives the strings that each have a NUL behind them.
func split(text []byte) []string {
	var list []string
	begin := 0
	for i, c := range text {
		if c == 0 {
			list = append(list, string(text[begin:i]))
			begin = i + 1
		}
	}
	return list
}

// readAll reads to the end, or to one byte more than MaxInput.
func readAll(fd int) []byte {
	b := make([]byte, 0, 32<<10)
	for len(b) <= MaxInput {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := syscall.Read(fd, b[len(b):min(cap(b), MaxInput+1)])
		if err == syscall.EINTR {
			continue
		}
		if n <= 0 || err != nil {
			break
		}
		b = b[:len(b)+n]
	}
	return b
}

func writeAll(fd int, b []byte) bool {
	for len(b) > 0 {
		n, err := syscall.Write(fd, b)
		if err != nil && err != syscall.EINTR {
			return false
		}
		b = b[max(n, 0):]
	}
	return true
}
