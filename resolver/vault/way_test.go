// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/resolver/vault"
	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// stranger is the uid of a user who is neither root nor in /etc/passwd.
const stranger = 12345

// TestAgents reads through Vault's own agents, which listen on a socket and a port
// of this machine and have a login of their own.
func TestAgents(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be several users")
	}
	tokens := reader(t, "agents/db")
	roleID, secretID := server.AppRoleWith(t, "approle", "agents", tokens)
	for _, kind := range []string{"proxy", "agent"} {
		for who, uid := range map[string]uint32{"0": 0, "daemon": 1, "12345": stranger} {
			t.Run(kind+" of "+who, func(t *testing.T) {
				t.Parallel()
				a := server.StartAgent(t, kind, uid, roleID, secretID)
				none, appRole := vault.Auth{Method: "none"}, vault.Auth{Method: "approle", RoleID: roleID, SecretIDFile: file(t, secretID)}
				read := func(address string, auth vault.Auth, edit func(*vault.Config)) error {
					c := config(server, kv2, "")
					c.Addresses, c.CACert, c.Auth, c.SocketOwner = []string{address}, "", auth, who
					edit(&c)
					_, err := get(t, source(t, c), 10*time.Second, "agents/db", 0)
					return err
				}
				as := func(*vault.Config) {}
				noError(t, read("unix://"+a.Socket, none, as), read("unix://"+a.Socket, appRole, as), read(a.Address, none, as), read(a.Address, appRole, as))
				wantFault(t, read("unix://"+a.Socket, none, func(c *vault.Config) { c.Mount = "absent" }), fault.Refused, "vault unix://"+a.Socket+": ", "the agent must add its token")

				sink := vault.Auth{Method: "token_file", TokenFile: a.Sink, TokenFileOwner: who}
				noError(t, read("unix://"+a.Socket, sink, as), read(server.Address, sink, func(c *vault.Config) { c.CACert = server.CAFile }))
				if uid == 0 {
					return
				}
				sink.TokenFileOwner = ""
				wantFault(t, read("unix://"+a.Socket, sink, as), fault.Refused, "token_file", fmt.Sprintf("belongs to uid %d", uid), "set token_file_owner")
				sink.TokenFileOwner = "backup"
				wantFault(t, read("unix://"+a.Socket, sink, as), fault.Refused, "token_file", fmt.Sprintf("belongs to uid %d", uid))
				for owner, hint := range map[string]string{"": "set socket_owner", "backup": ""} {
					err := read("unix://"+a.Socket, appRole, func(c *vault.Config) { c.SocketOwner = owner })
					wantFault(t, err, fault.Refused, filepath.Dir(a.Socket), fmt.Sprintf("belongs to uid %d", uid), hint)
				}
			})
		}
	}
	t.Run("nobody of that name", func(t *testing.T) {
		c := config(server, kv2, "")
		c.Addresses, c.Auth, c.SocketOwner = []string{"unix:///run/vault.sock"}, vault.Auth{Method: "none"}, "no-such-user"
		_, err := get(t, source(t, c), 5*time.Second, "agents/db", 0)
		wantFault(t, err, fault.Settings, `socket_owner: there is no user "no-such-user"`)
	})
}

// listenAs listens at a socket in a directory of root's, as whoever got hold of
// the path while the server was down, and gives what it was sent.
func listenAs(t *testing.T, uid int) (socket string, sent *bytes.Buffer, closed <-chan struct{}) {
	t.Helper()
	dir, err := os.MkdirTemp("", "socket") // which others may not write
	noError(t, err)
	t.Cleanup(func() { noError(t, os.RemoveAll(dir)) })
	socket = filepath.Join(dir, "vault.sock")
	listening := make(chan net.Listener, 1)
	go func() {
		runtime.LockOSThread() // and the thread ends with the goroutine
		if l, err := net.Listen("unix", socket); err == nil {
			// What counts is who calls listen, and the thread does so again.
			file, err := l.(*net.UnixListener).File()
			if err == nil {
				_, _, _ = unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)) // of this thread alone
				err = errors.Join(unix.Listen(int(file.Fd()), 1), file.Close())
			}
			if err == nil {
				listening <- l
			}
		}
		close(listening)
	}()
	l := <-listening
	if l == nil {
		t.Fatal("nobody listens")
	}
	t.Cleanup(func() { _ = l.Close() })
	sent = &bytes.Buffer{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if conn, err := l.Accept(); err == nil {
			_, _ = io.Copy(sent, conn)
			_ = conn.Close()
		}
	}()
	return socket, sent, done
}

