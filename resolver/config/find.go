// SPDX-License-Identifier: Apache-2.0

package config

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"github.com/oci-secrets/oci-secrets/resolver/private"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// The places where settings are looked for.
const (
	Env        = "OCI_SECRETS_CONFIG" // names the file
	systemFile = "/etc/oci-secrets/config.toml"
)

// Find gives the path of the settings: path itself, else what
// $OCI_SECRETS_CONFIG names, else, for a user who is not root on the host, the
// one in oci-secrets below the user's configuration directory if there is such
// a directory, else the one in /etc/oci-secrets. named says that somebody named it, so that it must exist.
func Find(path string) (found string, named bool, err error) {
	if path == "" {
		path = os.Getenv(Env)
	}
	if path != "" {
		abs, err := filepath.Abs(path)
		if err != nil {
			return "", true, fault.New(fault.Settings, "give an absolute path", "settings %s: the current directory is gone", path)
		}
		return abs, true, nil
	}
	dir, err := userDirectory()
	if err != nil {
		return "", false, err
	}
	if dir != "" {
		file := filepath.Join(dir, "oci-secrets", "config.toml")
		if _, err := os.Stat(filepath.Dir(file)); err == nil {
			return file, false, nil
		}
	}
	return systemFile, false, nil
}

// userDirectory is the directory of the user's configuration, for a user who is
// not root on the host.
func userDirectory() (string, error) { return userPlace("XDG_CONFIG_HOME", ".config") }

// libDirectory is where files are that stay; "" where that cannot be known.
func libDirectory() string {
	dir, err := userPlace("XDG_STATE_HOME", ".local/state")
	switch {
	case err != nil:
		return ""
	case dir != "":
		return filepath.Join(dir, "oci-secrets")
	}
	return "/var/lib/oci-secrets"
}

// errNoHome says that nobody tells what a user's home is.
var errNoHome error = fault.New(fault.Settings, "name the settings with --config, as `oci-secrets hook-config` and `install podman --rootless` do",
	"settings: where this user's are is not known: HOME is not set, and /etc/passwd has no entry for the user")

// userPlace is the directory that a variable of the XDG specification names, or
// what stands for it, for a user who is not root on the host. A rootless
// engine's hook is uid 0 in the engine's user namespace, and may have no HOME:
// then the password file has it, but for users that only a name service knows.
// The settings of such a user are not silently those of the system.
func userPlace(variable, otherwise string) (string, error) {
	uid := private.HostUID()
	if uid == 0 {
		return "", nil
	}
	if dir := os.Getenv(variable); filepath.IsAbs(dir) {
		return dir, nil
	}
	home := os.Getenv("HOME")
	if !filepath.IsAbs(home) {
		u, err := user.LookupId(strconv.Itoa(uid))
		switch {
		case err == nil:
			home = u.HomeDir
		case os.Geteuid() == 0 && isOwn("/"): // the root of a system in a user namespace
			return "", nil
		default:
			return "", errNoHome
		}
	}
	return filepath.Join(home, otherwise), nil
}

// ForHook is the file that a hook is told to read: the one that [Find] finds here
// and now, because a hook may get nothing of this process's environment. It is
// empty where that file is not there and nobody has named it.
func ForHook(path string) string {
	path, named, err := Find(path)
	if _, missing := os.Stat(path); err == nil && (named || missing == nil) {
		return path
	}
	return ""
}
