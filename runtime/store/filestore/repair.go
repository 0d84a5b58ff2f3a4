package filestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// This file makes a new store of what can be read of a damaged one.
//
// What a key is can be known from two places: the runs, and the log. As long as manifest and runs can be read, they say all up to
// the commit from which the log is replayed, and the log behind it says the rest. For the keys of a block or a run that cannot be
// read, and for all keys if the manifest cannot be, the whole log is asked. What has the greatest commit number counts, also if it
// cannot be read: then the key is lost. An older value in its place would look like the right one.
//
// A frame counts as a whole or not at all. So the keys of a commit that cannot be read are not known, with two exceptions: those
// that a run knows, and those whose value has a checksum of its own that holds. Of the others the report has the commit.
//
// A move in the log is another place of a value that the runs know. What is found is written by repair_write.go.

// A RepairReport says what [Repair] has found.
type RepairReport struct {
	Keys uint64 // in the repaired store

	// Damages are what could not be read. That something is damaged does not mean that anything is lost.
	Damages []Damage

	// Lost is what the repaired store does not have: keys whose newest value could not be read, and commits, of which it is not
	// known what they have changed: that is now as it was before them.
	Lost []Damage
}

// Repair makes a store in the directory to, where there must be nothing, or an empty directory, of all that can be read in the
// damaged one in from, which is only read. The newest value of each key counts; where that is damaged the key is left out and
// listed as lost, and no older value takes its place. Of a commit that cannot be read only the number may be known: then it is
// listed as lost, and what it had changed or deleted is as it was before. If the manifest is lost, deleted keys may be back that
// stand in files which the store did not need any more. Short values, as of index entries, stand in runs alone when a compaction
// has removed the part of the log that had them: of a run that cannot be read the report has ranges of keys then. The torn end of a log that was not closed is left out, as [Open] does.
//
// What belongs together may not any more: an index entry can be there without its document, or a document without its entries.
// Who gave the keys a meaning must check them and build indexes anew. The repaired store is another one, with another history and
// other versions: a watch with a token of the old one begins with a resync.
//
// Repair takes memory for each key of the log that the runs do not have. It returns a [*store.LockedError] if a process has from
// open, an error that says so if there is no store in it, and the cause if to cannot be written; then nothing is left of it.
func Repair(ctx context.Context, from, to string) (RepairReport, error) {
	report, err := repairDir(ctx, from, to)
	if err != nil {
		return report, fmt.Errorf("filestore: repair %s: %w", from, err)
	}
	return report, nil
}

func repairDir(ctx context.Context, from, to string) (report RepairReport, err error) {
	src, err := openToRead(from)
	if err != nil {
		return report, err
	}
	defer src.Close()
	unlock, err := lockToRead(src, from)
	if err != nil {
		return report, err
	}
	defer unlock()
	d, err := makeDir(to)
	if err != nil {
		return report, err
	}
	report, err = repair(ctx, src, d.fs)
	return report, markFull(d.finish(err))
}

// lockToRead takes the lock of a directory, if there is one: a backup has none.
func lockToRead(fsys FS, dir string) (unlock func() error, err error) {
	f, err := fsys.OpenFile(lockName, os.O_RDONLY)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, store.ErrCorrupt) {
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, err
	}
	if err := f.Lock(); err != nil {
		if err == ErrHeld {
			text := make([]byte, 512)
			n, _ := f.ReadAt(text, 0) // as Store.lock does
			locked := &store.LockedError{Path: dir}
			locked.PID, locked.Host = parseOwner(string(text[:n]))
			err = locked
		}
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}

// keepOpen is a directory that outlives the store in it.
type keepOpen struct{ FS }

func (keepOpen) Close() error { return nil }

// repair makes a store in the empty directory to of what can be read in from.
func repair(ctx context.Context, from, to FS) (report RepairReport, err error) {
	r := &repairer{ctx: ctx, fs: from, report: &report, log: make(map[string]logged), moved: make(map[string]entry), unread: make(map[segID]Damage)}
	defer r.close()
	if err := r.read(); err != nil {
		return report, err
	}
	o := Options{FS: keepOpen{to}}
	o.Durability.Mode = store.NoSync // Close makes all of it durable
	o.Logger = slog.New(slog.DiscardHandler)
	r.to, err = Open(ctx, "repaired", o)
	if err != nil {
		return report, err
	}
	err = r.write()
	return report, errors.Join(err, r.to.Close())
}

