package filestore

import (
	"errors"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// gatherFrom is the length of a sync from which it pays to wait for more commits before the next one. Below it, the
// wait costs about what it saves: memory that says it is a disk.
const gatherFrom = 50 * time.Microsecond

// gatherMost is the longest wait. A disk that has stalled once must not make everybody wait as long again.
const gatherMost = 5 * time.Millisecond

// gathering lets the syncer wait until the commits that are about to come are there, so that they share one sync. When
// a group is published its callers are likely to commit again at once: without the wait, 64 callers fall into two
// halves that take turns, each of which waits for the syncs of both.
type gathering struct {
	synced time.Duration // how long the last write and sync took; of the S role
	wake   chan struct{} // room for one
	timer  Timer         // of the syncer

	// under wmu
	expect int // so many commits are likely to come
	want   int // if not 0: wake the syncer when so many are queued
}

// wrote notes that a group of size n was written, and that behind commits queued meanwhile.
func (g *gathering) wrote(n, behind int) { g.expect = n + behind }

// arrived is told how many commits are queued.
func (g *gathering) arrived(queued int) {
	if g.want > 0 && queued >= g.want {
		g.want = 0
		g.signal()
	}
}

func (g *gathering) signal() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// gather waits until as many commits are queued as were there last time, but at most as long as a sync takes: so many callers
// need some time to begin their next commits, and if half of them came too late, each would wait for two syncs. The
// queue may be empty: when all callers were in the last group, the first one that comes back would go alone. Commits
// that need no sync, since they have met a conflict, are not made to wait for others.
func (s *Store) gather() {
	g := &s.gathered
	if s.mode != store.Sync || g.synced < gatherFrom {
		return
	}
	s.wmu.Lock()
	queued := len(s.queue.commits)
	if queued >= g.expect || g.expect < 2 || queued > 0 && s.queue.size == 0 || s.closed.Load() {
		s.wmu.Unlock()
		return
	}
	select {
	case <-g.wake: // left over from a timer
	default:
	}
	g.want = g.expect
	s.wmu.Unlock()
	if wait := min(g.synced, gatherMost); g.timer == nil {
		g.timer = s.after(wait, g.signal)
	} else {
		g.timer.Reset(wait)
	}
	<-g.wake
	g.timer.Stop()
	s.wmu.Lock()
	g.want = 0
	g.expect = len(s.queue.commits) // who did not come is not waited for again
	s.wmu.Unlock()
}

// idling is what happens when nothing happens: the syncs of [store.Periodic], and the mark that covers the last group.
type idling struct {
	// under wmu
	syncTimer Timer
	markTimer Timer
	syncArmed bool
	markArmed bool
	writes    uint64 // counts groups
	seen      uint64 // writes when the mark timer was started

	segment *segment // the newest, and the end of what is written to it
	end     int64
}

// wrote notes that the S role has written to the log, and starts the timers. wmu is held.
func (d *idling) wrote(s *Store) {
	d.writes++
	d.segment, d.end = s.commitLog.segment, s.commitLog.at.end
	if s.mode == store.Periodic && !d.syncArmed {
		d.syncArmed = true
		d.syncTimer = start(s, d.syncTimer, s.interval, s.syncNow)
	}
	if s.mode != store.NoSync && !d.markArmed {
		d.armMark(s)
	}
}

func (d *idling) armMark(s *Store) {
	d.markArmed, d.seen = true, d.writes
	d.markTimer = start(s, d.markTimer, idleAfter, s.markIdle)
}

// start starts t again, or a new timer if it is nil.
func start(s *Store, t Timer, d time.Duration, f func()) Timer {
	if t == nil {
		return s.after(d, f)
	}
	t.Reset(d)
	return t
}

// stop stops the timers. The store is closed, so that none is started any more.
func (d *idling) stop() {
	for _, t := range []Timer{d.syncTimer, d.markTimer} {
		if t != nil {
			t.Stop()
		}
	}
}

// syncNow makes durable what is written. It does not take the S role: commits go on meanwhile.
func (s *Store) syncNow() {
	s.wmu.Lock()
	s.idle.syncArmed = false
	if s.closed.Load() || s.failed != nil {
		s.wmu.Unlock()
		return
	}
	s.workers.Add(1)
	defer s.workers.Done()
	seg, end := s.idle.segment, s.idle.end
	s.wmu.Unlock()
	// A segment that is not the newest any more was synced when the newer one was begun.
	if err := seg.sync(end); err != nil {
		s.wmu.Lock()
		s.fail(err)
		s.wmu.Unlock()
	}
}

// markIdle writes a mark if nothing was written for a while, so that the durable mark covers the last commit too.
func (s *Store) markIdle() {
	if !s.beginMark() {
		return
	}
	defer s.workers.Done()
	err := s.commitLog.mark(frameMark)
	if err == nil {
		err = s.commitLog.segment.sync(s.commitLog.at.end)
	}
	s.wmu.Lock()
	var failed *group
	if err != nil && !errors.Is(err, store.ErrFull) { // on a full disk there is no mark, that is all
		s.fail(err)
		failed = s.failQueue(err)
	}
	s.handOn()
	s.wmu.Unlock()
	if failed != nil {
		s.finish(failed, nil)
	}
}

// beginMark takes the S role and counts a worker, if it is time for a mark.
func (s *Store) beginMark() bool {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	d := &s.idle
	d.markArmed = false
	if s.closed.Load() || s.failed != nil {
		return false
	}
	if s.busy || len(s.pending) > 0 || d.writes != d.seen || d.segment.durable.Load() < d.end {
		d.armMark(s)
		return false
	}
	s.busy = true
	s.workers.Add(1)
	return true
}
