// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/vault/api"
)

// plugin registers one of HashiCorp's plugins under a name, once. The server
// takes only programs of its own directory.
func (s *Server) plugin(t testing.TB, program, kind, name string) {
	t.Helper()
	built, err := find("vaultplugin.sh", program)
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(s.plugins, program)
	if err := os.Link(built, at); err != nil && !errors.Is(err, fs.ErrExist) {
		if err := copyProgram(built, at); err != nil { // the cache is on another filesystem
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	pluginType, err := api.ParsePluginType(kind)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Client.Sys().RegisterPluginWithContext(t.Context(), &api.RegisterPluginInput{
		Name: name, Type: pluginType, Command: program, SHA256: fmt.Sprintf("%x", sha256.Sum256(data)),
	})
	if err != nil {
		t.Fatalf("register %s: %v", name, err)
	}
}

func copyProgram(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	// Whole or not at all: tests that share a server ask for it at one time.
	temp, err := os.CreateTemp(filepath.Dir(to), ".copy-")
	if err != nil {
		return err
	}
	_, err = temp.Write(data)
	return errors.Join(err, temp.Chmod(0o700), temp.Close(), os.Rename(temp.Name(), to))
}
