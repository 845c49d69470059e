// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"context"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/vault"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// memoryDir is a state directory that is there.
func memoryDir(t *testing.T, options string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		dir, err := os.MkdirTemp("/dev/shm", "vault-test-")
		if err != nil {
			t.Skip("no tmpfs to write to")
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		return dir
	}
	dir := t.TempDir()
	tmpfs(t, dir, "mode=0700"+options)
	return dir
}

// tmpfs mounts a file system in memory at dir.
func tmpfs(t *testing.T, dir, options string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounts: run it as root")
	}
	if err := unix.Mount("test", dir, "tmpfs", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
}

// forget removes what is in a state directory but for secret ids: the next start
// logs in anew.
func forget(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(dir + "/vault/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.Contains(f, ".secret-id") {
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// wrapped is the settings of a role whose secret id is wrapped.
func wrapped(t *testing.T, role string, ttl time.Duration) (c vault.Config, token string) {
	t.Helper()
	tokens := reader(t, role)
	roleID, _ := server.AppRoleWith(t, "approle", role, tokens)
	token = server.WrappedSecretID(t, "approle", role, ttl)
	c = config(server, kv2, "")
	c.StateDir = memoryDir(t, "")
	c.Auth = vault.Auth{Method: "approle", RoleID: roleID, WrappedSecretIDFile: file(t, token+"\n")}
	return c, token
}

// TestWrapped has many starts at once of which one unwraps, and others later.
func TestWrapped(t *testing.T) {
	c, token := wrapped(t, "wrapped", time.Minute)
	calls := server.Calls(t, func() {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if _, err := get(t, source(t, c), 10*time.Second, "wrapped", 0); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		forget(t, c.StateDir)
		if _, err := get(t, source(t, c), 10*time.Second, "wrapped", 0); err != nil {
			t.Error(err)
		}
	})
	n := 0
	for _, call := range calls {
		if call.Path == "sys/wrapping/unwrap" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("unwrapped %d times", n)
	}
	// What is kept is nobody else's, and the token is not among it.
	found := 0
	err := filepath.WalkDir(c.StateDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		data, err := os.ReadFile(path)
		if strings.Contains(string(data)+path, token) {
			t.Errorf("%s has the wrapping token", path)
		}
		if strings.HasSuffix(path, ".secret-id") {
			found++
		}
		return err
	})
	if err != nil || found != 1 {
		t.Errorf("%d secret ids are kept: %v", found, err)
	}
}

// TestWrappedSpent has tokens that do not work, or should not.
func TestWrappedSpent(t *testing.T) {
	_, other := wrapped(t, "wrapped-other", time.Minute)
	for name, tt := range map[string]struct {
		edit  func(t *testing.T, c *vault.Config, token string)
		texts []string
	}{
		"used by somebody": {func(t *testing.T, _ *vault.Config, token string) {
			if _, err := server.Client.Logical().UnwrapWithContext(t.Context(), token); err != nil {
				t.Fatal(err)
			}
		}, []string{"was used already, or has expired", "wrapping token is not valid or does not exist", "revoke the secret ids of the role"}},
		"revoked": {func(t *testing.T, _ *vault.Config, token string) { server.Revoke(t, token) }, []string{"was used already, or has expired"}},
		"no token at all": {func(t *testing.T, c *vault.Config, _ string) {
			c.Auth.WrappedSecretIDFile = file(t, "hvs.nonsense")
		}, []string{"was used already, or has expired"}},
		"a secret id": {func(t *testing.T, c *vault.Config, _ string) {
			c.Auth.WrappedSecretIDFile = file(t, "5c4e2a70-8f1d-4c8e-9d0a-0f4f6a6d2b11")
		}, []string{"is no wrapping token", "belongs in secret_id_file"}},
		"of a secret": {func(t *testing.T, c *vault.Config, _ string) {
			client, err := server.Client.CloneWithHeaders()
			if err != nil {
				t.Fatal(err)
			}
			client.SetToken(server.RootToken)
			client.SetWrappingLookupFunc(func(string, string) string { return "60s" })
			secret, err := client.Logical().ReadWithContext(t.Context(), "secret/data/containers/wrapped-spent")
			if err != nil {
				t.Fatal(err)
			}
			c.Auth.WrappedSecretIDFile = file(t, secret.WrapInfo.Token)
		}, []string{"was made at secret/data/containers/wrapped-spent, and not at auth/approle/role/<role>/secret-id"}},
		"of another mount": {func(_ *testing.T, c *vault.Config, _ string) { c.Auth.Mount = "approle-2" }, []string{"was made at auth/approle/role/wrapped-spent/secret-id, and not at auth/approle-2/role/"}},
		"of another role":  {func(t *testing.T, c *vault.Config, _ string) { c.Auth.WrappedSecretIDFile = file(t, other) }, []string{"AppRole login at auth/approle/login was refused", "another role's"}},
		"too open":         {func(t *testing.T, c *vault.Config, token string) { c.Auth.WrappedSecretIDFile = tooOpen(t, token) }, []string{"wrapped_secret_id_file", "others can read it"}},
	} {
		t.Run(name, func(t *testing.T) {
			c, token := wrapped(t, "wrapped-spent", time.Minute)
			tt.edit(t, &c, token)
			for range 2 { // the second start sees the same
				_, err := get(t, source(t, c), 5*time.Second, "wrapped-spent", 0)
				wantFault(t, err, fault.Refused, tt.texts...)
				harmless(t, err, token, other)
				forget(t, c.StateDir)
			}
		})
	}
	t.Run("expired", func(t *testing.T) {
		c, token := wrapped(t, "wrapped-spent", time.Second)
		for {
			_, err := server.Client.Logical().WriteWithContext(t.Context(), "sys/wrapping/lookup", map[string]any{"token": token})
			if err != nil {
				break
			}
			time.Sleep(20 * time.Millisecond) // between polls
		}
		_, err := get(t, source(t, c), 5*time.Second, "wrapped-spent", 0)
		wantFault(t, err, fault.Refused, "was used already, or has expired")
	})
	t.Run("secret id revoked", func(t *testing.T) {
		c, _ := wrapped(t, "wrapped-spent", time.Minute)
		if _, err := get(t, source(t, c), 5*time.Second, "wrapped-spent", 0); err != nil {
			t.Fatal(err)
		}
		if _, err := server.Client.Logical().DeleteWithContext(t.Context(), "auth/approle/role/wrapped-spent"); err != nil {
			t.Fatal(err)
		}
		forget(t, c.StateDir)
		_, err := get(t, source(t, c), 5*time.Second, "wrapped-spent", 0)
		wantFault(t, err, fault.Refused, "AppRole login", "put a new wrapping token")
	})
}

// between is the server with something before it that may lose answers.
func between(t *testing.T, c *vault.Config, lose func(http.ResponseWriter, *http.Request, http.Handler)) {
	t.Helper()
	to, err := url.Parse(server.Address)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.Transport = server.Client.CloneConfig().HttpClient.Transport
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/sys/wrapping/unwrap" {
			lose(w, r, proxy)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	c.Addresses = []string{front.URL}
}

// TestUnwrapOnce has answers to the one request that cannot be made again.
func TestUnwrapOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		lose  func(n int, w http.ResponseWriter, r *http.Request, to http.Handler)
		times int
		text  string // "" for no error
	}{
		"the connection breaks": {func(_ int, _ http.ResponseWriter, r *http.Request, to http.Handler) {
			to.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}, 1, "the answer to unwrapping the secret id was lost"},
		"a gateway's timeout": {func(_ int, w http.ResponseWriter, r *http.Request, to http.Handler) {
			to.ServeHTTP(httptest.NewRecorder(), r)
			http.Error(w, "timeout", http.StatusGatewayTimeout)
		}, 1, "the answer to unwrapping the secret id was lost"},
		"sealed for a moment": {func(n int, w http.ResponseWriter, r *http.Request, to http.Handler) {
			if n == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
				_, _ = w.Write([]byte(`{"errors":["Vault is sealed"]}`))
				return
			}
			to.ServeHTTP(w, r)
		}, 2, ""},
		"throttled for a moment": {func(n int, w http.ResponseWriter, r *http.Request, to http.Handler) {
			if n == 1 {
				w.WriteHeader(http.StatusTooManyRequests)
				_, _ = w.Write([]byte(`{"errors":["slow down"]}`))
				return
			}
			to.ServeHTTP(w, r)
		}, 2, ""},
		"another's answer": {func(_ int, w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			_, _ = w.Write([]byte(`{"data":{"x":1}}`))
		}, 1, "wraps is no secret id"},
	} {
		t.Run(name, func(t *testing.T) {
			c, token := wrapped(t, "wrapped-once", time.Minute)
			var n atomic.Int64
			between(t, &c, func(w http.ResponseWriter, r *http.Request, to http.Handler) { tt.lose(int(n.Add(1)), w, r, to) })
			start := time.Now()
			_, err := get(t, source(t, c), 5*time.Second, "wrapped-once", 0)
			if got := int(n.Load()); got != tt.times {
				t.Errorf("sent %d times, want %d", got, tt.times)
			}
			if tt.text == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.text) {
				t.Fatalf("%v, want %s", err, tt.text)
			}
			harmless(t, err, token)
			if d := time.Since(start); d > 3*time.Second {
				t.Errorf("it took %s", d)
			}
			if left, _ := filepath.Glob(c.StateDir + "/vault/*.secret-id*"); len(left) != 1 { // the lock
				t.Errorf("left: %v", left)
			}
		})
	}
}

