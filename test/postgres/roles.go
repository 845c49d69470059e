// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// psql runs SQL as a user and gives the rows, their columns apart with |.
func (s *Server) psql(user, password, sql string) (string, error) {
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		return "", err
	}
	cmd := s.command("psql", "--no-psqlrc", "--no-password", "--quiet", "--tuples-only", "--no-align",
		"--set=ON_ERROR_STOP=1", "--host="+host, "--port="+port, "--username="+user, "--dbname=postgres")
	cmd.Env = append(cmd.Env, "PGPASSWORD="+password, "PGCONNECT_TIMEOUT=10")
	cmd.Stdin = strings.NewReader(sql)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("psql: %w: %s", err, stderr.String())
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

// Exec runs SQL as the superuser and gives the rows, their columns apart with |.
func (s *Server) Exec(t testing.TB, sql string) string {
	t.Helper()
	out, err := s.psql("postgres", s.Password, sql)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Login is nil if the user can log in with the password, and read.
func (s *Server) Login(t testing.TB, user, password string) error {
	t.Helper()
	_, err := s.psql(user, password, "select 1")
	return err
}

// Roles are the users that the server has besides its own, in the order of
// their names.
func (s *Server) Roles(t testing.TB) []string {
	t.Helper()
	return strings.Fields(s.Exec(t, `select rolname from pg_roles where rolname !~ '^pg_' and rolname <> 'postgres' order by 1`))
}

// HasRole reports whether the server has a user.
func (s *Server) HasRole(t testing.TB, name string) bool {
	t.Helper()
	return slices.Contains(s.Roles(t), name)
}

// WaitRole waits until the server has a user, or has not.
func (s *Server) WaitRole(t testing.TB, name string, exists bool, timeout time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(timeout); s.HasRole(t, name) != exists; time.Sleep(20 * time.Millisecond) { // between polls
		if time.Now().After(deadline) {
			t.Fatalf("role %s after %v: it exists is %v, want %v", name, timeout, !exists, exists)
		}
	}
}
