// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/resolver/config/runtimeline"
	"github.com/oci-secrets/oci-secrets/resolver/private"
)

// RuntimePath is runtime.path of the settings, "" where they have none.
//
// The runtime shim needs it for every command, of containers that ask for
// nothing, too, and such a container must be killed and deleted also while
// there is a mistake somewhere in the settings, or where they are missing. So this
// reads one line and checks no other. Settings that this user may not read, as a
// rootless engine may not read root's token, are as good as none here; a container
// that asks does not start with them. Settings that others can write are an error.
// [Load] sees to it that the line is where this finds it.
func RuntimePath(path string) (string, error) {
	path, _, err := Find(path)
	if err != nil {
		return "", err
	}
	text, err := private.ReadTrusted(path)
	if errors.Is(err, fs.ErrNotExist) || err != nil && errors.Is(unix.Access(path, unix.R_OK), unix.EACCES) {
		return "", nil
	}
	if err != nil {
		return "", asSettings(err)
	}
	return runtimeline.Path(text), nil
}

// stateDir is the default of state_dir. A rootless engine's hook is told
// nothing of $XDG_RUNTIME_DIR; where login sessions are kept, it is this
// (file-hierarchy(7)).
func stateDir() string {
	if uid := private.HostUID(); uid != 0 {
		if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
			return filepath.Join(dir, "oci-secrets")
		}
		return filepath.Join("/run/user", strconv.Itoa(uid), "oci-secrets")
	}
	return "/run/oci-secrets"
}
