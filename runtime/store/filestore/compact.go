package filestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// This file gives back the space of segments most of which nobody needs any more.
//
// A segment can be compacted when nothing of it is replayed by an opening: then all that is needed of it is in the runs,
// which count it. Segments are emptied by a merge of all runs:
//
//  1. The merge copies each value that it finds in one of them to the end of the log, in frames of moves that go the way of
//     all commits, and writes the new place to the run that it makes. No commit, and no key in memory, has to do with it.
//  2. The log is synced up to there, in every durability mode.
//  3. The manifest is written with the new run instead of the old ones, without the segments, and with the end of step 2 as
//     the floor.
//  4. The files are removed when no version has them any more.
//
// Until step 3 the old places are good, whatever happens; from then on the new ones are on the disk. If there is a crash
// before, the moves are replayed: a move counts if the key still has the value that its commit put. A segment with a damage
// in one of those values is kept. Merges that go over all runs anyway, because the newer ones are not much smaller than the
// oldest, empty a segment or two on their way, so that a merge only for that is rare.
//
// Where there is no room for a run, or one is damaged, segments are compacted one at a time: what is needed of one is looked up, and moved by
// commits that put the keys into memory with their new places, and lose to those of others that come in between.

const (
	// moveBytes is about how long a frame of moves is: commits of others wait for its sync.
	moveBytes = 512 << 10

	// moveKeys is of how many keys it is looked up at a time whether a segment has their newest values: so many that some of
	// them are in the same blocks of runs.
	moveKeys = 64 << 10

	// moveOverhead is about what a move takes beside the value: else short values would be moved again and again.
	moveOverhead = 16

	// compactRate is how many bytes a second are moved while there is time.
	compactRate = 32 << 20

	// mergeRate is how many bytes of runs are merged in a second while there is time.
	mergeRate = 64 << 20

	// paceStep is the shortest time that is waited.
	paceStep = 20 * time.Millisecond
)

// compaction is what the store knows of its own compacting.
type compaction struct {
	worker
	turn chan struct{} // holds an element while nobody compacts a segment
	quit chan struct{}

	slack int64 // how many bytes of segments may be of no use, however little there is

	over atomic.Bool // so much is not needed that commits wait

	mu    sync.Mutex
	waits chan struct{}   // closed when over may have changed; nil: nobody waits
	kept  map[segID]error // segments that cannot be compacted, and why
	done  int             // how many segments were compacted
	moved int64           // bytes of values
}