// A repairer is one repair.
type repairer struct {
	ctx    context.Context
	fs     FS
	report *RepairReport
	to     *Store

	m     manifest
	known bool // the manifest could be read
	segs  []*segmentFile
	runs  []*run

	unread map[segID]Damage // segments that cannot be opened

	holes []hole            // of the runs
	gone  [2]uint64         // the first and the last commit that a compaction has removed from the log
	log   map[string]logged // what the log knows
	moved map[string]entry  // other places of values that the runs know
	at    uint64            // the last commit of the log so far
	gap   *Damage           // where commits are missing, as far as that is known

	closed bool // the last frame says that the store was closed

	batch store.Batch
	size  int // of the batch
}

// A hole is keys of which a run may have known something: from lo on, up to hi and without it unless it is open.
type hole struct {
	lo, hi string
	open   bool
	damage Damage // why they cannot be read
}

// A logged is what the log knows of a key.
type logged struct {
	entry   // without a value or place if it is deleted
	deleted bool
	lost    string // why it cannot be read
}

func (r *repairer) close() {
	for _, g := range r.segs {
		g.f.Close()
	}
	for _, run := range r.runs {
		run.f.Close()
	}
}

// damaged notes what err says of a file. It returns another error.
func (r *repairer) damaged(err error) error {
	if err == nil {
		return nil
	}
	d, ok := damageOf(err)
	if !ok {
		return err
	}
	r.report.Damages = append(r.report.Damages, d)
	return nil
}

// read reads all but the values.
func (r *repairer) read() error {
	segs, runs, err := listFiles(r.fs)
	if err != nil {
		return err
	}
	if len(segs)+len(runs) == 0 {
		return errors.New("there is no segment and no run in the directory")
	}
	m, ok, err := readManifest(r.fs)
	if err == nil && !ok {
		err = (&segment{name: manifestName}).corrupt(-1, "the file is missing")
	}
	if err := r.damaged(err); err != nil {
		return err
	}
	if r.known = err == nil; r.known {
		r.m = m
	} else if r.m.store, err = guessStore(r.fs, segs, runs); err != nil {
		return err
	}
	if err := r.openRuns(runs); err != nil {
		return err
	}
	r.holes = join(r.holes)
	if err := r.openSegments(segs); err != nil {
		return err
	}
	return r.readLog()
}

// openRuns opens the runs that count, and finds what cannot be read of them.
func (r *repairer) openRuns(there []runID) error {
	open := func(run *run, err error) error {
		if run == nil {
			err := r.damaged(err)
			if n := len(r.report.Damages); err == nil {
				r.holes = append(r.holes, hole{open: true, damage: r.report.Damages[n-1]})
			}
			return err
		}
		r.runs = append(r.runs, run)
		return r.findHoles(run)
	}
	if !r.known {
		r.holes = append(r.holes, hole{open: true})
		for _, id := range there {
			if err := open(openLoneRun(r.fs, id, r.m.store)); err != nil {
				return err
			}
		}
		return nil
	}
	for _, k := range r.m.runs {
		if err := open(openRun(r.fs, r.m.store, k)); err != nil {
			return err
		}
	}
	return nil
}

// findHoles notes the blocks of a run that cannot be read.
func (r *repairer) findHoles(run *run) error {
	for i := range run.blocks {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		_, err := run.readBlock(i)
		progressed(r.ctx, run.offsets[i+1]-run.offsets[i])
		if err == nil {
			continue
		}
		if err := r.damaged(err); err != nil {
			return err
		}
		h := hole{lo: run.firsts[i], hi: run.last + "\x00", damage: r.report.Damages[len(r.report.Damages)-1]}
		if i+1 < len(run.firsts) {
			h.hi = run.firsts[i+1]
		}
		r.holes = append(r.holes, h)
	}
	return nil
}

// join sorts the holes, and makes one of those that overlap.
func join(holes []hole) (joined []hole) {
	slices.SortFunc(holes, func(a, b hole) int { return cmp.Compare(a.lo, b.lo) })
	for _, h := range holes {
		n := len(joined)
		if n == 0 || !joined[n-1].open && joined[n-1].hi < h.lo {
			joined = append(joined, h)
			continue
		}
		last := &joined[n-1]
		last.open = last.open || h.open
		last.hi = max(last.hi, h.hi)
	}
	return joined
}

