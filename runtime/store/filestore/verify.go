package filestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// A Report says what [Verify] has read, and what is damaged.
type Report struct {
	Segments int
	Runs     int
	Commits  uint64 // in the segments
	Keys     uint64 // in the runs: one that is in several of them counts for each
	Values   uint64 // of these, the ones that stand in segments

	Damages []Damage // in the order in which they were found, at most 10,000
	More    int      // so many more there were
}

// maxDamages is how many damages a report has at most. What is behind so many is one cause.
const maxDamages = 10_000

// Err returns nil if nothing is damaged, else an error that matches [store.ErrCorrupt] and has the first damage, as a
// [*store.CorruptError], with how many there are.
func (r *Report) Err() error {
	if len(r.Damages) == 0 {
		return nil
	}
	d := r.Damages[0]
	err := &store.CorruptError{File: d.File, Offset: d.Offset, What: d.What}
	if n := len(r.Damages) + r.More; n > 1 {
		return fmt.Errorf("%d damages, the first one is in %w", n, err)
	}
	return err
}

func (r *Report) add(d Damage) {
	if len(r.Damages) < maxDamages {
		r.Damages = append(r.Damages, d)
	} else {
		r.More++
	}
}

// Verify reads every byte that belongs to the store in the directory dir, and reports all that is damaged, by file and offset.
// It checks
//
//  1. the manifest, that all files are there which it names, and that they are the ones that it means;
//  2. every frame of every segment, and every operation in it, by their checksums; that the commits follow each other without
//     a gap, and that each segment ends where its successor and the manifest say;
//  3. every block of every run; the order of the keys, their numbers, and how much of each segment they say to use;
//  4. every value that a run says stands in a segment, by its checksum.
//
// It changes nothing, takes no lock, and may run beside the process that has the store open: of what is written meanwhile it
// sees a part. The end of the log that a crash tore is no damage: opening cuts it, see [Open]. Verify does not know what the
// keys and values mean.
//
// The error is what kept Verify from reading, or says that there is no store in dir. A report without an error has read all.
func Verify(ctx context.Context, dir string) (Report, error) {
	fsys, err := openToRead(dir)
	if err != nil {
		return Report{}, fmt.Errorf("filestore: verify %s: %w", dir, err)
	}
	defer fsys.Close()
	r, err := verify(ctx, fsys)
	if err != nil {
		err = fmt.Errorf("filestore: verify %s: %w", dir, err)
	}
	return r, err
}

func verify(ctx context.Context, fsys FS) (Report, error) {
	for {
		v := &verifier{ctx: ctx, fs: fsys}
		again, err := v.open()
		if err == nil && !again {
			err = v.check()
		}
		v.close()
		if err != nil || !again {
			return v.report, err
		}
	}
}

// A verifier reads the files of one manifest.
type verifier struct {
	ctx    context.Context
	fs     FS
	report Report
	m      manifest
	lone   bool // the manifest cannot be read, and m is made up
	segs   []*segmentFile
	runs   []*run // the newest first
	value  []byte

	// Of the keys that an opening would replay, if runs have values in segments that were compacted: what is newer hides
	// them.
	replayed map[string]struct{}
	aside    aside
}

func (v *verifier) close() {
	for _, g := range v.segs {
		g.f.Close()
	}
	for _, r := range v.runs {
		r.f.Close()
	}
}

// damaged reports what err says of a file. It returns another error.
func (v *verifier) damaged(err error) error {
	if err == nil {
		return nil
	}
	d, ok := damageOf(err)
	if !ok {
		return err
	}
	v.report.add(d)
	return nil
}

// open reads the manifest and opens what it names. Nothing that is open changes any more, or goes, but for the end of the newest
// segment; and no name is used twice. So all that matters is that everything was there: if not, and the manifest is another one
// by now, another process has removed it, and again is true.
func (v *verifier) open() (again bool, err error) {
	if err := v.ctx.Err(); err != nil {
		return false, err
	}
	m, ok, err := readManifest(v.fs)
	if err == nil && !ok {
		err = (&segment{name: manifestName}).corrupt(-1, "the file is missing")
	}
	if err != nil {
		if err := v.damaged(err); err != nil {
			return false, err
		}
		return false, v.openLone()
	}
	v.m = m
	if err := v.openFiles(); err != nil {
		return false, err
	}
	if len(v.report.Damages) == 0 {
		return false, nil
	}
	now, ok, err := readManifest(v.fs)
	return ok && err == nil && now.generation != m.generation, nil
}

