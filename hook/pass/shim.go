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
		return
	case "create", "run":
		fd, err := syscall.Open(line.ConfigPath(), syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err != nil {
			return
		}
		config := readAll(fd)
		_ = syscall.Close(fd) // only read from
		if len(config) > MaxInput || !asksNothing(config, false) {
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
	const word = "runtime"
	for i := 0; i+len(word) <= len(text); i++ {
		if string(text[i:i+len(word)]) == word {
			return true
		}
	}
	return len(text) > MaxInput
}

// hostRoot reports whether this is root, and not by a mapping of users.
func hostRoot() bool {
	if syscall.Geteuid() != 0 {
		return false
	}
	fd, err := syscall.Open("/proc/self/uid_map", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	uids := readAll(fd)
	_ = syscall.Close(fd) // only read from
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
	fd, err := syscall.Open("/proc/self/environ", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return syscall.Environ()
	}
	text := readAll(fd)
	_ = syscall.Close(fd) // only read from
	return split(text)
}