// TestStrangersSocket has another user listen where the server should. Nothing
// must be sent.
func TestStrangersSocket(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be several users")
	}
	for _, owner := range []string{"", "root", "daemon"} {
		socket, sent, closed := listenAs(t, stranger)
		c := config(server, kv2, server.RootToken)
		c.Addresses, c.SocketOwner = []string{"unix://" + socket}, owner
		_, err := get(t, source(t, c), 5*time.Second, "db", 0)
		wantFault(t, err, fault.Refused, "vault unix://"+socket+": who listens there is uid 12345, and not root", "set socket_owner")
		<-closed
		if sent.Len() > 0 {
			t.Errorf("owner %q: it was sent %q", owner, sent)
		}
	}
	socket, sent, closed := listenAs(t, stranger)
	c := config(server, kv2, server.RootToken)
	c.Addresses, c.SocketOwner = []string{"unix://" + socket}, "12345"
	_, err := get(t, source(t, c), time.Second, "db", 0)
	wantFault(t, err, fault.Unreachable)
	<-closed
	if !strings.Contains(sent.String(), "X-Vault-Token") {
		t.Errorf("the owner of the settings was sent %q", sent)
	}
}

// TestSockets has sockets that are not there, not yet, and where others may write.
func TestSockets(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "vault.sock")
	c := config(server, kv2, server.RootToken)
	c.Addresses = []string{"unix://" + socket}
	_, err := get(t, source(t, c), time.Second, "db", 0)
	wantFault(t, err, fault.Unreachable, "vault unix://"+socket+": ", "last seen: it does not exist", "check the address under [vault]")
	c.Addresses = []string{"unix://" + dir + "/none/vault.sock"}
	_, err = get(t, source(t, c), time.Second, "db", 0)
	wantFault(t, err, fault.Unreachable, dir+"/none/vault.sock does not exist")

	c.Addresses = []string{"unix://" + socket}
	l, err := net.Listen("unix", socket)
	noError(t, err)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	noError(t, l.Close())
	_, err = get(t, source(t, c), time.Second, "db", 0)
	wantFault(t, err, fault.Unreachable, "last seen: connection refused")

	// Another address is asked instead, also for the login.
	c.Addresses = append(c.Addresses, server.Address)
	_, err = get(t, source(t, c), 5*time.Second, "absent", 0)
	wantFault(t, err, fault.Missing, "vault "+server.Address)

	c.Addresses = c.Addresses[:1]
	noError(t, os.Chmod(dir, 0o777|os.ModeSticky))
	_, err = get(t, source(t, c), 5*time.Second, "db", 0)
	wantFault(t, err, fault.Refused, dir+" has mode 0777, so its group can write it and others can write it")
}

// TestLogoutAtSocket revokes a token at the socket that it was got from, although
// nobody says any more who may listen there.
func TestLogoutAtSocket(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be several users")
	}
	c := appRole(t, vaulttest.Tokens{TTL: time.Hour})
	roleID, secretID := server.AppRole(t, "approle", "logout-at-socket")
	a := server.StartAgent(t, "proxy", stranger, roleID, secretID)
	c.Addresses, c.CACert, c.SocketOwner = []string{"unix://" + a.Socket}, "", "12345"
	succeed(t, c, "shared/db")
	got, err := vault.Logout(t.Context(), c.StateDir)
	if err != nil || got.Revoked != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestServerName has a server that is reached by another name than its
