// SPDX-License-Identifier: Apache-2.0

package pass

import (
	"slices"
	"syscall"

	"github.com/oci-secrets/oci-secrets/hook/shim/argv"
)

// shimName is the name of the runtime shim (shim.Name).
const shimName = "oci-secrets-runtime"

// passOn becomes the real runtime where the shim has nothing else to do beyond
// doubt: for all commands but those that create a container or a process in one,
// and for containers that ask for nothing. It comes back where there is a doubt,
// or anything to say; package shim knows it all.
func passOn(args []string) {
	line := argv.Parse(args[1:])
	switch line.Command {
	case "exec":
		if !runsBare(line) {
			return
		}
	case "create", "run":
		if config, ok := readFile(line.ConfigPath()); !ok || !asksNothing(config, false) {
			return
		}
	}
	programs := []string{"runc", "crun"}
	if name := base(args[0]); name != shimName {
		programs = []string{name[len(shimName)+1:]}
	} else if mayNameRuntime() {
		return
	}
	if path := find(programs); path != "" {
		_ = syscall.Exec(path, append([]string{path}, args[1:]...), environ())
	}
}

// runsBare reports whether the container of an exec was created without asking
// for anything. runc has its annotations among the labels of its state.json, with
// no letter of theirs escaped; crun has a copy of its config.json.
func runsBare(line *argv.Line) bool {
	root, ok := argv.Last(line.Global, "root")
	if !ok || line.Rest == len(line.Args) || slices.ContainsFunc(line.Local, func(o argv.Option) bool { return !o.Known }) {
		return false
	}
	dir := root + "/" + line.Args[line.Rest] + "/"
	if state, ok := readFile(dir + "state.json"); ok {
		return !mentions(state, "secrets.oci")
	}
	config, ok := readFile(dir + "config.json")
	return ok && asksNothing(config, false)
}

// readFile reads a file that is not empty, and not larger than what is read.
func readFile(path string) (text []byte, ok bool) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, false
	}
	text = readAll(fd)
	_ = syscall.Close(fd) // only read from
	return text, len(text) > 0 && len(text) <= MaxInput
}

// isShim reports whether the program was called as the runtime shim.
func isShim(argv0 string) bool {
	name := base(argv0)
	return name == shimName || len(name) > len(shimName) && name[:len(shimName)+1] == shimName+"-"
}

func base(path string) string {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return path[i+1:]
		}
	}
	return path
}

// mayNameRuntime reports whether the settings may say which runtime is the real
// one: where there are some, and the word is in them. Those of a user who is not
// the host's root are not looked for here.
func mayNameRuntime() bool {
	path, named := syscall.Getenv("OCI_SECRETS_CONFIG")
	if !named || path == "" {
		if !hostRoot() {
			return true
		}
		path = "/etc/oci-secrets/config.toml"
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return err != syscall.ENOENT
	}
	text := readAll(fd)
	_ = syscall.Close(fd) // only read from
	return len(text) > MaxInput || mentions(text, "runtime")
}

// hostRoot reports whether this is root, and not by a mapping of users.
func hostRoot() bool {
	if syscall.Geteuid() != 0 {
		return false
	}
	uids, _ := readFile("/proc/self/uid_map")
	// As the kernel writes it for the first namespace, and for no other.
	return string(uids) == "         0          0 4294967295\n"
}

// find gives the absolute path of the first of the programs that is on PATH and
// not this one; "" where there is none.
func find(programs []string) string {
	var self syscall.Stat_t
	if syscall.Stat("/proc/self/exe", &self) != nil {
		return ""
	}
	search, _ := syscall.Getenv("PATH")
	if search == "" {
		search = argv.DefaultPath
	}
	for _, program := range programs {
		for rest := search; rest != ""; {
			dir := rest
			if i := slices.Index([]byte(rest), ':'); i >= 0 {
				dir, rest = rest[:i], rest[i+1:]
			} else {
				rest = ""
			}
			if dir == "" || dir[0] != '/' {
				continue
			}
			path := dir + "/" + program
			var st syscall.Stat_t
			if syscall.Stat(path, &st) == nil && st.Mode&syscall.S_IFMT == syscall.S_IFREG && st.Mode&0o111 != 0 &&
				(st.Dev != self.Dev || st.Ino != self.Ino) {
				return path
			}
		}
	}
	return ""
}

// environ is the environment as this process was given it, also what is there
// twice.
func environ() []string {
	text, ok := readFile("/proc/self/environ")
	if !ok {
		return syscall.Environ()
	}
	return split(text)
}
