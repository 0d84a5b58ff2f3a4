package filestore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// This file moves what is in memory to runs, and puts runs together.
//
// A flush freezes the delta, which gets no more changes, and writes it to a run:
//
//  1. The log is synced up to where the frozen keys end, whatever the durability mode: a run must not know of values that a
//     power cut can take.
//  2. The run is written under a temporary name, synced, renamed, and the directory synced.
//  3. The manifest names the run, and from where the log is to be replayed now.
//  4. Under mu the run takes the place of the frozen keys.
//
// A merge makes one run of several that follow each other, in the same steps without the first one. A crash between any
// two of them leaves files that the manifest does not name, which the next opening removes. One goroutine flushes and another
// one merges, so that no flush waits for a merge.

const (
	// flushLog is after how many bytes of log a flush is due at the latest: what is behind the last one is replayed by an
	// opening, and not compacted.
	flushLog = 64 << 20

	// mostRuns is how many runs there are when nothing is to be merged, at most.
	mostRuns = 4

	// tooManyRuns is with how many runs a flush waits for a merge: each one makes reading slower.
	tooManyRuns = 16

	// mergeRatio is how much larger a run must be than all newer ones together to be left alone by a merge.
	mergeRatio = 4

	// mostMerged is up to how many times the keys of a flush are merged by the flush itself.
	mostMerged = 8

	// paceBytes is after how many bytes of a run it is looked whether to wait or to end.
	paceBytes = 32 << 10

	// retryFlush and retryFlushMost are how long is waited after a flush that failed: first, and at most.
	retryFlush     = time.Second
	retryFlushMost = time.Minute
)

// flushing says when a flush is due, and lets commits wait for it.
type flushing struct {
	keys int           // how many keys the delta has when one is due
	kick chan struct{} // room for one
	quit chan struct{}

	flushes chan chan error // asks to write all keys in memory to a run

	over atomic.Bool // the delta has twice as many keys: commits wait

	// under Store.mu
	asked  bool          // a flush is under way, or about to be
	bytes  int64         // of log since the delta was frozen
	ended  chan struct{} // closed when a flush has ended; nil: nobody waits
	err    error         // why the last one failed
	frozen point         // where the frozen keys end in the log
	seg    *segment

	retry Timer // of the flusher
	wait  time.Duration
}

// due starts a flush if it is time for one. mu is held.
func (f *flushing) due(s *Store) {
	n := s.delta.Len()
	if n >= 2*f.keys {
		f.over.Store(true)
	}
	if f.err == nil && (n >= f.keys || f.bytes >= flushLog) { // else the timer asks
		f.ask()
	}
}

// ask lets the flusher look. mu is held.
func (f *flushing) ask() {
	f.asked = true
	select {
	case f.kick <- struct{}{}:
	default:
	}
}

func (f *flushing) stop() { close(f.quit) }

