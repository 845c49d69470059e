// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/resolver/private"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// checkWay refuses a way to the servers that would send in clear what is not to
// be seen, or have somebody else's login used.
func (c Config) checkWay(addresses []*url.URL) error {
	if c.Auth.Method == "none" && slices.ContainsFunc(addresses, func(u *url.URL) bool { return u.Scheme != "unix" && !loopback(u.Hostname()) }) {
		return fault.New(fault.Settings, "write the address of a Vault Agent or Proxy on this machine, as unix:// where it can be",
			"vault: auth method none is for an agent on this machine that has a login of its own")
	}
	if c.Proxy == "" {
		return nil
	}
	const hint = `write it as "http://proxy.example:3128"; what goes through it is encrypted all the same`
	switch u, err := url.Parse(c.Proxy); {
	case err != nil || u.Scheme != "http" || u.Hostname() == "" || u.Opaque != "" || u.Path != "" && u.Path != "/" || !isPort(u.Port()):
		return fault.New(fault.Settings, hint, "vault: proxy is not an http URL")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return fault.New(fault.Settings, hint, "vault: proxy must not have a user, query or fragment")
	}
	return nil
}

// proxyFor is the proxy on the way to an address. There is none to this machine,
// nor for what is not encrypted.
func (c Config) proxyFor(address *url.URL) (func(*http.Request) (*url.URL, error), error) {
	if c.Proxy == "" || address.Scheme != "https" || loopback(address.Hostname()) {
		return nil, nil
	}
	proxy, err := url.Parse(c.Proxy)
	if err != nil {
		return nil, settings("vault: proxy is not an http URL")
	}
	return http.ProxyURL(proxy), nil
}

// connected looks at a proxy's answer to CONNECT. A no of its own lasts; that it
// does not reach the server may pass.
func connected(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	switch {
	case resp.StatusCode == http.StatusOK:
		return nil
	case resp.StatusCode < http.StatusInternalServerError:
		return fault.New(fault.Refused, "have the proxy allow CONNECT to that host and port, without a login of its own",
			"the proxy %s does not let it through (HTTP %d)", proxy.Host, resp.StatusCode)
	}
	return fmt.Errorf("the proxy %s does not reach it (HTTP %d)", proxy.Host, resp.StatusCode)
}

// dialSocket connects to a unix socket, and looks who listens there before
// anything is sent: root, the user that we are, or the owner that the settings
// name. While the server is down, a path where others may write is anybody's, so
// its directory is looked at as well: within a user namespace all users of the
// host that it has no number for look like root (see package private).
//
// The kernel says who it is (SO_PEERCRED, unix(7)): whoever called listen.
func dialSocket(ctx context.Context, socket, owner string) (net.Conn, error) {
	also, err := owners("socket_owner", owner)
	if err != nil {
		return nil, err
	}
	place, err := private.Locate(socket)
	if err != nil {
		return nil, err
	}
	defer place.Close()
	if err := place.CheckDirectory(also...); err != nil {
		return nil, orNamed(err, also, "socket_owner under [vault]")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", place.Path())
	if err != nil {
		return nil, err
	}
	listener, err := peer(conn.(*net.UnixConn))
	if err == nil && !private.Trusts(listener.Uid, also...) {
		err = fault.New(fault.Refused, "set socket_owner under [vault] to the user that the agent runs as, if it is the right one",
			"who listens there is uid %d, and not root", listener.Uid)
	}
	if err != nil {
		_ = conn.Close() // nothing was sent
		return nil, err
	}
	return conn, nil
}

// peer is who is at the other end.
func peer(conn *net.UnixConn) (*unix.Ucred, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) { cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return nil, err
	}
	return cred, failed
}
