package filestore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// recover reads what is in the directory and makes the store of it.
//
//  1. MANIFEST is read. Unfinished files are removed.
//  2. The segments are replayed. Each but the last must read to exactly the end that its successor's header seals, and
//     all of them together at least to the manifest's floor.
//  3. Where the last one cannot be read on, at X, what stands behind X decides. If the header of any frame there has a
//     durable mark above X, X was on the disk once: it is damaged. Else it is the torn end of the log.
//  4. If the log was not closed, the last segment is not written to any more: frames behind the tear could join later
//     ones, and after a failed sync the operating system shows bytes that the disk does not have. A new segment is
//     made that seals the old one at its highest durable mark D, and begins with copies of the commits between D and X.
//     It gets its name when the copies are on the disk: a seal without them would lose commits in a second crash.
//  5. If something was cut, or commits were acknowledged that were not on the disk, that segment begins a new history:
//     watchers may have been told of commits that are not there any more, and whose numbers will be given again. The mark
//     of it is in the segment, so that it is there from the moment on from which the tear is not.
//
// A crash at any point of this leaves a directory of which the next opening makes the same store.
func (s *Store) recover(ctx context.Context) error {
	l := s.commitLog
	names, err := s.fs.List()
	if err != nil {
		return err
	}
	var ids []segID
	var runs []runID
	for _, name := range names {
		if id, ok := parseSegmentName(name); ok {
			ids = append(ids, id)
		}
		if id, ok := parseRunName(name); ok {
			runs = append(runs, id)
		}
		if base, ok := strings.CutSuffix(name, tmpSuffix); ok {
			_, isSegment := parseSegmentName(base)
			_, isRun := parseRunName(base)
			if isSegment || isRun || base == manifestName || isCutName(base) {
				if err := s.fs.Remove(name); err != nil {
					return err
				}
			}
		}
	}
	slices.Sort(ids)
	m, ok, err := readManifest(s.fs)
	if err != nil {
		return err
	}
	if !ok {
		if len(ids)+len(runs) > 0 {
			return &store.CorruptError{File: manifestName, Offset: -1, What: fmt.Sprintf("the file is missing, and there are %d segments and %d runs", len(ids), len(runs))}
		}
		m = manifest{store: newUUID(), generation: 1, replaySeg: 1, replay: point{end: segmentHeaderSize}}
		if err := m.write(s.fs); err != nil {
			return err
		}
	}
	l.manifest = m
	if ids, err = s.removeOrphans(ids); err != nil {
		return err
	}
	if err := checkSegments(ids, &m); err != nil {
		return err
	}
	if err := s.openRuns(runs); err != nil {
		return err
	}
	if len(ids) == 0 {
		return s.succeed(&replay{s: s}, nil)
	}
	heads, err := s.openSegments(ids)
	if err != nil {
		return err
	}
	segs := l.segments.all()
	s.ver.own(segs)
	if err := s.ver.checkSegments(&m); err != nil {
		return err
	}
	r := &replay{s: s, sealed: m.sealed}
	for i, seg := range segs {
		limit := int64(-1)
		if i+1 < len(segs) && segs[i+1].id != seg.id+1 { // the one behind it was removed
			k := slices.IndexFunc(m.sealed, func(k sealedSegment) bool { return k.id == seg.id })
			seg.seal(m.sealed[k].last, m.sealed[k].end)
		} else if i+1 < len(heads) {
			limit = heads[i+1].prevEnd
			seg.seal(heads[i+1].prevSeq, limit)
			if heads[i+1].fresh {
				s.history = heads[i+1].prevSeq
			}
			if k := len(r.sealed); k == 0 || r.sealed[k-1].id < seg.id { // sealed by a recovery that a crash ended before its manifest
				r.sealed = append(r.sealed[:k:k], sealedSegment{seg.id, limit, heads[i+1].prevSeq})
			}
		}
		if seg.id < m.replaySeg {
			continue
		}
		if err := r.segment(ctx, seg, limit); err != nil {
			return err
		}
		if limit >= 0 {
			next := heads[i+1]
			if r.at.seq != next.prevSeq || r.at.sum != next.prevSum {
				return seg.corrupt(-1, "the segment ends with commit %d and sum %08x, its successor says %d and %08x",
					r.at.seq, r.at.sum, next.prevSeq, next.prevSum)
			}
			if !next.fresh && r.at.chain != next.chain {
				return seg.corrupt(-1, "the segment ends with chain %08x, its successor says %08x", r.at.chain, next.chain)
			}
		}
	}
	last := segs[len(segs)-1]
	if last.id == m.floorSeg && r.at.end == m.floorEnd && r.size == r.at.end && !m.loose {
		l.use(last, r.at) // closed, and not written to since
		return nil
	}
	return s.succeed(r, last)
}

