// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// reserve makes a file that is large enough before there is something to lose.
func reserve(root *os.Root, name string) (*os.File, error) {
	// What a start left that was killed has nothing that counts.
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(make([]byte, maxSecretID)); err != nil {
		_ = f.Close()         // nothing in it counts
		_ = root.Remove(name) // it is in nobody's way
		return nil, err
	}
	return f, nil
}

// keepSecretID writes the secret id into what was reserved, and gives it its
// name: that is there with all of the secret id in it, or not at all.
func keepSecretID(root *os.Root, temp *os.File, name, id string) error {
	if _, err := temp.WriteAt([]byte(id), 0); err != nil {
		return err
	}
	if err := temp.Truncate(int64(len(id))); err != nil {
		return err
	}
	if err := temp.Close(); err != nil {
		return err
	}
	return root.Rename(name+".new", name)
}

// keptSecretID reads what [keepSecretID] wrote; empty where it is not there.
func keptSecretID(root *os.Root, name string) (string, error) {
	info, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", unkept(err)
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	if !info.Mode().IsRegular() || int(owner) != os.Geteuid() || info.Mode().Perm()&0o077 != 0 || info.Size() > maxSecretID {
		return "", fault.New(fault.Refused, "remove it, and put a new wrapping token into wrapped_secret_id_file",
			"vault: %s/%s is not what was kept there: mode %s, uid %d, %d bytes", strings.TrimSuffix(root.Name(), "/"), name, info.Mode(), owner, info.Size())
	}
	data, err := root.ReadFile(name)
	if err != nil {
		return "", unkept(err)
	}
	if !isToken(string(data)) || len(data) == 0 {
		return "", fault.New(fault.Refused, "remove it, and put a new wrapping token into wrapped_secret_id_file",
			"vault: %s/%s holds no secret id", strings.TrimSuffix(root.Name(), "/"), name)
	}
	return string(data), nil
}

// unkept is the fault of a state directory where nothing can be kept.
func unkept(err error) error {
	return fault.New(fault.Delivery, "a secret id is unwrapped once, and must be kept", "vault: keep the unwrapped secret id in the state directory: %s", clean(reason(err)))
}

// reason is an error of the file system without the kernel's wording.
func reason(err error) string {
	var at *fs.PathError
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "access denied"
	case errors.Is(err, fs.ErrNotExist):
		return "it does not exist"
	case errors.As(err, &at):
		return at.Err.Error()
	}
	return err.Error()
}