// TestUnwrapFull has no room for what would be lost: the token is not used.
func TestUnwrapFull(t *testing.T) {
	c, token := wrapped(t, "wrapped-full", time.Minute)
	if os.Geteuid() != 0 {
		t.Skip("mounts: run it as root")
	}
	c.StateDir = memoryDir(t, ",size=64k")
	if err := os.WriteFile(filepath.Join(c.StateDir, "fill"), make([]byte, 64<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := get(t, source(t, c), 5*time.Second, "wrapped-full", 0)
	wantFault(t, err, fault.Delivery, "state directory", "no space left on device")
	harmless(t, err, token)
	if err := os.Remove(filepath.Join(c.StateDir, "fill")); err != nil {
		t.Fatal(err)
	}
	forget(t, c.StateDir)
	if _, err := get(t, source(t, c), 5*time.Second, "wrapped-full", 0); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// TestKeptSecretID has what stands in the state directory and is not what was
// kept there.
func TestKeptSecretID(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"empty":       func(path string) error { return os.Truncate(path, 0) },
		"corrupted":   func(path string) error { return os.WriteFile(path, []byte("\x00\xff\n"), 0o600) },
		"large":       func(path string) error { return os.Truncate(path, 1<<20) },
		"for all":     func(path string) error { return os.Chmod(path, 0o644) },
		"a link":      func(path string) error { return os.Rename(path, path+".x") },
		"another's":   func(path string) error { return os.Chown(path, 65534, 65534) },
		"a directory": func(path string) error { return os.Remove(path) },
	} {
		t.Run(name, func(t *testing.T) {
			if os.Geteuid() != 0 {
				t.Skip("another user's file: run it as root")
			}
			c, token := wrapped(t, "wrapped-kept", time.Minute)
			if _, err := get(t, source(t, c), 5*time.Second, "wrapped-kept", 0); err != nil {
				t.Fatal(err)
			}
			kept, err := filepath.Glob(c.StateDir + "/vault/*.secret-id")
			if err != nil || len(kept) != 1 {
				t.Fatal(kept, err)
			}
			if err := spoil(kept[0]); err != nil {
				t.Fatal(err)
			}
			switch name {
			case "a link":
				err = os.Symlink(filepath.Base(kept[0])+".x", kept[0])
			case "a directory":
				err = os.Mkdir(kept[0], 0o700)
			}
			if err != nil {
				t.Fatal(err)
			}
			forget(t, c.StateDir)
			_, err = get(t, source(t, c), 5*time.Second, "wrapped-kept", 0)
			wantFault(t, err, fault.Refused, kept[0], "put a new wrapping token")
			harmless(t, err, token)
		})
	}
}

// TestUnwrapWaits has another process at it that does not end.
func TestUnwrapWaits(t *testing.T) {
	c, _ := wrapped(t, "wrapped-wait", time.Minute)
	// Who unwraps holds the lock while the server thinks.
	held, done := make(chan struct{}), make(chan struct{})
	slow := c
	between(t, &slow, func(w http.ResponseWriter, r *http.Request, to http.Handler) {
		close(held)
		<-done
		to.ServeHTTP(w, r)
	})
	first := make(chan error)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		s, err := vault.New(slow, resolver.Container{})
		if err == nil {
			_, err = s.Get(ctx, "wrapped-wait", 0)
		}
		first <- err
	}()
	<-held
	start := time.Now()
	_, err := get(t, source(t, c), 300*time.Millisecond, "wrapped-wait", 0)
	wantFault(t, err, fault.Unreachable, "gave up waiting for another start that unwraps")
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("it waited for %s", d)
	}
	close(done)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if _, err := get(t, source(t, c), 5*time.Second, "wrapped-wait", 0); err != nil {
		t.Error(err)
	}
}
