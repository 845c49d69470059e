// SPDX-License-Identifier: Apache-2.0

// Package postgres runs the genuine PostgreSQL server for tests: a new database
// in a temporary directory, on a free port of 127.0.0.1 and on no socket. It
// tells who may log in, which is what Vault's database engine changes.
//
// The server dies with the process that started it, also when that is killed,
// and leaves nothing but a temporary directory behind then.
package postgres

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/test/child"
)

// Server is a running server. Its superuser is postgres.
type Server struct {
	Address  string // host:port
	Password string // of the superuser

	bin     string
	dir     string
	as      *syscall.Credential
	process *child.Process
}

// Start starts a server for one test and stops it at the test's end.
func Start(t testing.TB) *Server {
	t.Helper()
	s, err := Launch()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Launch starts a server, for a TestMain that serves a whole package. The
// caller closes it.
func Launch() (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	// Another process may take the port between the choice and the use.
	for range 5 {
		var s *Server
		if s, err = launch(bin); err == nil {
			return s, nil
		}
	}
	return nil, err
}

// programs is where Debian has the server's programs, of the newest version.
func programs() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", errors.New("this test needs a PostgreSQL server and there is none; install it with\n\ttest/setup/packages.sh test")
	}
	return filepath.Dir(found[len(found)-1]), nil
}

func launch(bin string) (_ *Server, err error) {
	dir, err := os.MkdirTemp("", "postgres")
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, dir: dir, Password: rand.Text()}
	defer func() {
		if err != nil {
			err = fmt.Errorf("start %s/postgres: %w\n%s", bin, err, s.Log())
			s.Close()
		}
	}()
	if err := s.unprivileged(); err != nil {
		return nil, err
	}
	if err := s.create(); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.Address = l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	return s, s.run()
}

// unprivileged gives the directory to the user postgres: the server refuses to
// run as root.
func (s *Server) unprivileged() error {
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return err
	}
	s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(s.dir, int(uid), int(gid))
}

// create makes the files of an empty database.
func (s *Server) create() error {
	password := filepath.Join(s.dir, "password")
	if err := os.WriteFile(password, []byte(s.Password), 0o600); err != nil {
		return err
	}
	if s.as != nil {
		if err := os.Chown(password, int(s.as.Uid), int(s.as.Gid)); err != nil {
			return err
		}
	}
	out, err := s.command("initdb", "--no-sync", "--no-instructions", "--username=postgres", "--pwfile="+password,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--pgdata="+s.data()).CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return os.Remove(password)
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// command is one of PostgreSQL's programs, with nothing of the developer's PG*
// variables.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"HOME=" + s.dir, "PATH=/usr/bin:/bin", "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	return cmd
}

// run starts the server and waits until it takes connections. What it has need
// not survive it.
func (s *Server) run() error {
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		return err
	}
	args := []string{"-D", s.data()}
	for _, setting := range []string{
		"listen_addresses=" + host, "port=" + port, "unix_socket_directories=",
		"fsync=off", "synchronous_commit=off", "full_page_writes=off",
		"dynamic_shared_memory_type=mmap", // /dev/shm would keep what a killed server had there
	} {
		args = append(args, "-c", setting)
	}
	cmd := s.command("postgres", args...)
	cmd.Stdout, cmd.Stderr = log, log
	child.WithFamily(cmd.SysProcAttr)
	if s.process, err = child.Start(cmd); err != nil {
		return err
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) { // between polls
		_, err := s.psql("postgres", s.Password, "select 1")
		if err == nil {
			return nil
		}
		select {
		case <-s.process.Exited:
			return errors.New("the server ended")
		default:
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

// Log is what the server printed.
func (s *Server) Log() string {
	log, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(log)
}

// Stop ends the server and waits for that. Stopping twice is fine.
func (s *Server) Stop() {
	if s.process != nil {
		s.process.End()
	}
}

// Close stops the server and removes what it left.
func (s *Server) Close() {
	s.Stop()
	_ = os.RemoveAll(s.dir) // temporary
}