func (v *verifier) openFiles() error {
	for _, k := range v.m.runs {
		r, err := openRun(v.fs, v.m.store, k)
		if err := v.damaged(err); err != nil {
			return err
		}
		if r != nil {
			v.runs = append(v.runs, r)
		}
	}
	there, _, err := listFiles(v.fs)
	if err != nil {
		return err
	}
	for _, id := range segmentsOf(&v.m, there) {
		if err := v.openSegment(id); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) openSegment(id segID) error {
	g, err := openSegmentFile(v.fs, id, v.m.store)
	if err := v.damaged(err); err != nil {
		return err
	}
	if g != nil {
		v.segs = append(v.segs, g)
	}
	return nil
}

// segmentsOf returns the segments of the store with the manifest m: those that it knows, and those of there that were begun
// behind it. A segment that it does not know any more is removed by the process that has the store open, or the next one.
func segmentsOf(m *manifest, there []segID) (ids []segID) {
	for _, k := range m.sealed {
		ids = append(ids, k.id)
	}
	next := m.replaySeg
	if len(ids) > 0 {
		next = max(next, ids[len(ids)-1]+1)
	}
	missing := 0
	for ; next > 0 && missing < maxDamages; next++ { // a manifest from elsewhere can name as many as it likes
		_, ok := slices.BinarySearch(there, next)
		if !ok && next > m.floorSeg {
			break
		}
		if !ok {
			missing++
		}
		ids = append(ids, next)
	}
	return ids
}

// openLone opens all files of a directory without a manifest.
func (v *verifier) openLone() error {
	segs, runs, err := listFiles(v.fs)
	if err != nil {
		return err
	}
	if len(segs)+len(runs) == 0 && v.report.Damages[0].Offset < 0 {
		return errors.New("there is no store in the directory")
	}
	v.lone = true
	if v.m.store, err = guessStore(v.fs, segs, runs); err != nil {
		return err
	}
	for _, id := range runs {
		r, err := openLoneRun(v.fs, id, v.m.store)
		if err := v.damaged(err); err != nil {
			return err
		}
		if r != nil {
			v.runs = append(v.runs, r)
		}
	}
	for _, id := range segs {
		if err := v.openSegment(id); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) check() error {
	for _, r := range v.runs {
		for _, u := range r.uses {
			if v.compacted(u.seg) {
				v.replayed = make(map[string]struct{})
			}
		}
	}
	for i, g := range v.segs {
		if err := v.segment(i, g); err != nil {
			return err
		}
	}
	for i, r := range v.runs {
		if err := v.run(i, r); err != nil {
			return err
		}
	}
	return nil
}

// compacted reports whether the segment is gone because a compaction was done with it.
func (v *verifier) compacted(id segID) bool { return !v.lone && !v.m.knows(id) }

// hidden reports whether what run i says of a key is hidden by something newer.
func (v *verifier) hidden(i int, key []byte) bool {
	if _, ok := v.replayed[string(key)]; ok {
		return true
	}
	var e runEntry
	for _, r := range v.runs[:i] {
		if ok, err := r.get(stringOf(key), &e, &v.aside); ok || err != nil { // a block that cannot be read is reported itself
			return true
		}
	}
	return false
}

// sealedEnd returns where the frames of a segment end, or -1 if it is the newest one, or that is not known. next is the segment
// behind it, or nil.
func sealedEnd(m *manifest, g, next *segmentFile) int64 {
	if next != nil && next.good && next.id == g.id+1 {
		return next.head.prevEnd
	}
	if k, ok := m.sealedAs(g.id); ok {
		return k.end
	}
	return -1
}

// sealedAs returns what the manifest says of a sealed segment.
func (m *manifest) sealedAs(id segID) (k sealedSegment, ok bool) {
	i, ok := slices.BinarySearchFunc(m.sealed, id, func(k sealedSegment, id segID) int { return cmp.Compare(k.id, id) })
	if !ok {
		return k, false
	}
	return m.sealed[i], true
}

// segment checks segment i.
func (v *verifier) segment(i int, g *segmentFile) error {
	v.report.Segments++
	var next *segmentFile
	if i+1 < len(v.segs) {
		next = v.segs[i+1]
	}
	if !g.good {
		if ok, err := g.findSalt(); err != nil || !ok {
			return err
		}
	}
	floor := int64(0)
	if g.id == v.m.floorSeg {
		floor = v.m.floorEnd
	}
	w, err := newFrameWalk(v.ctx, g, sealedEnd(&v.m, g, next), floor)
	if err != nil {
		return err
	}
	c := &segmentCheck{v: v, g: g, whole: g.good, ends: []int64{segmentHeaderSize}}
	c.at = point{end: segmentHeaderSize, position: g.before}
	c.places()
	for {
		f, bad, err := w.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if bad != nil {
			c.whole, c.lost = false, true
			v.report.add(Damage{File: g.name, Offset: bad.off, What: bad.why})
			continue
		}
		c.frame(&f)
	}
	if c.whole && next != nil && next.good && next.id == g.id+1 {
		c.successor(&next.head)
	}
	return nil
}

// A segmentCheck is how far the check of a segment has come.
type segmentCheck struct {
	v     *verifier
	g     *segmentFile
	at    point
	whole bool    // nothing was damaged so far, so that at is right
	lost  bool    // the frame before cannot be read
	ends  []int64 // of the frames since the last durable mark
}

func (c *segmentCheck) damage(off int64, format string, args ...any) {
	c.whole = false
	c.v.report.add(Damage{File: c.g.name, Offset: off, What: fmt.Sprintf(format, args...)})
}

// frame checks a frame.
func (c *segmentCheck) frame(f *frame) {
	want := c.at.seq
	if f.kind == frameCommit {
		want++
		c.v.report.Commits++
	}
	if !c.lost && f.seq != want && (c.whole || c.g.good) {
		c.damage(f.off, "a %v with number %d, want %d", f.kind, f.seq, want)
	}
	c.lost = false
	changes, err := f.changes(&c.g.segment, &arena{}, nil)
	if err != nil {
		c.damage(f.off, "%v %d: %v", f.kind, f.seq, err)
	}
	if m := &c.v.m; c.v.replayed != nil && (c.g.id > m.replaySeg || c.g.id == m.replaySeg && f.off >= m.replay.end) {
		for i := range changes {
			c.v.replayed[changes[i].key] = struct{}{}
		}
	}
	c.mark(f)
	if c.at.seq = f.seq; f.kind == frameCommit {
		c.at.seq--
	}
	c.at = c.at.behind(&f.frameHeader, f.sum)
	c.at.end = f.end()
	c.places()
}

// mark checks the durable mark of a frame.
func (c *segmentCheck) mark(f *frame) {
	i, ok := slices.BinarySearch(c.ends, f.durable)
	switch {
	case f.durable > f.off:
		c.damage(f.off, "a frame with the durable mark %d, behind itself", f.durable)
	case ok:
		c.ends = slices.Delete(c.ends, 0, i)
	case c.whole && f.durable > c.ends[0]:
		c.damage(f.off, "a durable mark points to %d, and no frame ends there", f.durable)
	}
	c.ends = append(c.ends, f.end())
}

// places compares the end of the frames so far with what the manifest says of this place.
func (c *segmentCheck) places() {
	m := &c.v.m
	if !c.whole {
		return
	}
	if c.g.id == m.replaySeg && c.at.end == m.replay.end && !c.v.lone && c.at != m.replay && m.replay.end > segmentHeaderSize {
		c.damage(c.at.end, "commit %d, sum %08x and chain %08x are here; the manifest says %d, %08x and %08x to replay from", c.at.seq, c.at.sum, c.at.chain, m.replay.seq, m.replay.sum, m.replay.chain)
	}
	if c.g.id != m.floorSeg || c.v.lone {
		return
	}
	switch {
	case c.g.salt != m.floorSalt && c.at.end == segmentHeaderSize:
		c.damage(0, "this is not the segment of the manifest: its salt is %08x, want %08x", c.g.salt, m.floorSalt)
	case c.at.end == m.floorEnd && (c.at.seq != m.floorSeq || c.at.sum != m.floorSum):
		c.damage(c.at.end, "commit %d and sum %08x are here, the manifest says %d and %08x", c.at.seq, c.at.sum, m.floorSeq, m.floorSum)
	}
}

// successor compares the end of the segment with what the header of the next one says.
func (c *segmentCheck) successor(h *segmentHeader) {
	switch {
	case h.prev != c.g.id || h.prevSalt != c.g.salt:
		c.damage(-1, "its successor follows another segment %d", h.prev)
	case c.at.end != h.prevEnd || c.at.seq != h.prevSeq || c.at.sum != h.prevSum:
		c.damage(-1, "it ends at %d with commit %d and sum %08x, its successor says %d, %d and %08x", c.at.end, c.at.seq, c.at.sum, h.prevEnd, h.prevSeq, h.prevSum)
	case c.at.chain != h.chain && !h.fresh:
		c.damage(-1, "it ends with chain %08x, its successor says %08x", c.at.chain, h.chain)
	}
	if k, ok := c.v.m.sealedAs(c.g.id); ok && (k.end != h.prevEnd || k.last != h.prevSeq) {
		c.damage(-1, "its successor seals it at %d with commit %d, the manifest says %d and %d", h.prevEnd, h.prevSeq, k.end, k.last)
	}
}

// run checks run n.
func (v *verifier) run(n int, r *run) error {
	v.report.Runs++
	bad := func(off int64, format string, args ...any) {
		v.report.add(Damage{File: r.name, Offset: off, What: fmt.Sprintf(format, args...)})
	}
	found := run{minSeq: math.MaxUint64}
	uses := make(map[segID]*segmentUse)
	whole := true
	var e runEntry
	for i := range r.blocks {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		b, err := r.readBlock(i)
		progressed(v.ctx, r.offsets[i+1]-r.offsets[i])
		if err != nil {
			whole = false
			if err := v.damaged(err); err != nil {
				return err
			}
			continue
		}
		for k := range b.n {
			b.at(k, &e)
			if k == 0 && found.last >= string(e.key) {
				bad(r.offsets[i], "the block begins with key %x, the one before ends with %x", e.key, found.last)
			}
			found.keys++
			found.minSeq, found.maxSeq = min(found.minSeq, e.seq), max(found.maxSeq, e.seq)
			if e.deleted {
				found.deleted++
			}
			if e.location.n == 0 {
				continue
			}
			u := uses[e.location.seg]
			if u == nil {
				u = &segmentUse{seg: e.location.seg}
				uses[u.seg] = u
			}
			u.values++
			u.bytes += uint64(e.location.n)
			if err := v.located(n, r, &e); err != nil {
				return err
			}
		}
		found.last = string(e.key)
	}
	v.report.Keys += found.keys
	if !whole {
		return nil
	}
	at := r.offsets[len(r.offsets)-1]
	if found.keys != r.keys || found.deleted != r.deleted || found.last != r.last {
		bad(at, "the index says %d keys, %d of them deleted, up to %x; there are %d, %d and %x", r.keys, r.deleted, r.last, found.keys, found.deleted, found.last)
	}
	if found.minSeq != r.minSeq || found.maxSeq != r.maxSeq {
		bad(at, "the index says commits %d to %d, there are %d to %d", r.minSeq, r.maxSeq, found.minSeq, found.maxSeq)
	}
	if r.maxSeq > v.m.replay.seq && !v.lone {
		bad(at, "it has commit %d, and the log is replayed behind commit %d", r.maxSeq, v.m.replay.seq)
	}
	for _, u := range r.uses {
		if have := uses[u.seg]; have == nil || *have != u {
			bad(at, "the index says %d values of %d bytes in %s, which is not what there are", u.values, u.bytes, segmentName(u.seg))
		}
		delete(uses, u.seg)
	}
	if len(uses) > 0 {
		bad(at, "there are values in %d segments of which the index does not know", len(uses))
	}
	return nil
}

// located checks the value of an entry of run n that stands in a segment.
func (v *verifier) located(n int, r *run, e *runEntry) error {
	v.report.Values++
	i, ok := slices.BinarySearchFunc(v.segs, e.location.seg, func(g *segmentFile, id segID) int { return cmp.Compare(g.id, id) })
	if !ok && v.compacted(e.location.seg) && v.hidden(n, e.key) {
		return nil
	}
	if !ok {
		v.report.add(Damage{File: segmentName(e.location.seg), Offset: int64(e.location.off), Key: slices.Clone(e.key),
			What: fmt.Sprintf("the value of key %x in %s stands here, and the file is not there", e.key, r.name)})
		return nil
	}
	var err error
	if v.value, err = readLocated(&v.segs[i].segment, e, v.value); err == nil {
		return nil
	}
	d, ok := damageOf(err)
	if !ok {
		return err
	}
	d.Key = slices.Clone(e.key)
	v.report.add(d)
	return nil
}

// readLocated reads the value of an entry of a run from the segment that it stands in, into b.
func readLocated(g *segment, e *runEntry, b []byte) ([]byte, error) {
	l := e.location
	if l.n > uint32(limits.Value) {
		return b, g.corrupt(int64(l.off), "the value of key %x has %d bytes, which is more than a value may have", e.key, l.n)
	}
	b = slices.Grow(b[:0], int(l.n))[:l.n]
	return b, g.read(stringOf(e.key), &entry{off: l.off, n: l.n, sum: l.sum}, b)
}
