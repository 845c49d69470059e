// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/spec/jsontext"
)

// maxVariable is the kernel's MAX_ARG_STRLEN: the longest NAME=value that
// execve takes, with its NUL.
const maxVariable = 131072

// reserved are the variables that change which code a process loads or runs,
// or whom it talks to. README.md documents the list; a * stands for any ending.
var reserved = [...]string{
	// the dynamic linker and the C library
	"LD_*", "GLIBC_TUNABLES", "GCONV_PATH", "GETCONF_DIR", "NLSPATH", "LOCPATH",
	"HOSTALIASES", "LOCALDOMAIN", "RES_OPTIONS", "RESOLV_HOST_CONF",
	// shells
	"PATH", "IFS", "ENV", "BASH_ENV", "SHELLOPTS", "BASHOPTS", "PS4", "PROMPT_COMMAND", "ZDOTDIR",
	// Python, Perl, Ruby, Node.js, PHP, Lua, Erlang, Tcl
	"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONUSERBASE", "PYTHONBREAKPOINT", "PYTHONWARNINGS",
	"PERL5OPT", "PERL5LIB", "PERLLIB", "PERL5DB",
	"RUBYOPT", "RUBYLIB",
	"NODE_OPTIONS", "NODE_PATH",
	"PHPRC", "PHP_INI_SCAN_DIR",
	"LUA_INIT*", "LUA_PATH*", "LUA_CPATH*",
	"ERL_FLAGS", "ERL_AFLAGS", "ERL_ZFLAGS", "ERL_LIBS",
	"TCLLIBPATH",
	// Java and .NET
	"JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH",
	"DOTNET_STARTUP_HOOKS", "DOTNET_ADDITIONAL_DEPS", "CORECLR_PROFILER*", "CORECLR_ENABLE_PROFILING",
	// libraries and tools that load or run what they are told to
	"OPENSSL_CONF", "OPENSSL_ENGINES", "OPENSSL_MODULES",
	"GIT_SSH", "GIT_SSH_COMMAND", "GIT_EXEC_PATH", "GIT_PROXY_COMMAND",
}

// CheckName reports whether a secret may set the variable called name. It must
// be a variable name, and not one of the reserved ones unless allow, the
// operator's list, has it literally.
func CheckName(name string, allow []string) error {
	if !IsVariable(name) {
		return notVariable(name)
	}
	if isReserved(name) && !slices.Contains(allow, name) {
		return fault.New(fault.Annotation, "give the key another name, or let the operator add it to allow_names",
			"variable %s is reserved: it changes how a process finds or runs code", clip(name))
	}
	return nil
}

// CheckVariable reports whether an environment can carry the variable. The
// error names it and its size, never its value.
func CheckVariable(name, value string) error {
	if strings.IndexByte(value, 0) >= 0 {
		return fault.New(fault.Annotation, "keep binary values in base64",
			"variable %s: the value has a NUL byte, which no environment can carry", clip(name))
	}
	if n := len(name) + len("=") + len(value) + len("\x00"); n > maxVariable {
		return fault.New(fault.Annotation, "",
			"variable %s: NAME=value is %d bytes with its NUL, and the kernel takes at most %d", clip(name), n, maxVariable)
	}
	return nil
}

func isReserved(name string) bool {
	return slices.ContainsFunc(reserved[:], func(r string) bool {
		prefix, wild := strings.CutSuffix(r, "*")
		return name == r || wild && strings.HasPrefix(name, prefix)
	})
}

// IsVariable reports whether name is [A-Za-z_][A-Za-z0-9_]*.
func IsVariable(name string) bool {
	return name != "" && !jsontext.IsDigit(name[0]) && only(name, "_")
}

// notVariable is the error for a key that cannot be a variable as it is. It
// shows only what looks like a key: where a value was pasted over several lines,
// or the two were swapped, the value stands in the key's place.
func notVariable(name string) error {
	if !isKey(name) || len(name) > maxQuote {
		return fault.New(fault.Annotation, "", "a key of %d bytes is not a variable name, which is letters, digits and _", len(name))
	}
	fits := strings.Map(func(r rune) rune {
		if r < 0x80 && only(string(r), "") {
			return r
		}
		return '_'
	}, strings.ToUpper(name))
	if jsontext.IsDigit(fits[0]) {
		fits = "_" + fits
	}
	return fault.New(fault.Annotation, "a request can rename it: #"+name+"="+fits,
		"%s is not a variable name, which is letters, digits and _", clip(name))
}

// ShowKey is a source's key as an error may print it: in quotes where it looks
// like a key, and otherwise no more than its size.
func ShowKey(key string) string {
	if isKey(key) && len(key) <= maxQuote {
		return strconv.Quote(key)
	}
	return fmt.Sprintf("of %d bytes", len(key))
}

// ShowName is ShowKey for the name of a secret, whose parts a slash may join.
func ShowName(name string) string {
	if isKey(strings.ReplaceAll(name, "/", "")) && len(name) <= maxQuote {
		return strconv.Quote(name)
	}
	return fmt.Sprintf("of %d bytes", len(name))
}

// only reports whether s is letters, digits and the bytes of extra.
func only(s, extra string) bool {
	for i := range len(s) {
		c := s[i]
		if !jsontext.IsDigit(c) && !('a' <= c && c <= 'z') && !('A' <= c && c <= 'Z') && strings.IndexByte(extra, c) < 0 {
			return false
		}
	}
	return true
}