// admit waits while the delta has as many keys as it may have. It returns an error if there will be no room: on a full
// disk, or when runs cannot be written for another reason.
func (f *flushing) admit(ctx context.Context, s *Store) error {
	for f.over.Load() {
		s.mu.Lock()
		if !f.over.Load() {
			s.mu.Unlock()
			return nil
		}
		if f.err != nil {
			err := f.err
			s.mu.Unlock()
			if isFull(err) {
				return full(err)
			}
			return fmt.Errorf("%w: what is in memory cannot be written to a run: %w", store.ErrFailed, err)
		}
		if f.ended == nil {
			f.ended = make(chan struct{})
		}
		ended := f.ended
		f.ask()
		s.mu.Unlock()
		select {
		case <-ended:
		case <-f.quit:
			return store.ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// flusher flushes when it is time.
func (s *Store) flusher() {
	defer s.workers.Done()
	f := &s.flushing
	defer func() {
		if f.retry != nil {
			f.retry.Stop()
		}
	}()
	for {
		select {
		case <-f.quit:
			return
		case done := <-f.flushes:
			err := s.commitLog.compactSpare.with(s.flushAll)
			s.flushEnded(err)
			done <- err
		case <-f.kick:
			err := s.awaitMerge()
			if err == nil {
				err = s.commitLog.compactSpare.with(func() error { return s.flush(false) })
			}
			if err == nil {
				s.commitLog.takeSpares()
			}
			s.flushEnded(err)
		}
	}
}

// awaitMerge waits while there are too many runs, as long as they are being merged.
func (s *Store) awaitMerge() error {
	for {
		s.mu.RLock()
		n, changed := len(s.ver.runs), s.runsChanged
		s.mu.RUnlock()
		if n < tooManyRuns || !s.merging.busy() {
			return nil
		}
		select {
		case <-changed:
		case <-s.flushing.quit:
			return store.ErrClosed
		}
	}
}

// rewrite makes one run of all there is.
func (s *Store) rewrite(ctx context.Context) error {
	if err := request(ctx, s, s.flushing.flushes); err != nil {
		return err
	}
	return request(ctx, s, s.merging.requests)
}

// mergeAll makes one run of all runs, but for those that are being emptied.
func (s *Store) mergeAll() error {
	s.merges.Lock()
	defer s.merges.Unlock()
	ver, runs := s.mergeable()
	defer ver.release()
	if len(runs) == 0 || len(runs) == 1 && runs[0].deleted == 0 {
		return nil
	}
	return s.merge(context.Background(), ver, len(runs), nil, &pacer{s: s, quit: s.flushing.quit})
}

// mergeable returns a version with a reference, and those of its runs that nobody merges now. s.merges is held.
func (s *Store) mergeable() (*version, []*run) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	ver := s.ver.acquire()
	if i := slices.Index(ver.runs, s.emptying); i >= 0 {
		return ver, ver.runs[:i]
	}
	return ver, ver.runs
}

// flushEnded tells who waits, and arranges for another try if there was an error.
func (s *Store) flushEnded(err error) {
	f := &s.flushing
	if err == nil {
		s.lookOver()
		s.merging.ask()
		s.compaction.ask()
	}
	closed := errors.Is(err, store.ErrClosed)
	if f.wait = min(max(retryFlush, 2*f.wait), retryFlushMost); err == nil || closed {
		f.wait = 0
	} else {
		s.counts.erred(err)
		s.log.Warn("filestore: a run could not be written; it is tried again", "dir", s.dir, "in", f.wait, "err", err)
		f.retry = start(s, f.retry, f.wait, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			f.ask()
		})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f.err, f.asked = err, len(f.kick) > 0
	if f.ended != nil {
		close(f.ended)
		f.ended = nil
	}
	if !closed {
		s.counts.flushing.ended(err)
	}
}

// flushAtClose saves the next opening from replaying much. Without it nothing is lost.
func (s *Store) flushAtClose() {
	s.mu.RLock()
	n, bytes := s.delta.Len(), s.flushing.bytes
	if s.frozen != nil {
		n += s.frozen.Len()
	}
	s.mu.RUnlock()
	if n <= s.flushing.keys/8 && bytes <= flushLog/64 {
		return
	}
	if err := s.flushAll(); err != nil {
		s.log.Warn("filestore: keys stay in the log, from where the next opening reads them", "dir", s.dir, "err", err)
	}
}

// flushAll writes all keys that are in memory at the time of the call to runs.
func (s *Store) flushAll() error {
	s.mu.RLock()
	frozen := s.frozen != nil
	s.mu.RUnlock()
	if frozen {
		if err := s.flush(false); err != nil {
			return err
		}
	}
	return s.flush(true)
}

// flush writes the frozen keys to a run; if there are none it freezes the delta before, if that is due or must be.
func (s *Store) flush(must bool) error {
	f := &s.flushing
	s.pmu.Lock()
	s.mu.Lock()
	if s.frozen == nil && (s.delta.Len() >= f.keys || f.bytes >= flushLog || must && (f.bytes > 0 || s.delta.Len() > 0)) {
		s.frozen, s.delta, s.view = s.delta, newDelta(), nil
		f.frozen, f.seg = s.end, s.endSeg
		f.bytes = 0
		f.over.Store(false)
	}
	frozen, ver := s.frozen, s.ver.acquire()
	s.mu.Unlock()
	s.pmu.Unlock()
	defer ver.release()
	if frozen == nil {
		return nil
	}
	if err := s.writable(); err != nil {
		return err
	}
	if err := s.syncTo(f.seg, f.frozen.end); err != nil {
		return err
	}
	if done, err := s.flushMerged(frozen, must); done || err != nil {
		return err
	}
	w := walk{wait: true, open: true, ntrees: 1, all: len(ver.runs) > 0}
	w.trees[0].reset(frozen)
	r, err := s.writeRun(context.Background(), &w, f.frozen.seq, s.newEmptying(nil, &pacer{s: s}))
	if err != nil {
		return err
	}
	return s.installFrozen(r, nil, nil, logEnd{f.seg, f.frozen})
}

// flushMerged flushes the frozen keys in one with the merge of all runs that would follow, if that is not much more work. done
// is false if it is no time for that, or no room.
func (s *Store) flushMerged(frozen *delta, must bool) (done bool, err error) {
	f := &s.flushing
	if must || !s.merges.TryLock() {
		return false, nil
	}
	defer s.merges.Unlock()
	ver, runs := s.mergeable()
	defer ver.release()
	keys := uint64(frozen.Len())
	all := append([]*run{{keys: keys}}, runs...)
	for _, r := range runs {
		keys += r.keys
	}
	if len(runs) == 0 || len(runs) < len(ver.runs) || mergeCount(all) < len(all) || keys > uint64(mostMerged*f.keys) {
		return false, nil
	}
	segs, end := s.ride(ver)
	defer end()
	w := newMerge(ver, len(runs))
	w.ntrees = 1
	w.trees[0].reset(frozen)
	m := s.newEmptying(segs, &pacer{s: s, quit: f.quit})
	if m.room(ver) != nil {
		return false, nil
	}
	r, err := s.writeRun(context.Background(), w, f.frozen.seq, m)
	if err != nil {
		return false, nil // no room, or an old run is damaged: the next merge tells
	}
	gone, floor := m.emptied(), logEnd{f.seg, f.frozen}
	if len(segs) > 0 { // also if all of them are damaged: some values may have been moved before that was found
		if floor, err = s.syncLog(); err != nil {
			return false, err
		}
	}
	if err := s.installFrozen(r, runs, gone, floor); err != nil {
		return false, err
	}
	s.counts.merges.Add(1)
	if len(gone) > 0 {
		s.compacted(len(gone))
	}
	return true, nil
}

// installFrozen puts r in the place of the frozen keys and of the runs merged, and removes segments of which r needs nothing.
// floor is up to where the log is on the disk.
func (s *Store) installFrozen(r *run, merged []*run, gone []*segment, floor logEnd) error {
	f := &s.flushing
	err := s.install(r, merged, gone, func(m *manifest) {
		m.replaySeg, m.replay = f.seg.id, f.frozen
		m.drop(gone, floor)
	}, func() {
		s.frozen = nil
		s.counts.replaySeg, s.counts.replay = f.seg.id, f.frozen
	})
	if err == nil {
		s.counts.flushes.Add(1)
	}
	return err
}

// writable returns the error after which nothing is written any more.
func (s *Store) writable() error {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	if s.failed != nil {
		return s.failedError()
	}
	return nil
}

// mergeDue merges the newest runs, if there are too many. If that is all runs, it empties a few segments besides.
func (s *Store) mergeDue() error {
	s.merges.Lock()
	defer s.merges.Unlock()
	ver, runs := s.mergeable()
	defer ver.release()
	n := mergeCount(runs)
	if n < 2 {
		return nil
	}
	var segs []*segment
	if n == len(ver.runs) {
		list, end := s.ride(ver)
		defer end()
		segs = list
	}
	p := pacer{s: s, quit: s.flushing.quit, rate: mergeRate, urgent: func() bool { return s.manyRuns() || s.compaction.over.Load() }}
	err := s.merge(context.Background(), ver, n, segs, &p)
	if isFull(err) && len(segs) > 0 {
		err = s.merge(context.Background(), ver, n, nil, &p)
	}
	if err != nil {
		return err
	}
	s.lookOver()
	s.compaction.ask()
	return nil
}

// ride returns the segments that a merge of all runs of ver is to empty on its way, and what is to be called after it. Of what
// was flushed since, the merge knows nothing, and must not empty any segment that only became free of replay by that.
func (s *Store) ride(ver *version) (segs []*segment, end func()) {
	if !s.compaction.tryBegin() {
		return nil, func() {}
	}
	if u := s.usageOf(ver); u.dead() > u.enough() {
		segs = u.emptiest(u.enough())
	}
	return segs, s.compaction.end
}

// manyRuns reports whether runs have come faster than they are merged.
func (s *Store) manyRuns() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.ver.runs) > 2*mostRuns
}

