// SPDX-License-Identifier: Apache-2.0

package pass

import (
	"slices"
	"syscall"

	"github.com/oci-secrets/oci-secrets/hook/shim/argv"
	"github.com/oci-secrets/oci-secrets/resolver/config/runtimeline"
	"github.com/oci-secrets/oci-secrets/spec/jsontext"
)

// ShimName is what the runtime shim is called by. A dash and the name of a program
// may follow, which is then the real runtime.
const ShimName = "oci-secrets-runtime"

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
	path := ""
	if name := base(args[0]); name != ShimName {
		programs = []string{name[len(ShimName)+1:]}
	} else if named, ok := settingsRuntime(); !ok {
		return
	} else if named != "" {
		path = named
	}
	if path == "" {
		path = Find(programs)
	}
	if path != "" && isRuntime(path) {
		_ = syscall.Exec(path, append([]string{path}, args[1:]...), Environ())
	}
}

// runsBare reports whether the container of an exec was created without asking
// for anything. runc has its bundle in its state.json, crun a copy of its
// config.json.
func runsBare(line *argv.Line) bool {
	root, ok := argv.Last(line.Global, "root")
	if !ok || line.Rest == len(line.Args) || slices.ContainsFunc(line.Local, func(o argv.Option) bool { return !o.Known }) {
		return false
	}
	dir := root + "/" + line.Args[line.Rest]
	if state, ok := readFile(dir + "/state.json"); ok {
		if dir = BundleOfRunc(state); dir == "" || dir[0] != '/' {
			return false
		}
	}
	config, ok := readFile(dir + "/config.json")
	return ok && asksNothing(config, false)
}

// BundleOfRunc is the bundle in a state.json of runc's, where it is the last of
// the labels "name=value" (libcontainer/specconv, createLabels); "" where there is
// none.
func BundleOfRunc(state []byte) (bundle string) {
	const label = "bundle="
	var config jsontext.Span
	if _, err := jsontext.Scan(state, func(m jsontext.Member) {
		if string(m.Key.Of(state)) == `"config"` {
			config = m.Value
		}
	}); err != nil || state[config.Start] != '{' || config.Start == 0 {
		return ""
	}
	for _, m := range jsontext.Members(state, config) {
		if string(m.Key.Of(state)) != `"labels"` || state[m.Value.Start] != '[' {
			continue
		}
		for _, e := range jsontext.Elements(state, m.Value) {
			if state[e.Start] != '"' {
				continue
			}
			if text, _ := jsontext.Unquote(e.Of(state)); len(text) > len(label) && text[:len(label)] == label {
				bundle = text[len(label):]
			}
		}
	}
	return bundle
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

// IsShim reports whether the program was called as the runtime shim.
func IsShim(argv0 string) bool {
	name := base(argv0)
	return name == ShimName || len(name) > len(ShimName) && name[:len(ShimName)+1] == ShimName+"-"
}

func base(path string) string {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return path[i+1:]
		}
	}
	return path
}

// settingsRuntime is the real runtime that the settings name, "" where they name
// none. Where it is not plain whose settings count, or that nobody but root can
// write them, ok is false.
func settingsRuntime() (path string, ok bool) {
	file, named := syscall.Getenv("OCI_SECRETS_CONFIG")
	if !named || file == "" {
		if !hostRoot() {
			return "", false
		}
		file = "/etc/oci-secrets/config.toml"
	}
	fd, err := syscall.Open(file, syscall.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return "", err == syscall.ENOENT
	}
	var st, dir syscall.Stat_t
	err = syscall.Fstat(fd, &st)
	text := readAll(fd)
	_ = syscall.Close(fd) // only read from
	if err != nil || len(text) > MaxInput || st.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return "", false
	}
	if !mentions(text, "runtime") {
		return "", true
	}
	above := file[:len(file)-len(base(file))]
	if above == "" || syscall.Stat(above, &dir) != nil || !rootsAlone(st) || !rootsAlone(dir) {
		return "", false
	}
	if path = runtimeline.Path(text); path != "" && path[0] != '/' {
		return "", false
	}
	return path, true
}

// rootsAlone reports whether nobody but root can write a file.
func rootsAlone(st syscall.Stat_t) bool { return st.Uid == 0 && st.Mode&0o022 == 0 }

// hostRoot reports whether this is root, and not by a mapping of users.
func hostRoot() bool {
	if syscall.Geteuid() != 0 {
		return false
	}
	uids, _ := readFile("/proc/self/uid_map")
	// As the kernel writes it for the first namespace, and for no other.
	return string(uids) == "         0          0 4294967295\n"
}

// Find gives the absolute path of the first of the programs that is on PATH and
// not this one; "" where there is none.
func Find(programs []string) string {
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
			if path := dir + "/" + program; dir != "" && dir[0] == '/' && isRuntime(path) {
				return path
			}
		}
	}
	return ""
}

// isRuntime reports whether a file is a program, and not this one.
func isRuntime(path string) bool {
	var self, st syscall.Stat_t
	return syscall.Stat("/proc/self/exe", &self) == nil && syscall.Stat(path, &st) == nil &&
		st.Mode&syscall.S_IFMT == syscall.S_IFREG && st.Mode&0o111 != 0 && (st.Dev != self.Dev || st.Ino != self.Ino)
}

// Environ is the environment as this process was given it, also what is there
// twice.
func Environ() []string {
	text, ok := readFile("/proc/self/environ")
	if !ok {
		return syscall.Environ()
	}
	return split(text)
}
