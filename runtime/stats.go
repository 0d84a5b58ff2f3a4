package kixx

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// Stats says what a database holds in memory and has done since it was opened, in all its namespaces: see [DB.Stats]. What
// is counted only grows.
type Stats struct {
	Cache CacheStats

	Commits   uint64 // of documents, that were applied
	Conflicts uint64 // commits that were refused, because something they depend on had been changed
	Retries   uint64 // tries of updates and transactions that were begun anew after a conflict

	Watchers int // loops over [Repo.Watch] that are running

	Store store.Stats // as far as the store counts
}

// CacheStats are about the decoded documents in memory.
type CacheStats struct {
	Bytes     int64 // about how much they take
	Budget    int64 // about how much they may take, see [WithCacheBytes]
	Documents int

	Hits      uint64 // documents that were there when they were looked for
	Misses    uint64 // documents that were not, those included that are not stored at all
	Evictions uint64 // documents that had to go for others
}

// counts is what a database counts, beside its cache.
type counts struct {
	commits, conflicts, retries atomic.Uint64
	watchers                    atomic.Int64
}

// Stats returns the counts of this moment, which are not taken at one instant. It does no I/O, costs a few microseconds,
// and may be called at any time, also after Close.
func (db *DB) Stats() Stats {
	c := db.core
	out := Stats{
		Cache:     c.cache.stats(),
		Commits:   c.counts.commits.Load(),
		Conflicts: c.counts.conflicts.Load(),
		Retries:   c.counts.retries.Load(),
		Watchers:  int(c.counts.watchers.Load()),
	}
	if st, ok := c.st.(store.StatsReporter); ok {
		out.Store = st.Stats()
	}
	return out
}

// Health returns nil if reads and writes work, as far as the store knows. Else the error says what does not: it is
// [ErrClosed]; [ErrFailed], after a write or a sync that failed; [ErrFull], while the disk is full; [ErrUnavailable], if the
// server cannot be reached; or the trouble of work in the background that fails again and again. Health writes nothing.
// Of a store that does not know it reads one key. Indexes that are not ready are the matter of [DB.Ready].
func (db *DB) Health(ctx context.Context) error {
	c := db.core
	if c.closed.Load() {
		return ErrClosed
	}
	var err error
	if st, ok := c.st.(store.HealthReporter); ok {
		err = st.Health(ctx)
	} else {
		_, err = c.st.Get(ctx, catalogueKey(db.id, "namespace"))
	}
	if err != nil {
		return fmt.Errorf("kixx: health: %w", err)
	}
	return nil
}
