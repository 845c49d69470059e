// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/test/child"
)

// Agent is a `vault agent` or `vault proxy` that has logged in by itself and adds
// its token to what it passes on. A test's own user runs it, or the one that it
// says.
type Agent struct {
	Socket  string // the path of a unix listener
	Address string // of a TCP listener without TLS
	Sink    string // the file with its token
}

// StartAgent starts one that logs in with a role of approle, and waits for its
// token. kind is "agent" or "proxy"; uid is who runs it.
func (s *Server) StartAgent(t testing.TB, kind string, uid uint32, roleID, secretID string) *Agent {
	t.Helper()
	// Not t.TempDir, whose parent is closed to other users.
	dir, err := os.MkdirTemp("", "vault"+kind)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // temporary
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	a := &Agent{filepath.Join(dir, "socket"), fmt.Sprintf("http://127.0.0.1:%d", port), filepath.Join(dir, "token")}
	for name, text := range map[string]string{"ca.pem": string(ca), "role-id": roleID, "secret-id": secretID, "config.hcl": fmt.Sprintf(`
vault { address = %q ca_cert = "%[2]s/ca.pem" }
auto_auth {
	method "approle" {
		config = { role_id_file_path = "%[2]s/role-id" secret_id_file_path = "%[2]s/secret-id" remove_secret_id_file_after_reading = false }
	}
	sink "file" { config = { path = %[3]q } }
}
api_proxy { use_auto_auth_token = true }
listener "unix" { address = %[4]q tls_disable = true require_request_header = true }
listener "tcp" { address = "127.0.0.1:%[5]d" tls_disable = true require_request_header = true }
`, s.Address, dir, a.Sink, a.Socket, port)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(filepath.Join(dir, name), int(uid), -1); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(dir, int(uid), -1); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }() // the child has its own
	binary, err := os.Open(s.binary)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = binary.Close() }() // the child has its own
	// By its descriptor: another user need not get to where it is.
	cmd := exec.Command("/proc/self/fd/3", kind, "-config="+filepath.Join(dir, "config.hcl"))
	cmd.ExtraFiles = []*os.File{binary}
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, dir
	cmd.Env = []string{"HOME=" + dir, "TMPDIR=" + dir} // none of the test's VAULT_* variables
	if uid != uint32(os.Geteuid()) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	process, err := child.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(process.End)
	err = poll(t.Context(), func() bool {
		token, err := os.ReadFile(a.Sink)
		return err == nil && len(token) > 0 && unix.Access(a.Socket, unix.W_OK) == nil
	})
	if err != nil {
		text, _ := os.ReadFile(log.Name()) // for the message
		t.Fatalf("start vault %s: %v\n%s", kind, err, text)
	}
	return a
}
