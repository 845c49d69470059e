// SPDX-License-Identifier: Apache-2.0

// Package vaulttest runs the genuine Vault server for tests, one per test
// package: a config file with in-memory storage, a listener on a free port of
// 127.0.0.1 with a certificate of its own, initialized and unsealed. Or a
// cluster of them, with raft.
//
// A server dies with the process that started it, also when that is killed,
// and leaves nothing but a temporary directory behind then.
//
// A test that needs the server and finds no binary fails and says how to get
// it. It does not skip: a skipped test looks like a passed one.
package vaulttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/oci-secrets/oci-secrets/test/child"
)

// Options says what kind of server to start. The zero value is what most
// tests want: TLS, in memory, unsealed.
type Options struct {
	PlainHTTP  bool // no TLS
	Persistent bool // storage that Restart finds again: raft, alone
}

// Server is a running server.
type Server struct {
	Address   string
	CAFile    string // PEM; empty with PlainHTTP
	RootToken string
	Client    *api.Client // as root

	binary    string
	unsealKey string
	dir       string
	plugins   string // directory
	forgets   bool   // has nothing to start again with
	alone     bool   // is not one of a cluster
	process   *child.Process
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
	s := &Server{binary: binary, dir: dir, plugins: filepath.Join(dir, "plugins"), forgets: !o.Persistent, alone: true}
	defer func() {
		if err != nil {
			err = fmt.Errorf("start %s: %w\n%s", binary, err, s.Log())
			s.Close()
		}
	}()
	var certs certificates
	if !o.PlainHTTP {
		if certs, err = makeCertificates(dir); err != nil {
			return nil, err
		}
	}
	config := map[string]any{"storage": map[string]any{"inmem": map[string]any{}}}
	if o.Persistent {
		if config, err = s.raft(); err != nil {
			return nil, err
		}
	}
	if err := s.configure(certs, config); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.run(ctx); err != nil {
		return nil, err
	}
	return s, s.initialize(ctx)
}

// certificates are files of PEM; without any there is no TLS.
type certificates struct{ ca, cert, key string }

func makeCertificates(dir string) (c certificates, err error) {
	c.ca, c.cert, c.key, err = WriteCertificates(dir)
	return c, err
}

// configure chooses the server's address and writes its configuration.
func (s *Server) configure(certs certificates, config map[string]any) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	listener := map[string]any{"address": address}
	if certs.ca == "" {
		s.Address = "http://" + address
		listener["tls_disable"] = true
	} else {
		s.Address = "https://" + address
		s.CAFile = certs.ca
		listener["tls_cert_file"], listener["tls_key_file"] = certs.cert, certs.key
	}
	if cluster, ok := config["cluster_addr"].(string); ok {
		config["api_addr"] = s.Address
		listener["cluster_address"] = strings.TrimPrefix(cluster, "https://")
	}
	if err := os.Mkdir(s.plugins, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	config["plugin_directory"] = s.plugins
	config["disable_mlock"] = true
	config["listener"] = map[string]any{"tcp": listener}
	data, err := json.Marshal(config)
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.configFile(), data, 0o600); err != nil {
		return err
	}
	s.Client, err = newClient(s.Address, s.CAFile)
	return err
}

func (s *Server) configFile() string { return filepath.Join(s.dir, "config.json") }

// freePort finds a port below those that the kernel gives to clients: nobody
// else gets it while a server is down between two starts.
func freePort() (port int, err error) {
	for range 50 {
		port = 20000 + rand.IntN(12000)
		var l net.Listener
		if l, err = net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, err
}

// initialize makes the server one of its own, unsealed and active.
func (s *Server) initialize(ctx context.Context) error {
	init, err := s.Client.Sys().InitWithContext(ctx, &api.InitRequest{SecretShares: 1, SecretThreshold: 1})
	if err != nil {
		return err
	}
	s.belongs(init.KeysB64[0], init.RootToken)
	if err := s.unseal(ctx); err != nil {
		return err
	}
	return s.active(ctx)
}

func (s *Server) belongs(unsealKey, rootToken string) {
	s.unsealKey, s.RootToken = unsealKey, rootToken
	s.Client.SetToken(rootToken)
}

func (s *Server) unseal(ctx context.Context) error {
	status, err := s.Client.Sys().UnsealWithContext(ctx, s.unsealKey)
	if err == nil && status.Sealed {
		err = errors.New("still sealed")
	}
	return err
}

// unsealed unseals the server and, if it is alone, waits for it to lead: with
// storage that could be that of others too, that takes a moment.
func (s *Server) unsealed(ctx context.Context) error {
	if err := s.unseal(ctx); err != nil || !s.alone {
		return err
	}
	return s.active(ctx)
}

func (s *Server) active(ctx context.Context) error {
	return poll(ctx, func() bool {
		health, err := s.Client.Sys().HealthWithContext(ctx)
		return err == nil && !health.Sealed && !health.Standby
	})
}
