package filestore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// counts is what a store counts for [Store.Stats] and [Store.Health].
type counts struct {
	flushes, merges atomic.Uint64
	lastError       atomic.Pointer[string]

	full error // the last group met a full disk; under wmu

	// under mu
	replay                        point // from where an opening would replay the log
	replaySeg                     segID
	flushing, merging, compacting failures
}

// failures says why the last try of something failed; nil: it did not; and how many have failed in a row.
type failures struct {
	err error
	n   int
}

// ended notes how a try went. mu is held.
func (f *failures) ended(err error) {
	f.err = err
	if f.n++; err == nil {
		f.n = 0
	}
}

var (
	_ store.StatsReporter  = (*Store)(nil)
	_ store.HealthReporter = (*Store)(nil)
)

// opened takes over what the manifest says. Nobody else has the store yet.
func (c *counts) opened(m *manifest) {
	c.replay, c.replaySeg = m.replay, m.replaySeg
}

// erred keeps the text of an error.
func (c *counts) erred(err error) {
	text := err.Error()
	c.lastError.Store(&text)
}

// wrote notes how the write of a group went. wmu is held.
func (c *counts) wrote(err error) {
	c.full = nil
	if err != nil {
		c.erred(err)
		if isFull(err) {
			c.full = err
		}
	}
}

// Stats returns what the store holds and has done, see [store.StatsReporter]. DeadBytes are those of segments that can be
// compacted; what documents that were overwritten or deleted lately take counts when runs are merged.
func (s *Store) Stats() store.Stats {
	c := &s.counts
	u := s.usage()
	s.compaction.mu.Lock()
	compactions := s.compaction.done
	s.compaction.mu.Unlock()
	segs := s.commitLog.segments.all()
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := store.Stats{
		MemoryKeys: s.delta.Len(),
		Runs:       len(s.ver.runs),
		Segments:   len(segs),
		DeadBytes:  u.dead(),
		BlockCache: store.BlockCacheStats{
			Bytes:  s.blocks.used.Load(),
			Budget: s.blocks.budget,
			Hits:   s.blocks.hits.Load(),
			Misses: s.blocks.misses.Load(),
		},
		Flushes: c.flushes.Load(),
		Merges:  c.merges.Load(),

		Compactions: uint64(compactions),

		Syncs:   s.commitLog.segments.syncs.Load(),
		Durable: fmt.Sprintf("%s:%d", s.endSeg.name, min(s.endSeg.durable.Load(), s.end.end)),
	}
	if s.frozen != nil {
		out.MemoryKeys += s.frozen.Len()
	}
	for _, r := range s.ver.runs {
		out.RunBytes += r.size
	}
	for _, g := range segs {
		n := s.segmentEnd(g)
		out.SegmentBytes += n
		switch {
		case g.id == c.replaySeg:
			out.LogBytes += n - c.replay.end
		case g.id > c.replaySeg:
			out.LogBytes += n
		}
	}
	if text := c.lastError.Load(); text != nil {
		out.LastError = *text
	}
	return out
}

// segmentEnd returns where the frames of a segment end. mu is held.
func (s *Store) segmentEnd(g *segment) int64 {
	if g == s.endSeg {
		return s.end.end
	}
	if g.sealed.Load() {
		return g.end
	}
	return g.durable.Load() // nothing of it is published yet
}

// Health says what keeps reads or writes from working, see [store.HealthReporter]. A flush or a merge that has failed once
// is tried again, since it may have met a passing trouble: it is an error if commits wait for it, or when it fails again.
func (s *Store) Health(ctx context.Context) error {
	if err := s.readable(ctx); err != nil {
		return err
	}
	s.wmu.Lock()
	failed, noSpace := s.failed, s.counts.full
	s.wmu.Unlock()
	switch {
	case failed != nil:
		return fmt.Errorf("filestore: %s: %w: %w", s.dir, store.ErrFailed, failed)
	case noSpace != nil:
		return fmt.Errorf("filestore: %s: %w", s.dir, noSpace)
	}
	return s.backgroundHealth()
}

func (s *Store) backgroundHealth() error {
	s.mu.RLock()
	what, failed := "a run could not be written", s.counts.flushing
	if failed.n == 0 {
		what, failed = "runs could not be merged", s.counts.merging
	}
	if failed.n == 0 {
		what, failed = "a segment could not be compacted", s.counts.compacting
	}
	s.mu.RUnlock()
	if err := failed.err; failed.n > 1 || failed.n == 1 && s.flushing.over.Load() {
		if isFull(err) && !errors.Is(err, store.ErrFull) {
			err = full(err)
		}
		return fmt.Errorf("filestore: %s: %s, tried %d times: %w", s.dir, what, failed.n, err)
	}
	return nil
}
