package filestore

import (
	"context"
	"sync/atomic"
)

type progressKey struct{}

// A progressCount counts what a call has done.
type progressCount struct {
	done atomic.Int64
	f    func(done int64)
}

// WithProgress returns a context with which [Verify], [Repair], [Restore], [RestoreDir], [Store.Backup], [Store.BackupTo] and
// [Store.Compact] call f with how many bytes of files they have read since, all together. A call reads what it needs, some of
// it twice: what the total will be is not known. f is called often, by the goroutine that works, and must be quick.
func WithProgress(ctx context.Context, f func(done int64)) context.Context {
	return context.WithValue(ctx, progressKey{}, &progressCount{f: f})
}

// progressed counts n bytes for the progress of a call, if somebody wants to know.
func progressed(ctx context.Context, n int64) {
	if w, ok := ctx.Value(progressKey{}).(*progressCount); ok {
		w.f(w.done.Add(n))
	}
}