// inHole reports whether a run may have known the key that could not be read.
func (r *repairer) inHole(key string) bool {
	i, ok := slices.BinarySearchFunc(r.holes, key, func(h hole, key string) int { return cmp.Compare(h.lo, key) })
	if !ok {
		i--
	}
	return i >= 0 && (r.holes[i].open || key < r.holes[i].hi)
}

// openSegments opens the segments that are there, and those that the manifest names.
func (r *repairer) openSegments(there []segID) error {
	ids := slices.Clone(there)
	if r.known {
		ids = append(ids, segmentsOf(&r.m, there)...)
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		g, err := openSegmentFile(r.fs, id, r.m.store)
		if err := r.damaged(err); err != nil {
			return err
		}
		if g != nil {
			r.segs = append(r.segs, g)
		} else {
			r.unread[id] = r.report.Damages[len(r.report.Damages)-1]
		}
	}
	return nil
}

// between notes that a segment from the one number on and before the other one cannot be read, if there is one.
func (r *repairer) between(from, to segID) {
	for _, id := range slices.Sorted(maps.Keys(r.unread)) {
		if d := r.unread[id]; id >= from && id < to && r.gap == nil {
			r.gap = &d
		}
	}
}

// readLog reads the part of the log that is needed.
func (r *repairer) readLog() error {
	first := segID(0)
	if len(r.holes) == 0 {
		first, r.at = r.m.replaySeg, r.m.replay.seq
	}
	next := first
	for i, g := range r.segs {
		if g.id < first {
			continue
		}
		r.between(next, g.id)
		next = g.id + 1
		var behind *segmentFile
		if i+1 < len(r.segs) {
			behind = r.segs[i+1]
		}
		if err := r.readSegment(g, behind); err != nil {
			return err
		}
	}
	r.between(next, ^segID(0))
	if r.known {
		r.reaches(r.m.floorSeq, segmentName(r.m.floorSeg), -1)
	}
	if !r.known && !r.closed && r.gap == nil && len(r.segs) > 0 {
		r.gap = &Damage{File: r.segs[len(r.segs)-1].name, Offset: -1, What: "the log ends without a sign that it was closed, and there is no manifest that says how far it went"}
	}
	if r.gone[0] > 0 {
		for _, h := range r.holes {
			r.lostHole(h)
		}
	}
	if r.gap != nil { // nobody knows how far it goes
		d := *r.gap
		d.What = fmt.Sprintf("commits behind %d, if there were any: %s", r.at, d.What)
		d.FirstCommit = r.at + 1
		r.report.Lost = append(r.report.Lost, d)
	}
	return nil
}

// lostHole says that keys may be lost which only a run had that cannot be read.
func (r *repairer) lostHole(h hole) {
	d := h.damage
	d.FirstCommit, d.LastCommit = r.gone[0], r.gone[1]
	d.Keys = &KeyRange{From: []byte(h.lo)}
	if !h.open {
		d.Keys.To = []byte(h.hi)
	}
	d.What = fmt.Sprintf("keys that commits %d to %d had put, which are not in the log any more, from %x on and before %x: %s", d.FirstCommit, d.LastCommit, d.Keys.From, d.Keys.To, d.What)
	r.report.Lost = append(r.report.Lost, d)
}

// readSegment reads a segment.
func (r *repairer) readSegment(g, next *segmentFile) error {
	if !g.good {
		if g.head.salt != 0 {
			return nil // it is of another store, or of another place
		}
		ok, err := g.findSalt()
		if err != nil || !ok {
			return err
		}
	} else {
		r.reaches(g.before.seq, g.name, 0)
	}
	r.closed = false
	floor := int64(0)
	if g.id == r.m.floorSeg {
		floor = r.m.floorEnd
	}
	w, err := newFrameWalk(r.ctx, g, sealedEnd(&r.m, g, next), floor)
	if err != nil {
		return err
	}
	a := &arena{}
	var changes []change
	for {
		f, bad, err := w.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if bad == nil {
			r.closed = f.kind == frameClose
			if changes, err = f.changes(&g.segment, a, changes[:0]); err == nil {
				if f.kind == frameCommit {
					r.commit(g, &f, changes)
					continue
				}
				r.reaches(f.seq, g.name, f.off) // it has the number of the last commit
				for _, c := range changes {
					r.move(c.key, c.entry)
				}
				continue
			}
			bad = &gap{off: f.off, end: f.end(), why: err.Error(), head: &f.frameHeader}
		}
		d := Damage{File: g.name, Offset: bad.off, What: bad.why}
		r.report.Damages = append(r.report.Damages, d)
		if r.gap == nil {
			r.gap = &d
		}
		if bad.head != nil {
			if err := r.damagedFrame(g, bad); err != nil {
				return err
			}
		}
	}
}

