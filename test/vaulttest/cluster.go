// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

// Cluster is servers that share their data with raft. Each has its own port,
// directory and process, and all have the same CA, root token and unseal key:
// Server's Stop, Freeze, Thaw, Restart and Seal are the faults to make.
//
// A standby passes a request on to the leader by itself. The header
// X-Vault-No-Request-Forwarding with any value makes it answer with a redirect
// (307) to the leader's api_addr instead; Vault has no setting for that.
type Cluster struct {
	Servers   []*Server
	CAFile    string
	RootToken string

	dir string
}

// StartCluster starts a cluster of n servers for one test and stops it at the
// test's end. It has a leader, and every server votes.
func StartCluster(t testing.TB, n int) *Cluster {
	t.Helper()
	c, err := LaunchCluster(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// LaunchCluster starts a cluster, for a TestMain that serves a whole package.
// The caller closes it.
func LaunchCluster(n int) (*Cluster, error) {
	binary, err := Binary()
	if err != nil {
		return nil, err
	}
	for range 5 { // as Launch
		var c *Cluster
		if c, err = launchCluster(binary, n); err == nil {
			return c, nil
		}
	}
	return nil, err
}

func launchCluster(binary string, n int) (_ *Cluster, err error) {
	dir, err := os.MkdirTemp("", "vaulttest")
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir}
	defer func() {
		if err != nil {
			for _, s := range c.Servers {
				err = fmt.Errorf("%w\n%s: %s", err, s.Address, s.Log())
			}
			c.Close()
		}
	}()
	certs, err := makeCertificates(dir)
	if err != nil {
		return nil, err
	}
	c.CAFile = certs.ca
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for i := range n {
		s, err := raftServer(filepath.Join(dir, fmt.Sprint(i)), binary, certs)
		if err != nil {
			return nil, err
		}
		c.Servers = append(c.Servers, s)
		if err := s.run(ctx); err != nil {
			return nil, fmt.Errorf("start %s: %w", binary, err)
		}
		if i == 0 {
			err = c.found(ctx, s)
		} else {
			err = c.join(ctx, s)
		}
		if err != nil {
			return nil, err
		}
	}
	return c, c.complete(ctx)
}

// Addresses are the servers' addresses, in their order.
func (c *Cluster) Addresses() []string {
	var addresses []string
	for _, s := range c.Servers {
		addresses = append(addresses, s.Address)
	}
	return addresses
}

// Leader is the active server.
func (c *Cluster) Leader(t testing.TB) *Server {
	t.Helper()
	s := c.leader(t.Context())
	if s == nil {
		t.Fatal("the cluster has no leader")
	}
	return s
}

// WaitLeader waits for a leader, and gives it.
func (c *Cluster) WaitLeader(t testing.TB) *Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var s *Server
	if err := poll(ctx, func() bool { s = c.leader(ctx); return s != nil }); err != nil {
		var logs strings.Builder
		for _, s := range c.Servers {
			fmt.Fprintf(&logs, "\n%s: %s", s.Address, s.Log())
		}
		t.Fatalf("no leader: %v%s", err, logs.String())
	}
	return s
}

// leader asks each server who leads. A thawed leader believes in itself for a
// moment: it must be the one of most servers.
func (c *Cluster) leader(ctx context.Context) *Server {
	ctx, cancel := context.WithTimeout(ctx, time.Second) // a frozen server never answers
	defer cancel()
	type answer struct {
		from *Server
		*api.LeaderResponse
	}
	answers := make(chan answer, len(c.Servers))
	for _, s := range c.Servers {
		go func() {
			r, err := s.Client.Sys().LeaderWithContext(ctx)
			if err != nil {
				r = &api.LeaderResponse{}
			}
			answers <- answer{s, r}
		}()
	}
	votes, leads := map[string]int{}, map[string]*Server{}
	for range c.Servers {
		a := <-answers
		votes[a.LeaderAddress]++
		if a.IsSelf {
			leads[a.LeaderAddress] = a.from
		}
		if s := leads[a.LeaderAddress]; s != nil && votes[a.LeaderAddress] > len(c.Servers)/2 {
			return s
		}
	}
	return nil
}

// Calls is Server's Calls for the whole cluster, which has one audit log: who
// leads writes it, and f may change who that is.
func (c *Cluster) Calls(t testing.TB, f func()) []Call {
	t.Helper()
	return calls(t, func() *api.Client { return c.WaitLeader(t).Client }, f)
}

// Close stops the servers and removes what they left.
func (c *Cluster) Close() {
	for _, s := range c.Servers {
		s.Close()
	}
	_ = os.RemoveAll(c.dir) // temporary
}
