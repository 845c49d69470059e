// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

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
	if errors.Is(err, errNoHome) { // which starts no container, and keeps none from being ended
		path, err = systemFile, nil
	}
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

// stateDir is the default of state_dir: below the first of these that is there and
// is this user's. A rootless engine's hook is told nothing of $XDG_RUNTIME_DIR;
// where login sessions are kept, it is /run/user/UID (file-hierarchy(7)). Root of a
// user namespace may be root of a whole system, which has a /run of its own (LXC).
// Where none is there, nothing is kept; see [Settings.Keeps].
func stateDir() string {
	uid := private.HostUID()
	if uid == 0 {
		return "/run/oci-secrets"
	}
	session := filepath.Join("/run/user", strconv.Itoa(uid))
	for _, dir := range []string{os.Getenv("XDG_RUNTIME_DIR"), session, "/run"} {
		if filepath.IsAbs(dir) && isOwn(dir) {
			return filepath.Join(dir, "oci-secrets")
		}
	}
	return filepath.Join(session, "oci-secrets")
}

// isOwn reports whether a directory is there and belongs to this user.
func isOwn(dir string) bool {
	info, err := os.Stat(dir)
	return err == nil && info.IsDir() && int(info.Sys().(*syscall.Stat_t).Uid) == os.Geteuid()
}

// Keeps reports whether there is a place for the state directory. Where there is
// none, each start logs in anew, exec asks the sources again, and nothing can be
// leased.
func (s *Settings) Keeps() bool {
	_, err := os.Stat(filepath.Dir(s.StateDir))
	return err == nil
}