// move takes another place of a value, which counts if the key still has it. Of keys that the runs may have known the move can
// be all that is left.
func (r *repairer) move(key string, e *entry) {
	if r.inHole(key) {
		r.know(key, logged{entry: *e})
	} else if have, ok := r.moved[key]; !ok || have.seq <= e.seq {
		r.moved[key] = *e
	}
}

// reaches notes that the log went up to a commit here: those between are missing.
func (r *repairer) reaches(seq uint64, file string, off int64) {
	if r.known && r.gap == nil && seq <= r.m.replay.seq {
		// The runs have them, and a compaction has removed the segment.
		if seq > r.at {
			if r.gone[0] == 0 {
				r.gone[0] = r.at + 1
			}
			r.gone[1], r.at = seq, seq
		}
	}
	if seq > r.at {
		d := Damage{File: file, Offset: off, What: "they are not in the log"}
		if !r.known {
			d.What += ", from which a compaction removes what is not needed"
		}
		if r.gap != nil {
			d = *r.gap
		}
		d.FirstCommit, d.LastCommit = r.at+1, seq
		d.What = fmt.Sprintf("commits %d to %d: %s", d.FirstCommit, d.LastCommit, d.What)
		r.report.Lost = append(r.report.Lost, d)
		r.at = seq
	}
	r.gap = nil
}

// commit takes what a commit changes, if it is not known better.
func (r *repairer) commit(g *segmentFile, f *frame, changes []change) {
	r.reaches(f.seq-1, g.name, f.off)
	r.at = max(r.at, f.seq)
	for _, c := range changes {
		l := logged{deleted: c.entry == nil}
		if c.entry != nil {
			l.entry = *c.entry
		}
		l.seq = f.seq
		r.know(c.key, l)
	}
}

// know takes what the log says of a key.
func (r *repairer) know(key string, l logged) {
	if (!r.known || l.seq <= r.m.replay.seq) && !r.inHole(key) {
		return // the runs know it
	}
	if have, ok := r.log[key]; !ok || have.seq <= l.seq {
		r.log[key] = l
	}
}

// damagedFrame notes the keys of a frame that cannot be read, as far as checksums say that they are the right ones.
func (r *repairer) damagedFrame(g *segmentFile, bad *gap) error {
	h := bad.head
	if h.kind != frameCommit {
		r.reaches(h.seq, g.name, bad.off)
		return nil
	}
	payload := make([]byte, h.length)
	if n, err := g.f.ReadAt(payload, bad.off+frameHeaderSize); n < len(payload) {
		return fmt.Errorf("read %s: %w", g.name, err)
	}
	for _, c := range certain(payload) {
		place([]change{c}, &g.segment, bad.off, h.seq)
		r.know(c.key, logged{entry: *c.entry, lost: fmt.Sprintf("commit %d, which had it, cannot be read: %s", h.seq, bad.why)})
	}
	r.reaches(h.seq, g.name, bad.off)
	return nil
}

// certain returns the operations of a damaged payload that have a checksum which holds: it covers key and value.
func certain(payload []byte) (changes []change) {
	d := decoder{b: payload}
	n, err := d.uvarint()
	if err != nil {
		return nil
	}
	a := &arena{}
	var last []byte
	for i := uint64(0); i < n; i++ {
		kind, err := d.byte()
		if err != nil {
			return changes
		}
		if last, err = d.key(last, i == 0); err != nil {
			return changes
		}
		switch kind {
		case opPut:
			e := &entry{}
			err := d.value(last, e, a)
			if errors.Is(err, errShort) {
				return changes
			}
			if err == nil && e.n > 0 {
				changes = append(changes, change{key: string(last), entry: e})
			}
		case opPutKey:
			if _, err := d.uvarint(); err != nil {
				return changes
			}
		case opDelete:
		default:
			return changes
		}
	}
	return changes
}
