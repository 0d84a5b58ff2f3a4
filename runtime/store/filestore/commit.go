package filestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// Commit applies the batch as a whole or not at all, see [store.Store]. It returns when the commit is as durable as the
// store was opened to make it, and every read sees it.
func (s *Store) Commit(ctx context.Context, b *store.Batch) (store.Version, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if s.closed.Load() {
		return 0, store.ErrClosed
	}
	if err := b.Check(limits); err != nil {
		return 0, err
	}
	c := commitPool.Get().(*commit)
	c.batch = b
	if len(b.Ops) > 0 {
		c.enc.encode(b)
	}
	if len(b.Ranges) > 0 && !s.prepareRanges(c) {
		c.free()
		return 0, &store.ConflictError{}
	}
	if known, err := s.through(ctx, c); !known {
		return 0, err // c stays with the store
	}
	seq, err := c.at.seq, c.err
	c.free()
	if err != nil {
		return 0, err
	}
	return store.Version(seq), nil
}

// through takes c through all stages. known is false if ctx has ended before c was through.
func (s *Store) through(ctx context.Context, c *commit) (known bool, err error) {
	inline, err := s.admit(ctx, c)
	if err != nil {
		c.err = err
		return true, err
	}
	if inline != nil {
		s.commitInline(inline)
		return true, c.err
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		select {
		case <-c.done: // both: the outcome is known
		default:
			return false, &store.UnknownError{Err: ctx.Err()}
		}
	}
	return true, c.err
}

// admit takes c through stage W, as soon as there is room for what it changes, in memory and on the disk. What its conditions need from the runs is
// read before, without a lock; it is read again if the runs have changed meanwhile.
func (s *Store) admit(ctx context.Context, c *commit) (inline *group, err error) {
	if !c.aside { // a flush may wait for the merge that it is for
		if err := s.flushing.admit(ctx, s); err != nil {
			return nil, err
		}
	}
	if !c.moves {
		if err := s.compaction.admit(ctx); err != nil {
			return nil, err
		}
	}
	for {
		if err := s.prepareConditions(c); err != nil {
			return nil, err
		}
		inline, err = s.enqueue(c)
		c.forgetConditions()
		if err != errStale {
			return inline, err
		}
	}
}

// errStale says that the runs are not those that the conditions of a commit were looked up in.
var errStale = errors.New("filestore: the runs have changed")

// enqueue is stage W. It returns the group of c and the S role if nobody has it and nothing is pending; else c.done
// tells when c is through.
func (s *Store) enqueue(c *commit) (inline *group, err error) {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	if s.closed.Load() {
		return nil, store.ErrClosed
	}
	if s.failed != nil {
		return nil, s.failedError()
	}
	key, holds, published := s.check(c)
	if c.stale {
		return nil, errStale
	}
	if !holds && published {
		return nil, conflict(key)
	}
	c.conflict, c.key = !holds, key
	s.queue.add(c)
	s.commits.Add(1)
	switch {
	case s.busy:
		s.gathered.arrived(len(s.queue.commits))
	case len(s.pending) == 0:
		s.busy = true
		return s.take(), nil
	default:
		s.busy = true
		s.kick <- struct{}{} // has room: only who sets busy sends
	}
	return nil, nil
}

func (s *Store) failedError() error { return fmt.Errorf("%w: %w", store.ErrFailed, s.failed) }

// conflict returns the error for a conflict about key, which is the caller's; nil if no key is to blame.
func conflict(key []byte) error {
	return &store.ConflictError{Key: append([]byte(nil), key...)}
}

// conditions calls f for the guards, checks and fences of b, with the place of each, until it returns false. It reports
// whether f never did.
func conditions(b *store.Batch, f func(n int, key []byte, want store.Version) bool) bool {
	n := 0
	for i := range b.Ops {
		if v, ok := b.Ops[i].Guard.Version(); ok {
			if !f(n, b.Ops[i].Key, v) {
				return false
			}
			n++
		}
	}
	for _, list := range [...][]store.Check{b.Checks, b.Fences} {
		for i := range list {
			if !f(n, list[i].Key, list[i].Version) {
				return false
			}
			n++
		}
	}
	return true
}

