// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"context"
	"sync/atomic"

	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/spec/limit"
)

// ErrBudget is a start whose sources would answer more than any start needs.
var ErrBudget error = fault.New(fault.Annotation, "ask for fewer or smaller secrets",
	"what the sources answer is more than %d bytes together", limit.Answers)

// budget is what the sources may still answer to one start, in bytes.
type budget struct {
	left atomic.Int64
	end  context.CancelFunc // of all reads: without one of them the start fails
}

type budgetKey struct{}

// withBudget gives a context within which [Spend] counts, and what ends it.
func withBudget(ctx context.Context) (context.Context, *budget) {
	b := &budget{}
	b.left.Store(limit.Answers)
	ctx, b.end = context.WithCancel(ctx)
	return context.WithValue(ctx, budgetKey{}, b), b
}

// Spend counts n bytes that a source reads in ctx, before it makes anything of
// them. Its error is [ErrBudget], also for a source that has read no more than it
// may where another one has. Outside of a start nothing is counted.
func Spend(ctx context.Context, n int) error {
	b, ok := ctx.Value(budgetKey{}).(*budget)
	if !ok || b.left.Add(-int64(n)) >= 0 {
		return nil
	}
	b.end()
	return ErrBudget
}
