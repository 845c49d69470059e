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
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	script := filepath.Join(root, "test", "setup", "vault.sh")
	out, err := exec.Command(script, "--path").Output()
	if err != nil {
		return "", fmt.Errorf("%s --path: %w", script, err)
	}
	path := strings.TrimSpace(string(out))
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("this test needs a Vault server and there is none; build it with\n\ttest/setup/vault.sh\nor set OCI_SECRETS_VAULT: %w", err)
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
