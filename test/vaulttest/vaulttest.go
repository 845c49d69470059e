// SPDX-License-Identifier: Apache-2.0

// Package vaulttest runs the genuine Vault server for tests, one per test
// package: a config file with in-memory storage, a listener on a free port of
// 127.0.0.1 with a certificate of its own, initialized and unsealed.
//
// The server dies with the process that started it, also when that is killed,
// and leaves nothing but a temporary directory behind then.
//
// A test that needs the server and finds no binary fails and says how to get
// it. It does not skip: a skipped test looks like a passed one.
package vaulttest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

// Options says what kind of server to start. The zero value is what most
// tests want: TLS, unsealed.
type Options struct {
	PlainHTTP bool // no TLS
}

// Server is a running server.
type Server struct {
	Address   string
	CAFile    string // PEM; empty with PlainHTTP
	RootToken string
	Client    *api.Client // as root

	unsealKey string
	dir       string
	process   *os.Process
	exited    chan struct{}
}

// Start starts a server for one test and stops it at the test's end.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := Launch(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Launch starts a server, for a TestMain that serves a whole package. The
// caller closes it.
func Launch(o Options) (*Server, error) {
	binary, err := Binary()
	if err != nil {
		return nil, err
	}
	// Another process may take the port between the choice and the use.
	for range 5 {
		var s *Server
		if s, err = launch(binary, o); err == nil {
			return s, nil
		}
	}
	return nil, err
}

func launch(binary string, o Options) (_ *Server, err error) {
	dir, err := os.MkdirTemp("", "vaulttest")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, exited: make(chan struct{})}
	defer func() {
		if err != nil {
			err = fmt.Errorf("start %s: %w\n%s", binary, err, s.Log())
			s.Close()
		}
	}()
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s.Address = fmt.Sprintf("https://127.0.0.1:%d", port)
	listener := map[string]any{"address": fmt.Sprintf("127.0.0.1:%d", port)}
	if o.PlainHTTP {
		s.Address = fmt.Sprintf("http://127.0.0.1:%d", port)
		listener["tls_disable"] = true
	} else {
		ca, cert, key, err := WriteCertificates(dir)
		if err != nil {
			return nil, err
		}
		s.CAFile = ca
		listener["tls_cert_file"], listener["tls_key_file"] = cert, key
	}
	config, err := json.Marshal(map[string]any{
		"disable_mlock": true,
		"storage":       map[string]any{"inmem": map[string]any{}},
		"listener":      map[string]any{"tcp": listener},
	})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "config.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	if err := s.run(binary, "server", "-config="+file); err != nil {
		return nil, err
	}
	return s, s.setUp()
}

func freePort() (int, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

// run starts the process. The kernel kills it when the thread that started it
// ends, so that thread waits for it, whatever becomes of the test.
func (s *Server) run(binary string, args ...string) error {
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer close(s.exited)
		defer func() { _ = log.Close() }()
		cmd := exec.Command(binary, args...)
		cmd.Stdout, cmd.Stderr = log, log
		cmd.Dir = s.dir
		cmd.Env = []string{"HOME=" + s.dir} // none of the test's VAULT_* variables
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		err := cmd.Start()
		s.process = cmd.Process
		started <- err
		if err == nil {
			_ = cmd.Wait() // killed by Stop
		}
	}()
	return <-started
}

// setUp waits for the listener, initializes and unseals.
func (s *Server) setUp() error {
	// Not api.DefaultConfig: the developer's VAULT_* variables are about another
	// server.
	roots := x509.NewCertPool()
	if s.CAFile != "" {
		ca, err := os.ReadFile(s.CAFile)
		if err != nil {
			return err
		}
		roots.AppendCertsFromPEM(ca)
	}
	client, err := api.NewClient(&api.Config{Address: s.Address, HttpClient: &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
	}})
	if err != nil {
		return err
	}
	client.ClearNamespace()
	client.SetToken("")
	s.Client = client
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		_, err := client.Sys().InitStatusWithContext(ctx)
		if err == nil {
			break
		}
		select {
		case <-s.exited:
			return errors.New("the server ended")
		case <-ctx.Done():
			return err
		case <-time.After(5 * time.Millisecond): // between polls
		}
	}
	init, err := client.Sys().InitWithContext(ctx, &api.InitRequest{SecretShares: 1, SecretThreshold: 1})
	if err != nil {
		return err
	}
	s.unsealKey, s.RootToken = init.KeysB64[0], init.RootToken
	client.SetToken(s.RootToken)
	return s.unseal(ctx)
}

func (s *Server) unseal(ctx context.Context) error {
	status, err := s.Client.Sys().UnsealWithContext(ctx, s.unsealKey)
	if err == nil && status.Sealed {
		err = errors.New("still sealed")
	}
	return err
}

// Log is what the server printed.
func (s *Server) Log() string {
	log, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(log)
}

// Stop kills the server and waits for its end. What it left stays, its CA file
// among it. Stopping twice is fine.
func (s *Server) Stop() {
	if s.process != nil {
		_ = s.process.Kill() // it may have ended
		<-s.exited
	}
}

// Close stops the server and removes what it left.
func (s *Server) Close() {
	s.Stop()
	_ = os.RemoveAll(s.dir) // temporary
}
