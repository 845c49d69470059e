// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"context"
	"errors"
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

// raftServer makes a server of a cluster, with a directory of its own.
func raftServer(dir, binary string, certs certificates) (*Server, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	s := &Server{binary: binary, dir: dir, plugins: filepath.Join(filepath.Dir(dir), "plugins")}
	config, err := s.raft()
	if err != nil {
		return nil, err
	}
	return s, s.configure(certs, config)
}

// raft is the configuration of storage that stays, of a server that is quick to
// notice what becomes of the others: Vault's defaults are for networks, and
// take seconds.
func (s *Server) raft() (map[string]any, error) {
	data := filepath.Join(s.dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return nil, err
	}
	port, err := freePort()
	return map[string]any{
		"cluster_addr": fmt.Sprintf("https://127.0.0.1:%d", port),
		"storage": map[string]any{"raft": map[string]any{
			"path": data, "node_id": filepath.Base(s.dir), "performance_multiplier": "1",
			"autopilot_reconcile_interval": "50ms", "autopilot_update_interval": "50ms",
		}},
	}, err
}

// found makes the first server the cluster. Without the setting of autopilot a
// new server would be without a vote for ten seconds.
func (c *Cluster) found(ctx context.Context, s *Server) error {
	if err := s.initialize(ctx); err != nil {
		return err
	}
	c.RootToken = s.RootToken
	_, err := s.Client.Logical().WriteWithContext(ctx, "sys/storage/raft/autopilot/configuration",
		map[string]any{"server_stabilization_time": "1ms"})
	return err
}

func (c *Cluster) join(ctx context.Context, s *Server) error {
	ca, err := os.ReadFile(c.CAFile)
	if err != nil {
		return err
	}
	first := c.Servers[0]
	_, err = s.Client.Sys().RaftJoinWithContext(ctx, &api.RaftJoinRequest{
		LeaderAPIAddr: first.Address, LeaderCACert: string(ca),
	})
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	s.belongs(first.unsealKey, first.RootToken)
	// The answer to the challenge of the leader: sealed until it took that.
	var last error
	if err := poll(ctx, func() bool { last = s.unseal(ctx); return last == nil }); err != nil {
		return fmt.Errorf("unseal: %w; last seen: %w", err, last)
	}
	return nil
}

// complete waits until every server has a vote and knows the leader.
func (c *Cluster) complete(ctx context.Context) error {
	last := errors.New("not asked")
	err := poll(ctx, func() bool {
		var state *api.AutopilotState
		state, last = c.Servers[0].Client.Sys().RaftAutopilotStateWithContext(ctx)
		if last == nil && (state == nil || len(state.Voters) != len(c.Servers) || !state.Healthy) {
			last = fmt.Errorf("%+v", state)
		}
		return last == nil
	})
	if err != nil {
		return fmt.Errorf("%w; last seen: %w", err, last)
	}
	return poll(ctx, func() bool {
		for _, s := range c.Servers {
			if r, err := s.Client.Sys().LeaderWithContext(ctx); err != nil || r.LeaderAddress == "" {
				return false
			}
		}
		return true
	})
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
