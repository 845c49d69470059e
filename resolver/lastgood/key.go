// SPDX-License-Identifier: Apache-2.0

package lastgood

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"filippo.io/age"

	"github.com/oci-secrets/oci-secrets/resolver/memory"
	"github.com/oci-secrets/oci-secrets/resolver/private"
)

// keyFile is where the key is, below the state directory.
const keyFile = "outage.key"

// key is the key of one boot.
type key struct{ identity *age.X25519Identity }

// name is the name of the file for a version of the secret at path.
func (k *key) name(source, path string, version int) string {
	h := hmac.New(sha256.New, []byte(k.identity.String()))
	_, _ = io.WriteString(h, source+"\x00"+path) // a hash takes everything
	return fileName(hex.EncodeToString(h.Sum(nil)), version)
}

// seal encrypts a record.
func (k *key) seal(r record) ([]byte, error) {
	plain, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	var b bytes.Buffer
	w, err := age.Encrypt(&b, k.identity.Recipient())
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// open decrypts a record.
func (k *key) open(b []byte) (r record, err error) {
	reader, err := age.Decrypt(bytes.NewReader(b), k.identity)
	if err != nil {
		return record{}, err
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		return record{}, err
	}
	defer clear(plain)
	return r, json.Unmarshal(plain, &r)
}

// open opens the directory, which must be ours alone.
func (s *Store) open(create bool) (*os.Root, error) {
	if create {
		if err := private.MakeAll(s.Directory); err != nil {
			return nil, err
		}
	}
	dir, err := private.Open(s.Directory)
	if err != nil {
		return nil, err
	}
	info, err := dir.Stat(".")
	if err == nil {
		owner := info.Sys().(*syscall.Stat_t).Uid
		if info.Mode().Perm()&0o077 != 0 || int(owner) != os.Geteuid() {
			err = fmt.Errorf("%s has mode %04o and belongs to uid %d; it must be ours alone", s.Directory, info.Mode().Perm(), owner)
		}
	}
	if err != nil {
		_ = dir.Close() // nothing was written
		return nil, err
	}
	return dir, nil
}

// existing opens the directory and reads the key, and makes neither.
func (s *Store) existing() (*os.Root, *key, error) {
	dir, err := s.open(false)
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNone
	}
	if err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key == nil {
		state, err := memory.Open(s.StateDir)
		if err == nil {
			s.key, err = readKey(state)
			_ = state.Close() // only read from
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = ErrNone
		}
		if err != nil {
			_ = dir.Close() // nothing was written
			return nil, nil, err
		}
	}
	return dir, s.key, nil
}

// ready reads the key, and makes it where there is none.
func (s *Store) ready(dir *os.Root) (*key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key != nil {
		return s.key, nil
	}
	state, err := memory.Make(s.StateDir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = state.Close() }() // the file's own is checked
	k, err := readKey(state)
	if errors.Is(err, fs.ErrNotExist) {
		if err = sweep(dir); err == nil {
			err = makeKey(state)
		}
		if err == nil {
			k, err = readKey(state)
		}
	}
	if err != nil {
		return nil, err
	}
	s.key = k
	return k, nil
}

func readKey(state *os.Root) (*key, error) {
	path := filepath.Join(state.Name(), keyFile)
	b, err := private.ReadIn(state, keyFile)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	identity, err := age.ParseX25519Identity(strings.TrimSpace(string(b)))
	if err != nil { // whose text may have the key in it
		return nil, fmt.Errorf("%s is not a key; remove it, and a new one is made", path)
	}
	return &key{identity}, nil
}

// makeKey makes the key. Of several starts that find none one wins: a link does
// not replace.
func makeKey(state *os.Root) error {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	temp, err := unique(keyFile)
	if err != nil {
		return err
	}
	err = state.WriteFile(temp, []byte(identity.String()+"\n"), 0o600)
	if err == nil {
		if err = state.Link(temp, keyFile); errors.Is(err, fs.ErrExist) {
			err = nil
		}
	}
	if e := state.Remove(temp); !errors.Is(e, fs.ErrNotExist) {
		err = errors.Join(err, e)
	}
	return err
}

// sweep removes the answers that were encrypted with the key of an earlier boot:
// nothing reads them again.
func sweep(dir *os.Root) error {
	entries, err := fs.ReadDir(dir.FS(), ".")
	for _, e := range entries {
		hash, _, _ := strings.Cut(e.Name(), ".")
		if b, badName := hex.DecodeString(hash); badName != nil || len(b) != sha256.Size || strings.HasSuffix(e.Name(), tempEnd) {
			continue // not ours, or another start's that is faster
		}
		if e := dir.Remove(e.Name()); !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// tempEnd is how the name of a file ends that is not whole yet.
const tempEnd = ".new"

// unique is the name of such a file.
func unique(name string) (string, error) {
	b := make([]byte, 8)
	if _, err := rand.Read(b); err != nil {
		return "", err
	}
	return name + "." + hex.EncodeToString(b) + tempEnd, nil
}