// merge makes one run of the newest n of ver, which are still there, and which nobody else merges meanwhile. If n is all of
// them, it can empty segments, which are removed then; for that the caller has the turn to compact.
func (s *Store) merge(ctx context.Context, ver *version, n int, segs []*segment, p *pacer) error {
	m := s.newEmptying(segs, p)
	if err := m.room(ver); err != nil {
		return err
	}
	r, err := s.writeRun(ctx, newMerge(ver, n), 0, m)
	if err != nil {
		return err
	}
	if len(segs) == 0 {
		err = s.install(r, ver.runs[:n], nil, func(*manifest) {}, func() {})
	} else {
		err = s.installEmptied(r, ver.runs[:n], m.emptied())
	}
	if err != nil {
		return err
	}
	s.counts.merges.Add(1)
	return nil
}

// newMerge returns a walk over the newest n runs of ver.
func newMerge(ver *version, n int) *walk {
	w := &walk{wait: true, open: true, aside: true, all: n < len(ver.runs), runs: make([]runCursor, n)}
	for i, r := range ver.runs[:n] {
		w.runs[i].reset(r)
	}
	return w
}

// installEmptied puts r in the place of the runs merged, and removes segments of which r needs nothing.
func (s *Store) installEmptied(r *run, merged []*run, gone []*segment) error {
	end, err := s.syncLog()
	if err != nil {
		return err
	}
	if err := s.install(r, merged, gone, func(m *manifest) { m.drop(gone, end) }, func() {}); err != nil {
		return err
	}
	s.compacted(len(gone))
	return nil
}