// admit waits while segments hold more of what is not needed than they may.
func (c *compaction) admit(ctx context.Context) error {
	for c.over.Load() {
		c.mu.Lock()
		if c.waits == nil {
			c.waits = make(chan struct{})
		}
		waits := c.waits
		c.mu.Unlock()
		if !c.over.Load() {
			return nil
		}
		select {
		case <-waits:
		case <-c.quit:
			return store.ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// setOver says whether commits have to wait, and lets those go on that do.
func (c *compaction) setOver(over bool) {
	c.over.Store(over)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waits != nil {
		close(c.waits)
		c.waits = nil
	}
}

// begin waits until nobody else compacts. Who calls it calls end afterwards.
func (c *compaction) begin(ctx context.Context) error {
	select {
	case <-c.turn:
		return nil
	case <-c.quit:
		return store.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tryBegin is begin if nobody compacts.
func (c *compaction) tryBegin() bool {
	select {
	case <-c.turn:
		return true
	default:
		return false
	}
}

func (c *compaction) end() { c.turn <- struct{}{} }

// compactDue compacts segments until there is not too much in them that nobody needs.
func (s *Store) compactDue() (err error) {
	ctx := context.Background()
	if err := s.compaction.begin(ctx); err != nil {
		return err
	}
	defer s.compaction.end()
	defer func() {
		if err != nil {
			s.compaction.setOver(false) // waiting would not help
		}
	}()
	for {
		u := s.usage()
		s.compaction.setOver(u.over)
		if !u.due {
			return nil
		}
		p := pacer{s: s, quit: s.compaction.quit, rate: mergeRate}
		p.urgent = func() bool { return u.dead() > u.live*11/16+u.slack || s.compaction.over.Load() || s.manyRuns() }
		err := s.empty(ctx, u.emptiest(u.enough()), &p)
		if cannotMerge(err) {
			err = s.compactSegment(ctx, u.emptiest(u.dead())[0], &p)
		}
		if err != nil {
			return err
		}
	}
}

// empty makes one run of all, and removes the segments when it has moved what is needed of them. The caller has the turn.
func (s *Store) empty(ctx context.Context, segs []*segment, p *pacer) error {
	s.merges.Lock()
	s.mu.Lock()
	ver := s.ver.acquire()
	if len(ver.runs) > 0 {
		s.emptying = ver.runs[0]
	}
	s.mu.Unlock()
	s.merges.Unlock()
	defer ver.release()
	defer func() {
		s.mu.Lock()
		s.emptying = nil
		s.mu.Unlock()
	}()
	return s.merge(ctx, ver, len(ver.runs), segs, p)
}

// cannotMerge reports whether segments have to be compacted one at a time: there is no room for a run, or one is damaged.
func cannotMerge(err error) bool { return isFull(err) || errors.As(err, new(*store.CorruptError)) }

// lookOver lets commits wait if there is too much that is not needed.
func (s *Store) lookOver() {
	if u := s.usage(); u.over {
		s.compaction.setOver(true)
	}
}

// minDead is which part of a segment must be of no use for it to be compacted: 1/8. Keys and the frames take some of each.
const minDead = 8

// A usage says what is needed of the segments that can be compacted.
type usage struct {
	segs []segmentUsage
	size int64 // of the segments
	live int64 // what runs need of them: too much, if what they say is hidden by something newer

	slack int64 // of compaction
	most  int64 // how many bytes are moved at a time
	due   bool  // it is time to compact
	over  bool  // so much is not needed that commits have to wait for it
}

type segmentUsage struct {
	seg  *segment
	size int64
	live int64
	kept error // why it cannot be compacted
}

func (u *usage) dead() int64 { return u.size - u.live }

// usage looks at the segments that are not replayed any more.
func (s *Store) usage() usage {
	s.mu.RLock()
	ver := s.ver.acquire()
	s.mu.RUnlock()
	defer ver.release()
	return s.usageOf(ver)
}

// usageOf looks at the segments that are not replayed any more since there is ver.
func (s *Store) usageOf(ver *version) (u usage) {
	live := make(map[segID]int64)
	for _, r := range ver.runs {
		u.most += r.offsets[len(r.offsets)-1]
		for _, use := range r.uses {
			live[use.seg] += int64(use.bytes + use.values*moveOverhead)
		}
	}
	s.compaction.mu.Lock()
	defer s.compaction.mu.Unlock()
	for _, seg := range ver.segs {
		if seg.id >= ver.replay {
			break
		}
		size := seg.end - segmentHeaderSize
		g := segmentUsage{seg, size, min(live[seg.id], size), s.compaction.kept[seg.id]}
		u.segs = append(u.segs, g)
		u.size += g.size
		u.live += g.live
	}
	u.slack = s.compaction.slack
	u.most = max(u.most, s.commitLog.segmentSize)
	if u.dead() > u.live*5/8+u.slack {
		u.due = slices.ContainsFunc(u.segs, func(g segmentUsage) bool { return g.worth() })
		u.over = u.due && u.dead() > u.live*3/4+u.slack
	}
	return u
}

// enough is how much that is not needed may be left by a compaction.
func (u *usage) enough() int64 { return u.live*3/8 + u.slack/2 }

// emptiest returns the segments of which the least is needed, so many that not more than dead bytes are left that nobody
// needs. What is moved of them is about as much as a merge of all runs writes besides, or one segment.
func (u *usage) emptiest(dead int64) (segs []*segment) {
	list := slices.DeleteFunc(slices.Clone(u.segs), func(g segmentUsage) bool { return !g.worth() })
	slices.SortStableFunc(list, func(a, b segmentUsage) int { return cmp.Compare(a.part(), b.part()) })
	left, moved := u.dead(), int64(0)
	for _, g := range list {
		if moved += g.live; len(segs) > 0 && (left <= dead || moved > u.most) {
			break
		}
		segs = append(segs, g.seg)
		left -= g.size - g.live
	}
	return segs
}

// part returns which part of the segment is needed.
func (g *segmentUsage) part() float64 { return float64(g.live) / float64(max(g.size, 1)) }

// worth reports whether compacting the segment gives back more than it takes.
func (g *segmentUsage) worth() bool { return g.kept == nil && g.live <= g.size-g.size/minDead }

// keepDamaged notes that the segment cannot be compacted.
func (s *Store) keepDamaged(seg *segment, err error) {
	var damaged *store.CorruptError
	if !errors.As(err, &damaged) {
		return
	}
	s.compaction.mu.Lock()
	s.compaction.kept[seg.id] = err
	s.compaction.mu.Unlock()
	s.log.Error("filestore: a segment is damaged, it is not compacted and stays", "dir", s.dir, "file", damaged.File, "offset", damaged.Offset, "err", err)
}

// compactSegment moves what is needed of a segment, and removes it. The caller has the turn.
func (s *Store) compactSegment(ctx context.Context, seg *segment, p *pacer) error {
	if err := s.moveAll(ctx, seg, (*mover).move, p); err != nil {
		s.keepDamaged(seg, err)
		return fmt.Errorf("compact %s: %w", seg.name, err)
	}
	end, err := s.syncLog()
	if err != nil {
		return err
	}
	gone := []*segment{seg}
	err = s.commitLog.compactSpare.with(func() error {
		return s.commitLog.change(func(m *manifest) { m.drop(gone, end) })
	})
	if err != nil {
		return fmt.Errorf("compact %s: %w", seg.name, err)
	}
	s.commitLog.segments.remove(gone)
	s.mu.Lock()
	old := s.ver
	s.ver = s.newVersion(old.runs, without(old.segs, gone), old.replay)
	s.mu.Unlock()
	old.release()
	s.compacted(len(gone))
	return nil
}

// drop takes segments out of the manifest. What was needed of them is in the log before end.
func (m *manifest) drop(segs []*segment, end logEnd) {
	m.sealed = slices.DeleteFunc(slices.Clone(m.sealed), func(k sealedSegment) bool {
		return slices.ContainsFunc(segs, func(g *segment) bool { return g.id == k.id })
	})
	m.raiseFloor(end.seg, end.point)
}

// compacted notes that n segments have gone.
func (s *Store) compacted(n int) {
	s.compaction.mu.Lock()
	s.compaction.done += n
	s.compaction.mu.Unlock()
	s.compaction.setOver(s.usage().over)
	s.commitLog.takeSpares()
}

// syncLog makes the log durable up to where it ends now, in every durability mode, and returns where that is.
func (s *Store) syncLog() (end logEnd, err error) {
	s.mu.RLock()
	end = logEnd{s.endSeg, s.end}
	s.mu.RUnlock()
	return end, s.syncTo(end.seg, end.end)
}

// syncTo makes a segment durable up to end, if it is not. After an error nothing is written any more.
func (s *Store) syncTo(seg *segment, end int64) error {
	if seg.durable.Load() >= end {
		return nil
	}
	err := seg.sync(end)
	if err != nil {
		s.wmu.Lock()
		s.fail(err)
		s.wmu.Unlock()
	}
	return err
}

// A logEnd is where the log ended at a moment.
type logEnd struct {
	seg *segment
	point
}

// moveAll reads a segment, and calls each with some of the values in it at a time.
func (s *Store) moveAll(ctx context.Context, seg *segment, each func(*mover, context.Context) error, p *pacer) error {
	m := mover{s: s, seg: seg, pacer: p, scan: scanner{seg: seg, size: seg.end}}
	for off := int64(segmentHeaderSize); off < seg.end; {
		if err := p.over(ctx); err != nil {
			return err
		}
		f, err := m.scan.frame(off)
		if bad := (*badFrame)(nil); errors.As(err, &bad) {
			err = seg.corrupt(off, "%v", bad)
		}
		if err != nil {
			return err
		}
		off = f.end()
		progressed(ctx, f.size())
		if m.changes, err = f.changes(seg, &m.arena, m.changes[:0]); err != nil {
			return seg.corrupt(f.off, "%v %d: %v", f.kind, f.seq, err)
		}
		for _, c := range m.changes {
			if e := c.entry; e != nil && e.n != 0 {
				m.found = append(m.found, moved{key: c.key, location: location{seg.id, e.off, e.n, e.sum}, seq: e.seq})
			}
		}
		if len(m.found) >= moveKeys {
			if err := m.through(ctx, each); err != nil {
				return err
			}
		}
	}
	return m.through(ctx, each)
}

// A mover moves values out of a segment.
type mover struct {
	s   *Store
	seg *segment
	*pacer
	scan    scanner
	arena   arena
	changes []change

	found []moved // values that stand in the segment
	live  []moved // those of found that are needed
	bytes int     // of the values of live
}

// through calls f for what was found, and forgets it.
func (m *mover) through(ctx context.Context, f func(*mover, context.Context) error) error {
	slices.SortFunc(m.found, func(a, b moved) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.off, b.off)) })
	err := f(m, ctx)
	clear(m.found)
	m.found, m.arena = m.found[:0], arena{}
	return err
}

// move moves what is needed of what was found.
func (m *mover) move(ctx context.Context) error {
	for left := m.found; len(left) > 0; {
		n, err := m.moveSome(ctx, left)
		if err != nil {
			return err
		}
		left = left[n:]
	}
	return nil
}

// needed reports whether the value is the newest of its key, in st.
func (m *mover) needed(st *state, v *moved, e *runEntry, last *aside) (bool, error) {
	if _, known := st.lookup(v.key); known {
		return false, nil // trees have nothing that stands in a segment which is not replayed
	}
	ok, err := st.ver.find(v.key, e, last)
	return ok && e.location == v.location, err
}

// moveSome moves what is needed of found, until the runs are not those any more that it looks it up in. It returns how many
// it is through with.
func (m *mover) moveSome(ctx context.Context, found []moved) (n int, err error) {
	st := m.s.clone()
	defer st.ver.release()
	var e runEntry
	var last aside
	for i, v := range found {
		needed, err := m.needed(&st, &v, &e, &last)
		if err != nil {
			return 0, err
		}
		if !needed {
			continue
		}
		v.value = make([]byte, v.n)
		if err := m.seg.read(v.key, &entry{off: v.off, n: v.n, sum: v.sum}, v.value); err != nil {
			return 0, err
		}
		m.live = append(m.live, v)
		if m.bytes += len(v.value); m.bytes < moveBytes {
			continue
		}
		again, err := m.commit(ctx, st.ver)
		if err != nil {
			return 0, err
		}
		if again {
			return n, nil
		}
		n = i + 1
	}
	again, err := m.commit(ctx, st.ver)
	if err != nil || again {
		return n, err
	}
	return len(found), nil
}

// commit commits the moves in live, which were looked up in the runs of ver. again says that some have to be looked up
// again.
func (m *mover) commit(ctx context.Context, ver *version) (again bool, err error) {
	if len(m.live) == 0 {
		return false, nil
	}
	if err := m.over(ctx); err != nil {
		return false, err
	}
	if again, err = m.s.commitMoves(ctx, m.live, ver); err != nil {
		return false, err
	}
	m.s.compaction.mu.Lock()
	m.s.compaction.moved += int64(m.bytes)
	m.s.compaction.mu.Unlock()
	n := m.bytes
	clear(m.live)
	m.live, m.bytes = m.live[:0], 0
	return again, m.wait(ctx, n)
}

// commitMoves commits moves.
func (s *Store) commitMoves(ctx context.Context, moves []moved, ver *version) (again bool, err error) {
	c := commitPool.Get().(*commit)
	c.batch, c.moves, c.lookups = &noBatch, true, ver
	c.enc.encodeMoves(moves)
	_, err = s.through(context.WithoutCancel(ctx), c)
	again = c.again
	c.free()
	return again, err
}

var noBatch store.Batch

// A pacer holds work in the background to a rate.
type pacer struct {
	s      *Store
	quit   <-chan struct{}
	rate   int64       // bytes a second; 0: as fast as it goes
	urgent func() bool // says that there is no time to wait
	behind time.Duration
}

// over returns the error with which the work is to end, if it is.
func (p *pacer) over(ctx context.Context) error {
	select {
	case <-p.quit:
		return store.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	default:
		return nil
	}
}

// wait waits as long as n bytes take.
func (p *pacer) wait(ctx context.Context, n int) error {
	if p.rate == 0 || p.urgent() {
		p.behind = 0
		return nil
	}
	if p.behind += time.Duration(int64(n) * int64(time.Second) / p.rate); p.behind < paceStep {
		return nil
	}
	ready := make(chan struct{})
	t := p.s.after(p.behind, func() { close(ready) })
	defer t.Stop()
	p.behind = 0
	select {
	case <-ready:
		return nil
	case <-p.quit:
		return store.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

var _ store.Compacter = (*Store)(nil)

// Compact gives back all the space that it can: what is in memory goes to a run, all runs are merged to one, and the
// segments are rewritten of which more than an eighth is not needed. Commits and reads go on meanwhile. It takes as long as
// reading and writing all data does, and for that time space for the new run and for what is moved at a time, which is about
// as much and at least a segment.
//
// The error is ctx's, or says which file could not be read or written; what was compacted until then stays so. It matches
// [store.ErrFull] if there was no room, and is a [*store.CorruptError] if a segment is damaged: that one stays, the others
// are compacted.
func (s *Store) Compact(ctx context.Context) error {
	done, err := s.work()
	if err != nil {
		return err
	}
	defer done()
	if err := s.compact(ctx); err != nil {
		if isFull(err) && !errors.Is(err, store.ErrFull) {
			err = full(err)
		}
		return fmt.Errorf("filestore: compact %s: %w", s.dir, err)
	}
	return nil
}

// compactLeast compacts segments as long as the reserve of a full disk and what it gains suffice, beginning with those of
// which the least is needed. It does not trust what runs say, which cannot be merged without space.
func (s *Store) compactLeast(ctx context.Context, p *pacer) error {
	u := s.usage()
	list := u.segs[:0]
	for _, g := range u.segs {
		if g.live = 0; g.kept != nil {
			continue
		}
		st := s.clone()
		err := s.moveAll(ctx, g.seg, func(m *mover, ctx context.Context) error {
			var e runEntry
			var last aside
			for i := range m.found {
				needed, err := m.needed(&st, &m.found[i], &e, &last)
				if err != nil {
					return err
				}
				if needed {
					g.live += int64(m.found[i].n) + moveOverhead
				}
			}
			return nil
		}, p)
		st.ver.release()
		if err != nil && !errors.As(err, new(*store.CorruptError)) {
			return err
		}
		if err == nil && g.worth() {
			list = append(list, g)
		}
	}
	slices.SortFunc(list, func(a, b segmentUsage) int { return cmp.Compare(a.live, b.live) })
	for _, g := range list {
		if err := s.compactSegment(ctx, g.seg, p); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) compact(ctx context.Context) error {
	if err := s.compaction.begin(ctx); err != nil {
		return err
	}
	defer s.compaction.end()
	s.compaction.mu.Lock()
	clear(s.compaction.kept) // it may have been a moment's trouble
	s.compaction.mu.Unlock()
	s.mu.RLock()
	last, end := s.endSeg.id, s.end.end
	s.mu.RUnlock()
	if end > segmentHeaderSize+s.commitLog.segmentSize/64 {
		// Nothing is moved by the next frame, but it is in a new segment, so that all others can be compacted.
		s.commitLog.full.Store(true)
		if _, err := s.commitMoves(ctx, nil, nil); err != nil && !isFull(err) {
			return err
		}
	}
	p := pacer{s: s, quit: s.compaction.quit}
	err := s.rewrite(ctx)
	if isFull(err) {
		if err = s.compactLeast(ctx, &p); err == nil {
			err = s.rewrite(ctx)
		}
	}
	for err == nil {
		u := s.usage()
		u.segs = slices.DeleteFunc(u.segs, func(g segmentUsage) bool { return g.seg.id > last })
		segs := u.emptiest(0)
		if len(segs) == 0 {
			break
		}
		if err = s.empty(ctx, segs, &p); cannotMerge(err) {
			if err = s.compactSegment(ctx, segs[0], &p); errors.As(err, new(*store.CorruptError)) {
				err = nil // it is kept
			}
		}
	}
	if err != nil && (errors.Is(err, store.ErrClosed) || ctx.Err() != nil) {
		return err
	}
	return errors.Join(s.damaged(), err)
}

// damaged returns an error that names the segments that are kept because of a damage.
func (s *Store) damaged() error {
	s.compaction.mu.Lock()
	defer s.compaction.mu.Unlock()
	var errs []error
	for _, id := range slices.Sorted(maps.Keys(s.compaction.kept)) {
		errs = append(errs, fmt.Errorf("compact %s: %w", segmentName(id), s.compaction.kept[id]))
	}
	return errors.Join(errs...)
}
