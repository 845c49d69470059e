// SPDX-License-Identifier: Apache-2.0

package config

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

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
	if dir := userDirectory(); dir != "" {
		file := filepath.Join(dir, "oci-secrets", "config.toml")
		if _, err := os.Stat(filepath.Dir(file)); err == nil {
			return file, false, nil
		}
	}
	return systemFile, false, nil
}

// userDirectory is the directory of the user's configuration, for a user who is
// not root on the host.
func userDirectory() string { return userPlace("XDG_CONFIG_HOME", ".config") }

// libDirectory is where files are that stay.
func libDirectory() string {
	if dir := userPlace("XDG_STATE_HOME", ".local/state"); dir != "" {
		return filepath.Join(dir, "oci-secrets")
	}
	return "/var/lib/oci-secrets"
}

// userPlace is the directory that a variable of the XDG specification names, or
// what stands for it, for a user who is not root on the host. A rootless
// engine's hook is uid 0 in the engine's user namespace, and may have no HOME:
// then the password file has it.
func userPlace(variable, otherwise string) string {
	uid := private.HostUID()
	if uid == 0 {
		return ""
	}
	if dir := os.Getenv(variable); filepath.IsAbs(dir) {
		return dir
	}
	home := os.Getenv("HOME")
	if !filepath.IsAbs(home) {
		u, err := user.LookupId(strconv.Itoa(uid))
		if err != nil {
			return ""
		}
		home = u.HomeDir
	}
	return filepath.Join(home, otherwise)
}

// ForHook is the file that a hook must be told to read: the one that is named,
// or one that is only found through this process's environment, of which a hook
// may get nothing. It is empty where the hook finds the same by itself.
func ForHook(path string) string {
	path, named, err := Find(path)
	if err != nil || named {
		return path
	}
	xdg := os.Getenv("XDG_CONFIG_HOME")
	if _, err := os.Stat(path); xdg != "" && strings.HasPrefix(path, xdg+"/") && err == nil {
		return path
	}
	return ""
}