// mergeCount returns how many of the runs, the newest first, are to be merged: each one that is not much larger than all
// newer ones together, and as many as are too many.
func mergeCount(runs []*run) (n int) {
	var keys uint64
	for n < len(runs) && (n == 0 || runs[n].keys < mergeRatio*keys || len(runs)-n+1 > mostRuns) {
		keys += runs[n].keys
		n++
	}
	return n
}

// writeRun writes what w goes over to a run, and opens it. It returns nil if there was no key. seq is the number for keys
// that were deleted by a commit whose number is not known.
func (s *Store) writeRun(ctx context.Context, w *walk, seq uint64, to *emptying) (*run, error) {
	id := runID(s.nextRun.Add(1))
	rw, err := newRun(s.fs, s.id, id)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", runName(id), err)
	}
	to.rw = rw
	m, err := s.writeKeys(ctx, w, seq, to)
	empty := rw.keys == 0
	err = errors.Join(err, rw.close(err == nil && !empty))
	if err == nil && empty {
		return nil, nil
	}
	if err == nil {
		err = installTmp(s.fs, runName(m.id))
	}
	var r *run
	if err == nil {
		r, err = openRun(s.fs, s.id, m)
	}
	if err != nil {
		// What is left of it is removed by the next opening.
		return nil, fmt.Errorf("write %s: %w", runName(id), errors.Join(err, ignoreAbsent(s.fs.Remove(runName(id)))))
	}
	s.blocks.add(r)
	return r, nil
}

// writeKeys writes what w goes over.
func (s *Store) writeKeys(ctx context.Context, w *walk, seq uint64, to *emptying) (m manifestRun, err error) {
	var e runEntry
	rw, p := to.rw, to.p
	written := rw.off
	for {
		st, ok := w.next()
		if w.err != nil {
			return m, w.err
		}
		if !ok {
			if err := to.flush(ctx); err != nil {
				return m, err
			}
			return rw.finish()
		}
		if rw.off-written >= paceBytes {
			if err := p.over(ctx); err != nil {
				return m, err
			}
			if err := p.wait(ctx, int(rw.off-written)); err != nil {
				return m, err
			}
			written = rw.off
		}
		from := st.run
		if from == nil {
			e = runEntry{key: append(e.key[:0], st.key...), value: e.value[:0], seq: seq, deleted: st.entry == nil}
			if en := st.entry; en != nil {
				e.seq = en.seq
				if en.seg != nil {
					e.location = location{en.seg.id, en.off, en.n, en.sum}
				} else {
					e.value = append(e.value, en.value...)
				}
			}
			from = &e
		}
		if err := to.add(ctx, from); err != nil {
			return m, err
		}
	}
}

// install puts r, unless it is nil, in the place of the runs merged, or before all if there are none, and takes out the
// segments gone: first in the manifest, which change changes as well, then in memory, where done is called while mu is held.
func (s *Store) install(r *run, merged []*run, gone []*segment, change func(*manifest), done func()) error {
	s.installing.Lock()
	defer s.installing.Unlock()
	s.mu.RLock()
	runs := s.ver.runs
	s.mu.RUnlock()
	at := 0
	if len(merged) > 0 {
		at = slices.Index(runs, merged[0]) // a flush may have put others before it
	}
	newer, older := runs[:at], runs[at+len(merged):]
	runs = slices.Clone(newer)
	if r != nil {
		runs = append(runs, r)
	}
	runs = append(runs, older...)
	names := make([]manifestRun, len(runs))
	for i, r := range runs {
		names[i] = r.manifestRun
	}
	var replay segID
	err := s.commitLog.change(func(m *manifest) {
		m.runs = names
		change(m)
		replay = m.replaySeg
	})
	if err != nil {
		if r != nil {
			s.blocks.remove(r)
			err = errors.Join(err, r.f.Close())
			if errors.As(err, new(notRenamed)) {
				err = errors.Join(err, s.fs.Remove(r.name))
			} // else the manifest on the disk may name the run: its file stays until the next opening
		}
		return err
	}
	s.commitLog.segments.remove(gone)
	s.mu.Lock()
	old := s.ver
	s.ver = s.newVersion(runs, without(old.segs, gone), replay)
	close(s.runsChanged)
	s.runsChanged = make(chan struct{})
	done()
	s.mu.Unlock()
	old.release()
	return nil
}
