// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/vault/api"
)

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