// A condition is what was found of the key of a guard, check or fence before stage W.
type condition struct {
	version store.Version // Absent if it is not there
	key     string        // to look up in the runs; "" if something else told
}

// prepareConditions looks up what the conditions of c are about. What it finds holds as long as nothing is published; what the
// runs say holds for longer.
func (s *Store) prepareConditions(c *commit) error {
	s.mu.RLock()
	if len(s.ver.runs) == 0 {
		s.mu.RUnlock()
		return nil
	}
	c.seen = s.at
	fences := s.fences.Load()
	conditions(c.batch, func(n int, key []byte, _ store.Version) bool {
		var d condition
		if v, ok := fences.version(key); ok {
			d.version = v
		} else if seq, ok := s.known.version(stringOf(key)); ok {
			d.version = store.Version(seq)
		} else if it, known := s.lookup(stringOf(key)); it.entry != nil {
			d.version = store.Version(it.entry.seq)
		} else if !known {
			d.key = stringOf(key)
		}
		c.conditions = append(c.conditions, d)
		return true
	})
	c.ver = s.ver.acquire()
	s.mu.RUnlock()
	var e runEntry
	for i := range c.conditions {
		d := &c.conditions[i]
		if d.key == "" {
			continue
		}
		ok, err := c.ver.get(d.key, &e)
		if err != nil {
			c.forgetConditions()
			return err
		}
		if ok {
			d.version = store.Version(e.seq)
		}
	}
	s.rememberFences(c, fences)
	return nil
}

// fences are versions of keys that commits have had as fences, of which most commits have the same ones.
type fences []store.Check

// mostFences is how many are remembered.
const mostFences = 16

func (f *fences) version(key []byte) (store.Version, bool) {
	if f != nil {
		for i := range *f {
			if c := &(*f)[i]; string(c.Key) == string(key) {
				return c.Version, true
			}
		}
	}
	return 0, false
}

