// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/vault"
	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// server is the one server of this package's tests. Those that seal or stop a
// server start their own.
var server *vaulttest.Server

// The mounts of server that tests share; names in them are their own.
const kv1, kv2 = "team/old", "secret"

// canary is in every value that the tests store.
const canary = "canary-7f3a9d"

func TestMain(m *testing.M) {
	if settings, ok := os.LookupEnv(processEnv); ok {
		os.Exit(runProcess(settings))
	}
	var err error
	if server, err = vaulttest.Launch(vaulttest.Options{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	t := &mainT{}
	t.hostile()
	server.Mount(t, kv1, 1)
	server.Mount(t, kv2, 2)
	code := m.Run()
	server.Close()
	os.Exit(code)
}

// mainT lets TestMain use the helpers that want a test.
type mainT struct{ testing.TB }

func (*mainT) Helper()                  {}
func (*mainT) Context() context.Context { return context.Background() }
func (*mainT) Fatalf(f string, a ...any) {
	fmt.Fprintf(os.Stderr, f+"\n", a...)
	server.Close()
	os.Exit(1)
}

// proxied counts the connections to what the environment says is a proxy.
var proxied atomic.Int64

// hostile sets what the standard library reads once and then remembers, so
// that no test of the package runs without it: a hook's caller must not add to
// whom the hook trusts, nor get between it and the server.
func (t *mainT) hostile() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("%v", err)
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			proxied.Add(1)
			_ = conn.Close()
		}
	}()
	for name, value := range map[string]string{
		"SSL_CERT_FILE": server.CAFile,
		"HTTP_PROXY":    "http://" + l.Addr().String(),
		"HTTPS_PROXY":   "http://" + l.Addr().String(),
		"NO_PROXY":      "",
	} {
		if err := os.Setenv(name, value); err != nil {
			t.Fatalf("%v", err)
		}
	}
}

// config is what an operator would write for s, with a token.
func config(s *vaulttest.Server, mount, token string) vault.Config {
	return vault.Config{
		Addresses: []string{s.Address}, CACert: s.CAFile, Mount: mount, Prefix: "containers",
		Auth: vault.Auth{Method: "token", Token: resolver.NewValue(token)},
	}
}

func source(t *testing.T, c vault.Config) *vault.Source {
	t.Helper()
	s, err := vault.New(c, resolver.Container{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// get reads with a deadline, and checks every error for what none may hold.
func get(t *testing.T, s *vault.Source, deadline time.Duration, name string, version int) (*resolver.Secret, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	secret, err := s.Get(ctx, name, version)
	if err != nil {
		harmless(t, err)
		if secret != nil {
			t.Error("an error, and a secret with it")
		}
	}
	return secret, err
}

// harmless fails if an error could leak, or is more than a line.
func harmless(t *testing.T, err error, credentials ...string) {
	t.Helper()
	text := fmt.Sprintf("%v %+v %#v %q", err, err, err, fault.Hints(err))
	for _, bad := range append(credentials, canary, server.RootToken, "hvs.") {
		if strings.Contains(strings.ToLower(text), strings.ToLower(bad)) {
			t.Errorf("error holds %q: %s", bad, text)
		}
	}
	if strings.ContainsAny(err.Error(), "\n\r\x1b\x00") {
		t.Errorf("error is not one clean line: %q", err)
	}
	if _, ok := fault.ClassOf(err); !ok {
		t.Errorf("error has no class: %v", err)
	}
}

// wantFault checks class and text of an error.
func wantFault(t *testing.T, err error, class fault.Class, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one of class %q", class)
	}
	if got, _ := fault.ClassOf(err); got != class {
		t.Errorf("class %q, want %q: %v", got, class, err)
	}
	all := err.Error() + "\n" + strings.Join(fault.Hints(err), "\n")
	for _, text := range texts {
		if !strings.Contains(all, text) {
			t.Errorf("error lacks %q: %s", text, all)
		}
	}
	t.Log(all)
}

// wantReason checks what the error is counted as: its class where want is "".
func wantReason(t *testing.T, err error, want fault.Reason) {
	t.Helper()
	if want == "" {
		class, _ := fault.ClassOf(err)
		want = fault.Reason(strings.ReplaceAll(class.Error(), " ", "-"))
	}
	if got := fault.Outcome(err); got != string(want) {
		t.Errorf("outcome %q, want %q: %v", got, want, err)
	}
}

// reveal is a secret as a plain map.
func reveal(t *testing.T, s *resolver.Secret) map[string]string {
	t.Helper()
	got := map[string]string{}
	for _, e := range s.Entries {
		got[e.Key] = e.Value.Reveal()
	}
	if !slices.IsSortedFunc(s.Entries, func(a, b resolver.Entry) int { return strings.Compare(a.Key, b.Key) }) {
		t.Error("keys are not in order")
	}
	if s.Source != "vault" {
		t.Errorf("source is %q", s.Source)
	}
	return got
}

// file writes a private file.
func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
