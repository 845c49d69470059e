// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hashicorp/vault/api"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// servers are the servers of one cluster, of which any may answer.
type servers struct {
	addresses []*url.URL
	slots     chan struct{} // one for each request under way
	begun     chan struct{} // full from the first request on
	met       chan struct{} // closed when that has a connection, or will have none

	mu      sync.Mutex
	clients []*api.Client // one for each address; nil before connect
	current int           // the one that is asked first
}

func newServers(addresses []*url.URL) servers {
	return servers{
		addresses: addresses, slots: make(chan struct{}, maxParallel), begun: make(chan struct{}, 1), met: make(chan struct{}),
	}
}

// meet has the first request go alone, up to what it gives to call when that has
// a connection, or no server gave it one: those that come with it would each open
// a connection of their own, and try a server that is gone for themselves.
func (s *servers) meet(ctx context.Context) (met func(), err error) {
	select {
	case <-s.met:
		return func() {}, nil
	default:
	}
	select {
	case s.begun <- struct{}{}:
		return sync.OnceFunc(func() { close(s.met) }), nil
	case <-s.met:
		return func() {}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// checkAddresses refuses what would send a token where nobody wanted it.
func checkAddresses(addresses []string) ([]*url.URL, error) {
	if len(addresses) == 0 {
		return nil, fault.New(fault.Settings, `write address = "https://vault.example:8200" under [vault]`, "vault: no address")
	}
	var urls []*url.URL
	for i, a := range addresses {
		which := "the address"
		if len(addresses) > 1 {
			which = fmt.Sprintf("address %d of %d", i+1, len(addresses))
		}
		u, err := url.Parse(a)
		switch {
		case a == "" && len(addresses) == 1:
			return nil, fault.New(fault.Settings, `write address = "https://vault.example:8200" under [vault]`, "vault: no address")
		case err == nil && u.Scheme == "unix":
			if u.Host != "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || path.Clean(u.Path) != u.Path || u.Path == "/" {
				return nil, fault.New(fault.Settings, `write it as "unix:///run/vault/proxy.sock"`, "vault: %s is not unix:// and an absolute path", which)
			}
		case err != nil || u.Host == "" || u.Opaque != "" || (u.Scheme != "https" && u.Scheme != "http"):
			// The text of the error would repeat the address, with its password.
			hint := `write it as "https://vault.example:8200"`
			if strings.Count(a, ":") > 2 && !strings.Contains(a, "@") {
				hint += `, and with an IPv6 address as "https://[2001:db8::1]:8200"`
			}
			return nil, fault.New(fault.Settings, hint, "vault: %s is not an http, https or unix URL", which)
		case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
			return nil, settings("vault: %s must not have a user, query or fragment", which)
		case u.Scheme == "http" && !loopback(u.Hostname()):
			return nil, fault.New(fault.Settings, "write the address with https://", "vault: %s would send the token over the network in clear", u.Redacted())
		case path.Base(u.Path) == "v1":
			return nil, fault.New(fault.Settings, "take /v1 away: it is added to the address", "vault: %s is an address of Vault's API, and not of the server", u.Redacted())
		case !isPort(u.Port()):
			return nil, settings("vault: %s: a port is a number from 1 to 65535", u.Redacted())
		}
		urls = append(urls, &url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path})
	}
	return urls, nil
}

// isPort reports whether port can be one of a URL; "" is the scheme's.
func isPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && n > 0
}

// loopback reports whether host is this machine: what is sent there is on no
// network.
func loopback(host string) bool {
	return strings.EqualFold(host, "localhost") || net.ParseIP(host).IsLoopback()
}

// connect makes the clients. It dials nothing.
func (s *servers) connect(c Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clients != nil {
		return nil
	}
	var clients []*api.Client
	for _, address := range s.addresses {
		client, err := connect(c, address)
		if err != nil {
			return err
		}
		clients = append(clients, client)
	}
	s.clients = clients
	return nil
}

// setToken makes token the one of all requests from here on.
func (s *servers) setToken(token resolver.Value) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.clients {
		c.SetToken(token.Reveal())
	}
}

// prefer makes the server at address the one that is asked first. One that is
// not of the settings changes nothing.
func (s *servers) prefer(address string) {
	for i, u := range s.addresses {
		if u.String() == address {
			s.stay(i)
			return
		}
	}
}

// stay makes server i the one that is asked first.
func (s *servers) stay(i int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = i
}

// order is the order in which the servers are asked.
func (s *servers) order() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	order := make([]int, len(s.addresses))
	for i := range order {
		order[i] = (s.current + i) % len(order)
	}
	return order
}

// client is that of server i.
func (s *servers) client(i int) *api.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clients[i]
}

// at gives the server of that scheme, host and port. Only those of the settings
// are any: a token goes nowhere else.
func (s *servers) at(to *url.URL) (i int, ok bool) {
	i = slices.IndexFunc(s.addresses, func(u *url.URL) bool { return origin(u) == origin(to) })
	return i, i >= 0
}

// origin is scheme, host and port in one way of writing. Nothing redirects to a
// socket.
func origin(u *url.URL) string {
	if u.Scheme == "unix" {
		return u.String()
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// first is the client that is asked first.
func (s *servers) first() *api.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clients[s.current]
}

// String is the address that is asked, as errors show it.
func (s *servers) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addresses[s.current].String()
}