// certificate has.
func TestServerName(t *testing.T) {
	server.Put(t, 2, kv2, "containers/named", map[string]any{"K": canary})
	address, _ := relay(t, "127.0.0.2", server.Address)
	c := config(server, kv2, server.RootToken)
	c.Addresses = []string{address}
	_, err := get(t, source(t, c), 5*time.Second, "named", 0)
	wantFault(t, err, fault.Refused, "its certificate is not trusted: x509: certificate is valid for 127.0.0.1, not 127.0.0.2", "set tls_server_name")
	c.TLSServerName = "vault.internal"
	_, err = get(t, source(t, c), 5*time.Second, "named", 0)
	wantFault(t, err, fault.Refused, "its certificate is not trusted: x509: certificate is valid for localhost, not vault.internal", "set tls_server_name")
	c.TLSServerName = "localhost"
	_, err = get(t, source(t, c), 5*time.Second, "named", 0)
	noError(t, err)
	c.CACert = "" // a name does not make up for whom to trust
	_, err = get(t, source(t, c), 5*time.Second, "named", 0)
	wantFault(t, err, fault.Refused, "its certificate is not trusted", "set ca_cert")
}

// tunnel is an HTTP proxy that knows one host, and gives what it was asked for.
// status says how it answers the n-th request.
func tunnel(t *testing.T, to string, status func(n int64) int) (address string, asked chan string) {
	t.Helper()
	asked = make(chan string, 100)
	var n atomic.Int64
	l, err := net.Listen("tcp", "127.0.0.1:0")
	noError(t, err)
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.Host + " " + r.Header.Get("X-Vault-Token")
		code := status(n.Add(1))
		if code != http.StatusOK {
			w.WriteHeader(code)
			return
		}
		out, err := net.Dial("tcp", to)
		if err != nil {
			t.Error(err)
			return
		}
		w.WriteHeader(code)
		in, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
		_, _ = io.Copy(in, out)
		_ = in.Close()
	})}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return "http://" + l.Addr().String(), asked
}

// TestProxy goes through a proxy, which sees a host and nothing that is sent
// there, to a name that this machine does not know.
func TestProxy(t *testing.T) {
	server.Put(t, 2, kv2, "containers/proxied", map[string]any{"K": canary})
	before := proxied.Load()
	always := func(code int) func(int64) int { return func(int64) int { return code } }
	for name, tt := range map[string]struct {
		address string
		status  func(int64) int
		asked   int         // -1 for once or more: a client may open several connections
		class   fault.Class // 0 for success
		texts   []string
	}{
		"open":                 {"https://vault.invalid:8200", always(200), -1, 0, nil},
		"not to this machine":  {server.Address, always(200), 0, 0, nil},
		"it does not reach it": {"https://vault.invalid:8200", always(502), -1, fault.Unreachable, []string{"vault https://vault.invalid:8200: ", "does not reach it (HTTP 502)"}},
		"it reaches it later":  {"https://vault.invalid:8200", func(n int64) int { return map[bool]int{true: 503, false: 200}[n < 3] }, -1, 0, nil},
		"it wants a login":     {"https://vault.invalid:8200", always(407), 1, fault.Refused, []string{"does not let it through (HTTP 407)", "allow CONNECT"}},
		"it does not let by":   {"https://vault.invalid:8200", always(403), 1, fault.Refused, []string{"does not let it through (HTTP 403)"}},
		"it is not there":      {"https://vault.invalid:8200", nil, 0, fault.Unreachable, []string{"last seen: the proxy: connection refused", "check proxy"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(server, kv2, server.RootToken)
			c.Addresses, c.TLSServerName = []string{tt.address}, "localhost"
			asked := make(chan string)
			if tt.status == nil {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				noError(t, err)
				c.Proxy = "http://" + l.Addr().String()
				noError(t, l.Close())
			} else {
				c.Proxy, asked = tunnel(t, strings.TrimPrefix(server.Address, "https://"), tt.status)
			}
			_, err := get(t, source(t, c), 2*time.Second, "proxied", 0)
			if tt.class == 0 {
				noError(t, err)
			} else {
				wantFault(t, err, tt.class, tt.texts...)
			}
			n := 0
			for ; len(asked) > 0; n++ {
				if got := <-asked; got != "CONNECT vault.invalid:8200 " {
					t.Errorf("it was asked %q", got)
				}
			}
			if n != tt.asked && (n == 0 || tt.asked >= 0) {
				t.Errorf("it was asked %d times, want %d", n, tt.asked)
			}
		})
	}
	if n := proxied.Load() - before; n != 0 {
		t.Errorf("%d connections to the proxy of the environment", n)
	}
}
