// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Binary finds the server's binary: $OCI_SECRETS_VAULT, else where
// test/setup/vault.sh builds it.
func Binary() (string, error) {
	if path := os.Getenv("OCI_SECRETS_VAULT"); path != "" {
		_, err := os.Stat(path)
		return path, err
	}
	path, err := find("vault.sh")
	if err != nil {
		return "", fmt.Errorf("%w\nor set OCI_SECRETS_VAULT", err)
	}
	return path, nil
}

// find says where a script of test/setup builds a program, if it has.
func find(script string, args ...string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	run := filepath.Join(root, "test", "setup", script)
	out, err := exec.Command(run, append(args, "--path")...).Output()
	if err != nil {
		return "", fmt.Errorf("%s --path: %w", run, err)
	}
	path := strings.TrimSpace(string(out))
	if _, err := os.Stat(path); err != nil {
		command := strings.Join(append([]string{"test/setup/" + script}, args...), " ")
		return "", fmt.Errorf("this test needs a program of Vault and there is none: %w; build it with\n\t%s", err, command)
	}
	return path, nil
}

// moduleRoot walks up from where go test runs the tests of a package.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		_, err := os.Stat(filepath.Join(dir, "test", "setup", "vault.sh"))
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find the module's root: %w", err)
		}
		dir = filepath.Dir(dir)
	}
}
