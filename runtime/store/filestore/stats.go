package filestore

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// counts is what a store counts for [Store.Stats] and [Store.Health].
type counts struct {
	flushes, merges atomic.Uint64
	lastError       atomic.Pointer[string]

	sealed map[segID]int64 // where the segments end that were sealed before the store was opened; not changed any more

	full error // the last group met a full disk; under wmu

	// under mu
	replay     point // from where an opening would replay the log
	replaySeg  segID
	background error // why the last flush or merge failed; nil: it did not
	failures   int   // so many in a row
}

var (
	_ store.StatsReporter  = (*Store)(nil)
	_ store.HealthReporter = (*Store)(nil)
)

// opened takes over what the manifest says. Nobody else has the store yet.
func (c *counts) opened(m *manifest) {
	c.sealed = make(map[segID]int64, len(m.sealed))
	for _, k := range m.sealed {
		c.sealed[k.id] = k.end
	}
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

// ended notes how a flush and a merge went. mu is held.
func (c *counts) ended(err error) {
	c.background = err
	if err == nil {
		c.failures = 0
		return
	}
	c.failures++
	c.erred(err)
}

// Stats returns what the store holds and has done, see [store.StatsReporter]. DeadBytes and Compactions are zero.
func (s *Store) Stats() store.Stats {
	c := &s.counts
	segs := s.commitLog.segments.all()
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := store.Stats{
		MemoryKeys: s.delta.Len(),
		Runs:       len(s.ver.runs),
		Segments:   len(segs),
		BlockCache: store.BlockCacheStats{
			Bytes:  s.blocks.used.Load(),
			Budget: s.blocks.budget,
			Hits:   s.blocks.hits.Load(),
			Misses: s.blocks.misses.Load(),
		},
		Flushes: c.flushes.Load(),
		Merges:  c.merges.Load(),
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
	// A segment that this store has sealed was synced before; one behind endSeg has nothing published yet.
	return max(s.counts.sealed[g.id], g.durable.Load())
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
	err, n := s.counts.background, s.counts.failures
	s.mu.RUnlock()
	switch {
	case n == 0, n == 1 && !s.flushing.over.Load():
		return nil
	case isFull(err):
		return fmt.Errorf("filestore: %s: a run could not be written, tried %d times: %w", s.dir, n, full(err))
	}
	return fmt.Errorf("filestore: %s: a run could not be written, tried %d times: %w", s.dir, n, err)
}
