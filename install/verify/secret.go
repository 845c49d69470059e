// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"

	"github.com/oci-secrets/oci-secrets/resolver/memory"
	"github.com/oci-secrets/oci-secrets/resolver/throwaway"
)

// secret is the throw-away secret.
type secret struct {
	name, value string
	root        *os.Root // the state directory
}

// newSecret puts a new secret where package throwaway finds it.
func newSecret(stateDir string) (*secret, error) {
	root, err := memory.Make(stateDir)
	if err != nil {
		return nil, err
	}
	s := &secret{throwaway.Prefix + hex.EncodeToString([]byte(rand.Text()[:8])), rand.Text(), root}
	if err = root.Mkdir(throwaway.Folder, 0o700); errors.Is(err, fs.ErrExist) {
		err = nil
	}
	if err == nil {
		err = memory.Write(root, s.file(), []byte(s.value))
	}
	if err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

func (s *secret) file() string { return throwaway.Folder + "/" + s.name }

// missing is the name of a secret that is not there.
func (s *secret) missing() string { return s.name + ".missing" }

// remove takes the secret away, and the folder where it was the only one.
func (s *secret) remove() error {
	err := s.root.Remove(s.file())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	_ = s.root.Remove(throwaway.Folder) // unless another verify goes on
	return errors.Join(err, s.root.Close())
}

// digest is what the probe prints of a value.
func digest(value string) string {
	if value == "" {
		return "-"
	}
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:])
}