// rememberFences remembers what was found of the fences of c, which are its last conditions, beside those that are known.
func (s *Store) rememberFences(c *commit, known *fences) {
	var more fences
	first := len(c.conditions) - len(c.batch.Fences)
	for i, f := range c.batch.Fences {
		if _, ok := known.version(f.Key); !ok {
			more = append(more, store.Check{Key: bytes.Clone(f.Key), Version: c.conditions[first+i].version})
		}
	}
	if len(more) == 0 || len(more) > mostFences {
		return
	}
	if known != nil && len(*known)+len(more) <= mostFences {
		more = append(more, *known...)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.at == c.seen { // else one may have been changed since
		s.fences.CompareAndSwap(known, &more)
	}
}

// forgetFences forgets all if one of them is changed. mu is held.
func (s *Store) forgetFences(changes []change) {
	f := s.fences.Load()
	if f == nil {
		return
	}
	for i := range changes {
		if _, ok := f.version(bytesOf(changes[i].key)); ok {
			s.fences.Store(nil)
			return
		}
	}
}

// forgetConditions gives up what prepareConditions has found.
func (c *commit) forgetConditions() {
	if c.ver != nil {
		c.ver.release()
	}
	clear(c.conditions)
	c.ver, c.conditions, c.stale = nil, c.conditions[:0], false
}

// check compares the guards, checks, fences and range checks of c with what is pending, else with what is published. It
// returns the key of the first one that does not hold, and whether that is published; or c is stale afterwards.
func (s *Store) check(c *commit) (key []byte, holds, published bool) {
	b := c.batch
	locked := false
	lock := func() {
		if !locked {
			s.mu.RLock()
			locked = true
		}
	}
	at := func(n int, key []byte, want store.Version) bool {
		published = false
		for i := len(s.pending); i >= 0; i-- { // the newest first
			g := &s.queue
			if i < len(s.pending) {
				g = s.pending[i]
			}
			if len(g.commits) == 0 {
				continue
			}
			if there, changed := g.change(key); changed {
				return !there && want == store.Absent // nobody knows the version of what is not published
			}
		}
		published = true
		lock()
		if c.ver != nil && s.at == c.seen {
			return c.conditions[n].version == want
		}
		if v, ok := s.fences.Load().version(key); ok {
			return v == want
		}
		if seq, ok := s.known.version(stringOf(key)); ok {
			return store.Version(seq) == want
		}
		switch it, known := s.lookup(stringOf(key)); {
		case it.entry != nil:
			return store.Version(it.entry.seq) == want
		case known:
			return want == store.Absent
		case c.ver != s.ver || c.conditions[n].key == "":
			c.stale = true
			return false
		}
		return c.conditions[n].version == want
	}
	defer func() {
		if locked {
			s.mu.RUnlock()
		}
	}()
	held := conditions(b, func(n int, k []byte, want store.Version) bool {
		key = k
		return at(n, k, want)
	})
	if !held {
		return key, false, published
	}
	for i := range b.Ranges {
		lock()
		if key, holds, published := s.checkRange(&b.Ranges[i], c.since[i]); !holds {
			return key, false, published
		}
	}
	return nil, true, false
}

// take takes the next group off the queue. wmu is held, and the caller has the S role.
func (s *Store) take() *group {
	g := s.queue.split(s.commitLog.room())
	s.pending = append(s.pending, g)
	return g
}

// write is stage S. The caller has the S role.
func (s *Store) write(g *group) {
	if g.size == 0 {
		for _, c := range g.commits {
			c.at = s.commitLog.at.position
		}
		return
	}
	var start time.Time
	if s.mode == store.Sync {
		start = s.now()
	}
	g.touched, g.err = s.commitLog.append(g.commits, g.size)
	g.segment, g.end = s.commitLog.segment, s.commitLog.at
	if s.mode == store.Sync {
		s.gathered.synced = s.now().Sub(start)
	}
}

// written ends stage S of g: wmu is held. If g failed, nothing of it is pending any more. The commits in the queue, whose
// guards have seen it, fail as well: they are returned as a group.
func (s *Store) written(g *group) (failed *group) {
	if g.size > 0 {
		s.counts.wrote(g.err)
	}
	if g.err == nil {
		if g.size > 0 {
			s.idle.wrote(s)
		}
		return nil
	}
	s.notPending(g)
	if !errors.Is(g.err, store.ErrFull) {
		s.fail(g.err)
	}
	return s.failQueue(g.err)
}

// failQueue takes all commits off the queue, as a group that has failed with err, or nil. wmu is held.
func (s *Store) failQueue(err error) *group {
	if len(s.queue.commits) == 0 {
		return nil
	}
	g := s.queue.split(math.MaxInt64)
	g.err = err
	return g
}

// fail stops all writing, because of err. wmu is held.
func (s *Store) fail(err error) {
	if s.failed == nil {
		s.failed = err
		s.counts.erred(err)
		s.log.Error("filestore: a write failed; reads go on, writes do not until the store is opened again", "dir", s.dir, "err", err)
	}
}

// handOn hands the S role to the syncer, or frees it if nothing is queued. wmu is held.
func (s *Store) handOn() {
	if len(s.queue.commits) > 0 {
		s.kick <- struct{}{} // has room: only who has the role sends
	} else {
		s.busy = false
	}
}

// commitInline takes g, the only group there is, through S and P.
func (s *Store) commitInline(g *group) {
	s.write(g)
	s.pmu.Lock() // before the role is handed on, so that no later group is published first
	s.wmu.Lock()
	s.gathered.wrote(len(g.commits), len(s.queue.commits))
	failed := s.written(g)
	s.handOn()
	s.wmu.Unlock()
	s.publish(g)
	s.pmu.Unlock()
	inline := g.commits[0]
	s.finish(g, inline)
	if failed != nil {
		s.finish(failed, nil)
	}
}

// syncer does S for all commits that somebody else than their caller must do it for.
func (s *Store) syncer() {
	defer s.workers.Done()
	defer close(s.publishes)
	for range s.kick {
		for {
			s.gather()
			s.wmu.Lock()
			if len(s.queue.commits) == 0 {
				s.busy = false
				s.wmu.Unlock()
				break
			}
			if s.failed != nil { // by a sync in the background
				g := s.failQueue(s.failed)
				s.wmu.Unlock()
				s.publishes <- g
				continue
			}
			g := s.take()
			s.wmu.Unlock()
			s.write(g)
			s.wmu.Lock()
			s.gathered.wrote(len(g.commits), len(s.queue.commits))
			failed := s.written(g)
			s.wmu.Unlock()
			s.publishes <- g
			if failed != nil {
				s.publishes <- failed
			}
		}
	}
}

// publisher does P for the syncer.
func (s *Store) publisher() {
	defer s.workers.Done()
	for g := range s.publishes {
		s.pmu.Lock()
		s.publish(g)
		s.pmu.Unlock()
		s.finish(g, nil)
	}
}

// publish is stage P: pmu is held. Afterwards g is not pending any more.
func (s *Store) publish(g *group) {
	if g.err != nil {
		return
	}
	s.apply(g)
	// Before pmu is free: a group that stayed pending while a later one is published would hide it from check.
	s.wmu.Lock()
	s.notPending(g)
	s.wmu.Unlock()
}

// apply makes the changes of g visible.
func (s *Store) apply(g *group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range g.commits {
		if c.conflict {
			continue
		}
		if c.moves {
			if !c.aside {
				s.state.applyMoves(c)
			}
			continue
		}
		for _, h := range s.hooks {
			h.f(c.batch, store.Version(c.at.seq))
		}
		s.state.apply(c.enc.changes)
		s.at = c.at
		if len(c.enc.changes) > 0 {
			s.recent.add(c.at, c.enc.changes)
			s.forgetFences(c.enc.changes)
			for i := range c.enc.changes {
				s.known.changed(&c.enc.changes[i])
			}
		}
	}
	if g.size > 0 {
		s.end, s.endSeg = g.end, g.segment
		s.flushing.bytes += g.size
		if old := s.ver; old.newest() != g.segment {
			// Who takes a state has all segments in it that the entries of its trees stand in.
			s.ver = s.newVersion(old.runs, append(old.segs[:len(old.segs):len(old.segs)], g.segment), old.replay)
			old.release() // its files are those of the new one
		}
	}
	s.view = nil
	s.flushing.due(s)
	g.applied = true
	if s.waiting.Swap(false) {
		close(s.wake)
		s.wake = make(chan struct{})
	}
}

// notPending takes g off the pending groups. wmu is held.
func (s *Store) notPending(g *group) {
	if i := slices.Index(s.pending, g); i >= 0 {
		s.pending = slices.Delete(s.pending, i, i+1)
	}
}

// finish tells the callers of the commits of g, which is not pending any more. inline is the commit of the caller itself,
// or nil.
func (s *Store) finish(g *group, inline *commit) {
	for _, c := range g.commits {
		c.err = g.outcome(c)
		s.commits.Done()
		if c != inline {
			c.done <- struct{}{}
		}
	}
	g.free()
}

// outcome returns the error of a commit of the group.
func (g *group) outcome(c *commit) error {
	switch {
	case g.err != nil && errors.Is(g.err, store.ErrFull):
		return g.err
	case g.err != nil && g.touched && c.writes():
		return &store.UnknownError{Err: g.err}
	case g.err != nil:
		return fmt.Errorf("%w: %w", store.ErrFailed, g.err)
	case c.conflict:
		return conflict(c.key)
	}
	return nil
}