// knows reports whether the segment belongs to the store, or may belong to it.
func (m *manifest) knows(id segID) bool {
	return id >= m.replaySeg || slices.ContainsFunc(m.sealed, func(k sealedSegment) bool { return k.id == id })
}

// removeOrphans removes the segments of the store that the manifest does not know: a compaction was done with them, and a
// crash left them. It returns the other ones.
func (s *Store) removeOrphans(ids []segID) (known []segID, err error) {
	m := &s.commitLog.manifest
	for _, id := range ids {
		if m.knows(id) {
			known = append(known, id)
			continue
		}
		seg, h, err := openSegment(s.fs, id)
		if err != nil {
			return nil, err
		}
		if err := seg.f.Close(); err != nil {
			return nil, err
		}
		if h.store != m.store {
			return nil, seg.corrupt(0, "the segment belongs to the store %v, this one is %v", h.store, m.store)
		}
		if err := s.fs.Remove(seg.name); err != nil {
			return nil, err
		}
	}
	return known, nil
}

// checkSegments checks that all the segments are there that the manifest leads one to expect.
func checkSegments(ids []segID, m *manifest) error {
	missing := func(id segID) error {
		return &store.CorruptError{File: segmentName(id), Offset: -1, What: "the file is missing"}
	}
	for _, k := range m.sealed {
		if k.id >= m.floorSeg {
			return &store.CorruptError{File: manifestName, Offset: 0, What: fmt.Sprintf("segment %d is sealed, and the log reaches segment %d only", k.id, m.floorSeg)}
		}
		if !slices.Contains(ids, k.id) {
			return missing(k.id)
		}
	}
	// From where the log is replayed there is no gap.
	last := m.floorSeg
	if n := len(ids); n > 0 {
		last = max(last, ids[n-1])
	}
	for id := m.replaySeg; id <= last; id++ {
		if !slices.Contains(ids, id) {
			return missing(id)
		}
	}
	return nil
}

