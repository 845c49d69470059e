// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"context"
	"testing"
	"time"
)

// Quota makes the server answer with 429 and Retry-After what comes below a
// mount's path, or anywhere if that is empty, more often than rate times a
// second: for the rest of the second, or for the time of block if that is not
// 0. The mount of an auth method is auth/approle. It lasts until lifted or to
// the test's end. Each server of a cluster counts for itself.
func (s *Server) Quota(t testing.TB, path string, rate float64, block time.Duration) (lift func()) {
	t.Helper()
	s.Write(t, "sys/quotas/config", map[string]any{"enable_rate_limit_response_headers": true})
	const at = "sys/quotas/rate-limit/vaulttest"
	s.Write(t, at, map[string]any{"path": path, "rate": rate, "block_interval": block.String()})
	lifted := false
	lift = func() {
		t.Helper()
		if lifted {
			return
		}
		lifted = true
		// The test's context has ended in a cleanup, and so may have the server.
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		var last error
		err := poll(ctx, func() bool {
			select {
			case <-s.process.Exited:
				return true
			default:
			}
			_, last = s.Client.Logical().DeleteWithContext(ctx, at) // throttled itself, if path is empty
			return last == nil
		})
		if err != nil {
			t.Errorf("lift the quota: %v; last seen: %v", err, last)
		}
	}
	t.Cleanup(lift)
	return lift
}
