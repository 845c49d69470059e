// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/memory"
	"github.com/oci-secrets/oci-secrets/resolver/vault"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// sharedDir is a state directory, as package memory makes it.
func sharedDir(t *testing.T) string {
	t.Helper()
	above, err := os.MkdirTemp("/dev/shm", "oci-secrets-vault-") // where a user has a tmpfs, too
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(above, "state")
	t.Cleanup(func() {
		_ = unix.Unmount(dir, unix.MNT_DETACH) // for a user it is none
		if err := os.RemoveAll(above); err != nil {
			t.Error(err)
		}
	})
	root, err := memory.Make(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := root.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

var roles atomic.Int64

// appRole is the settings of a role of its own, which may read below containers,
// and a state directory.
func appRole(t *testing.T, tokens vaulttest.Tokens) vault.Config {
	t.Helper()
	server.Policy(t, "shared", `path "secret/data/containers/shared/*" { capabilities = ["read"] }`)
	server.Put(t, 2, kv2, "containers/shared/db", map[string]any{"K": canary})
	tokens.Policies = []string{"shared"}
	roleID, secretID := server.AppRoleWith(t, "approle", fmt.Sprintf("shared-%d", roles.Add(1)), tokens)
	c := config(server, kv2, "")
	c.StateDir = sharedDir(t)
	c.Auth = vault.Auth{Method: "approle", RoleID: roleID, SecretIDFile: file(t, secretID)}
	return c
}

// start is one container's start, as far as the source is concerned: it reads
// names with a new Source.
func start(t *testing.T, c vault.Config, deadline time.Duration, names ...string) (*resolver.Record, error) {
	t.Helper()
	record := &resolver.Record{}
	ctx, cancel := context.WithTimeout(resolver.WithRecord(t.Context(), record), deadline)
	defer cancel()
	s := source(t, c)
	var err error
	for _, name := range names {
		var secret *resolver.Secret
		if secret, err = s.Get(ctx, name, 0); err != nil {
			harmless(t, err)
			break
		}
		if got := reveal(t, secret)["K"]; got != canary {
			t.Errorf("K is %q", got)
		}
	}
	if text := fmt.Sprint(record.Notes()); strings.Contains(text, "hvs.") || strings.Contains(text, canary) {
		t.Errorf("a note holds a secret: %s", text)
	}
	return record, err
}

// succeed is a start that must succeed.
func succeed(t *testing.T, c vault.Config, names ...string) *resolver.Record {
	t.Helper()
	record, err := start(t, c, 30*time.Second, names...)
	if err != nil {
		t.Error(err)
	}
	return record
}

// together runs f n times at once.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			f(i)
		}()
	}
	wg.Wait()
}

// counts are numbers of requests.
type counts struct{ logins, renewals, mounts, reads, revoked int }

// counted counts what the server got while f ran.
func counted(t *testing.T, f func()) (n counts) {
	t.Helper()
	for _, c := range server.Calls(t, f) {
		switch {
		case c.Login():
			n.logins++
		case strings.HasPrefix(c.Path, "auth/token/renew-self"):
			n.renewals++
		case strings.HasPrefix(c.Path, "auth/token/revoke-self"):
			n.revoked++
		case strings.HasPrefix(c.Path, "sys/internal/ui/mounts/"):
			n.mounts++
		case strings.Contains(c.Path, "containers/"):
			n.reads++
		default:
			t.Errorf("an unexpected request: %s %s", c.Operation, c.Path)
		}
	}
	return n
}

func wantCounts(t *testing.T, what string, got, want counts) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %+v, want %+v", what, got, want)
	}
}

// kept gives the one file of the state directory that a pattern matches.
func kept(t *testing.T, dir, pattern string) string {
	t.Helper()
	var found []string
	for _, f := range files(t, dir) {
		if regexp.MustCompile(pattern).MatchString(f) {
			found = append(found, f)
		}
	}
	if len(found) != 1 {
		t.Fatalf("files like %s: %q of %q", pattern, found, files(t, dir))
	}
	return filepath.Join(dir, "vault", found[0])
}

const aToken, aMount, aRefusal = `^[0-9a-f]{64}$`, `\.mount$`, `\.refused$`

// files are the names in the folder of package vault.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "vault"))
	if err != nil && !os.IsNotExist(err) { //nolint:forbidigo // a test's own directory
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// edit changes a file there.
func edit(t *testing.T, file string, change func(map[string]any)) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	record := map[string]any{}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&record); err != nil {
		t.Fatal(err)
	}
	change(record)
	if data, err = json.Marshal(record); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// endsIn makes a kept token one that ends then.
func endsIn(t *testing.T, dir string, d time.Duration) {
	t.Helper()
	edit(t, kept(t, dir, aToken), func(r map[string]any) { r["Expires"] = sinceBoot(t) + d })
}

func sinceBoot(t *testing.T) time.Duration {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		t.Fatal(err)
	}
	return time.Duration(now.Nano())
}

// tokenOf is the token that is kept.
func tokenOf(t *testing.T, dir string) (token string) {
	t.Helper()
	edit(t, kept(t, dir, aToken), func(r map[string]any) { token = r["Token"].(string) })
	return token
}

// longer makes a token one that was good for longer than the server lets it be.
func longer(t *testing.T, dir string) {
	t.Helper()
	edit(t, kept(t, dir, aToken), func(r map[string]any) { r["TTL"], r["Expires"] = time.Hour, sinceBoot(t)+10*time.Minute })
}

func revoke(t *testing.T, dir string) {
	t.Helper()
	server.Revoke(t, tokenOf(t, dir))
}

func forgetMount(t *testing.T, dir string) {
	t.Helper()
	if err := os.Remove(kept(t, dir, aMount)); err != nil {
		t.Fatal(err)
	}
}