// openRuns opens the runs of the manifest, and removes those that it does not name: a crash left them.
func (s *Store) openRuns(ids []runID) error {
	m := &s.commitLog.manifest
	var runs []*run
	var err error
	for _, k := range m.runs {
		var r *run
		if r, err = openRun(s.fs, m.store, k); err != nil {
			break
		}
		s.blocks.add(r)
		s.nextRun.Store(max(s.nextRun.Load(), uint32(k.id)))
		runs = append(runs, r)
	}
	s.ver = s.newVersion(runs, nil, m.replaySeg)
	if err != nil {
		return err
	}
	for _, id := range ids {
		s.nextRun.Store(max(s.nextRun.Load(), uint32(id)))
		if !slices.ContainsFunc(m.runs, func(k manifestRun) bool { return k.id == id }) {
			if err := s.fs.Remove(runName(id)); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkSegments checks that the segments are there in which values of the runs stand. One that the manifest does not know
// was removed: what runs say of it is hidden by what is newer.
func (v *version) checkSegments(m *manifest) error {
	for _, r := range v.runs {
		for _, u := range r.uses {
			if v.segment(u.seg) == nil && m.knows(u.seg) {
				return &store.CorruptError{File: segmentName(u.seg), Offset: -1, What: fmt.Sprintf("the file is missing; %d values of %s stand in it", u.values, r.name)}
			}
		}
	}
	return nil
}

// openSegments opens the segments and checks that each is the successor of the one before.
func (s *Store) openSegments(ids []segID) (heads []segmentHeader, err error) {
	l := s.commitLog
	for i, id := range ids {
		seg, h, err := openSegment(s.fs, id)
		if err != nil {
			return nil, err
		}
		l.segments.add(seg)
		heads = append(heads, h)
		switch {
		case h.store != l.manifest.store:
			return nil, seg.corrupt(0, "the segment belongs to the store %v, this one is %v", h.store, l.manifest.store)
		case id == l.manifest.floorSeg && h.salt != l.manifest.floorSalt:
			return nil, seg.corrupt(0, "this is not the segment of the manifest: its salt is %08x, want %08x", h.salt, l.manifest.floorSalt)
		case id == 1 && (h.prev != 0 || h.prevSalt != 0 || h.prevEnd != 0 || h.prevSeq != 0 || h.chain != 0):
			return nil, seg.corrupt(0, "the first segment has one before it, segment %d", h.prev)
		case i > 0 && ids[i-1] == id-1 && (h.prev != ids[i-1] || h.prevSalt != heads[i-1].salt || h.prevEnd < segmentHeaderSize):
			return nil, seg.corrupt(0, "the segment follows another %s than the one that is here", segmentName(h.prev))
		}
	}
	for _, k := range l.manifest.sealed {
		if i := slices.Index(ids, k.id+1); i > 0 && (heads[i].prevEnd != k.end || heads[i].prevSeq != k.last) {
			return nil, l.segments.all()[i].corrupt(0, "it seals %s at %d with commit %d, the manifest says %d and %d", segmentName(k.id), heads[i].prevEnd, heads[i].prevSeq, k.end, k.last)
		}
	}
	return heads, nil
}

// A replay applies the log to the delta, and finds its end.
type replay struct {
	s       *Store
	arena   arena
	changes []change

	sealed []sealedSegment

	// Of the segment that was read last:
	size int64   // of the file
	at   point   // X: behind the last frame
	mark point   // D: the highest durable mark, or the floor
	open []point // behind D
	scan scanner
}

// segment replays a segment. limit is its sealed end, or -1 for the last segment.
func (r *replay) segment(ctx context.Context, seg *segment, limit int64) (err error) {
	if r.size, err = seg.f.Size(); err != nil {
		return err
	}
	m := &r.s.commitLog.manifest
	floor := int64(0)
	if seg.id == m.floorSeg {
		floor = m.floorEnd
	}
	r.scan = scanner{seg: seg, size: r.size, buf: r.scan.buf[:0]}
	if limit >= 0 {
		if r.scan.size = min(limit, r.size); r.size < limit {
			return seg.corrupt(r.size, "the file ends here; it had at least %d bytes", limit)
		}
	}
	r.at = point{end: segmentHeaderSize, position: position{r.at.seq, seg.before.chain}}
	if seg.id == m.replaySeg {
		r.at = m.replay
	}
	r.mark, r.open = r.at, r.open[:0]
	if floor == r.at.end && (r.at.seq != m.floorSeq || r.at.sum != m.floorSum) {
		return seg.corrupt(r.at.end, "the log goes on here after commit %d with sum %08x, the manifest says %d and %08x", r.at.seq, r.at.sum, m.floorSeq, m.floorSum)
	}
	var bad *badFrame
	for r.at.end < r.scan.size {
		if err := ctx.Err(); err != nil {
			return err
		}
		f, err := r.scan.frame(r.at.end)
		if errors.As(err, &bad) {
			break
		}
		if err != nil {
			return err
		}
		if err := r.apply(seg, &f); err != nil {
			return err
		}
		if f.off < floor && r.at.end >= floor && (r.at.end != floor || r.at.sum != m.floorSum || r.at.seq != m.floorSeq) {
			return seg.corrupt(f.off, "the log ends here at %d with commit %d and sum %08x, the manifest says %d, %d and %08x",
				r.at.end, r.at.seq, r.at.sum, floor, m.floorSeq, m.floorSum)
		}
	}
	why := "the file ends here"
	if bad != nil {
		why = bad.Error()
	}
	switch {
	case r.at.end < limit:
		return seg.corrupt(r.at.end, "%s; the segment is sealed at %d", why, limit)
	case r.at.end < floor:
		return seg.corrupt(r.at.end, "%s; the log was durable up to %d", why, floor)
	case limit >= 0:
		return nil
	}
	if floor > 0 {
		if err := r.reach(floor); err != nil {
			return err
		}
	}
	if bad == nil {
		return nil
	}
	later, ok, err := r.scan.laterMark(r.at.end)
	if err != nil || !ok {
		return err
	}
	if later.durable > r.at.end {
		return seg.corrupt(r.at.end, "%s; a frame at offset %d says that the log was durable up to %d", why, later.off, later.durable)
	}
	return r.reach(later.durable)
}

// apply applies the frame at the end of the log.
func (r *replay) apply(seg *segment, f *frame) (err error) {
	want := r.at.seq
	if f.kind == frameCommit {
		want++
	}
	if f.seq != want {
		return seg.corrupt(f.off, "a %v with number %d, want %d", f.kind, f.seq, want)
	}
	if f.durable > f.off {
		return seg.corrupt(f.off, "a frame with the durable mark %d, behind itself", f.durable)
	}
	if err := r.change(seg, f); err != nil {
		return err
	}
	r.at = r.at.behind(&f.frameHeader, f.sum)
	r.open = append(r.open, r.at)
	return r.reach(f.durable)
}

// change makes the changes of a frame that stands in seg.
func (r *replay) change(seg *segment, f *frame) (err error) {
	if r.changes, err = f.changes(seg, &r.arena, r.changes[:0]); err != nil {
		return seg.corrupt(f.off, "%v %d: %v", f.kind, f.seq, err)
	}
	if f.kind == frameMove {
		return r.s.state.replayMoves(r.changes)
	}
	r.s.state.apply(r.changes)
	return nil
}

// reach notes the durable mark d.
func (r *replay) reach(d int64) error {
	if d <= r.mark.end {
		return nil
	}
	for i, p := range r.open {
		if p.end == d {
			r.mark = p
			r.open = append(r.open[:0], r.open[i+1:]...)
			return nil
		}
	}
	return r.scan.seg.corrupt(d, "a durable mark points here, and no frame ends here")
}
