// Package testhook is how package kixxtest reaches what package kixx does not show. The runtime sets its variables when a
// program starts.
package testhook

import (
	"context"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// Rival returns a batch that another writer might commit first, so that b meets a conflict: it writes one of the documents
// of b that are stored already, unchanged but for a new revision. If none of them is, it writes what b itself would. It
// returns nil if b writes no document, or would meet a conflict anyway.
var Rival func(ctx context.Context, st store.Reader, b *store.Batch) (*store.Batch, error)
