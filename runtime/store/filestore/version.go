package filestore

import (
	"errors"
	"slices"
	"sync/atomic"
)

// A version is the files that a state of the store reads from: runs, the newest first, and the segments in which their
// values stand. It is immutable. Who reads files without a lock holds a reference; a file that the store does not need any
// more is removed when the last version that has it is gone.
type version struct {
	s    *Store
	runs []*run
	segs []*segment // ascending

	// What is needed of the segments before this one is in the runs: an opening does not replay them.
	replay segID

	refs atomic.Int64
}

// A state is one state of the store: what is newer is looked at first.
type state struct {
	delta  *delta
	frozen *delta // being written to a run; nil if there is none
	ver    *version
	at     position
	common string // what the first key that was put since the opening begins with: see tag
}

// newVersion returns a version with one reference, which has one on each of its files.
func (s *Store) newVersion(runs []*run, segs []*segment, replay segID) *version {
	v := &version{s: s, runs: runs, segs: segs, replay: replay}
	v.refs.Store(1)
	for _, r := range runs {
		r.refs.Add(1)
	}
	for _, g := range segs {
		g.refs.Add(1)
	}
	return v
}

// own makes segs, which begins with those it has, the segments of a version that nobody else has yet.
func (v *version) own(segs []*segment) {
	for _, g := range segs[len(v.segs):] {
		g.refs.Add(1)
	}
	v.segs = segs
}

// sameRuns reports whether both versions have the same runs.
func (v *version) sameRuns(o *version) bool { return slices.Equal(v.runs, o.runs) }

// newest returns the newest segment, nil if there is none.
func (v *version) newest() *segment {
	if len(v.segs) == 0 {
		return nil
	}
	return v.segs[len(v.segs)-1]
}

// acquire takes a reference. The caller holds mu, under which the store has one, or one of its own.
func (v *version) acquire() *version {
	v.refs.Add(1)
	return v
}

// release gives a reference back. No lock is held.
func (v *version) release() {
	if v.refs.Add(-1) > 0 {
		return
	}
	for _, r := range v.runs {
		if r.refs.Add(-1) == 0 && !v.s.closed.Load() { // else it is closed with everything else
			v.s.blocks.remove(r)
			v.s.discard(r.f, r.name)
		}
	}
	for _, g := range v.segs {
		if g.refs.Add(-1) == 0 && !v.s.closed.Load() {
			v.s.commitLog.segments.forget(g)
			v.s.discard(g.f, g.name)
		}
	}
}

// discard removes a file that no version has any more. If that fails the next opening removes it: the manifest does not
// name it.
func (s *Store) discard(f File, name string) {
	if err := errors.Join(f.Close(), s.fs.Remove(name)); err != nil {
		s.log.Warn("filestore: a file that is not needed any more could not be removed", "dir", s.dir, "file", name, "err", err)
	}
}

// segment returns the segment with the number, nil if there is none.
func (v *version) segment(id segID) *segment {
	i, ok := slices.BinarySearchFunc(v.segs, id, func(g *segment, id segID) int { return int(int64(g.id) - int64(id)) })
	if !ok {
		return nil
	}
	return v.segs[i]
}

// get looks a key up in the runs. It returns false if none knows it, or the newest that does says that it is deleted.
func (v *version) get(key string, e *runEntry) (bool, error) { return v.find(key, e, nil) }

// find is get. With kept, what it reads is not kept in memory, but for the last block of each run there: it is for many keys
// in order.
func (v *version) find(key string, e *runEntry, kept *aside) (bool, error) {
	for _, r := range v.runs {
		if ok, err := r.get(key, e, kept); ok || err != nil {
			return ok && !e.deleted, err
		}
	}
	return false, nil
}

// entry returns what a run says of a key, in memory of the arena.
func (v *version) entry(e *runEntry, a *arena) (*entry, error) {
	out := a.entry()
	*out = entry{seq: e.seq}
	l := e.location
	if l.n == 0 {
		out.value = a.string(e.value)
		return out, nil
	}
	if out.seg = v.segment(l.seg); out.seg == nil {
		return nil, (&segment{name: segmentName(l.seg)}).corrupt(int64(l.off), "the value of key %x stands here, and the file is not there", e.key)
	}
	out.off, out.n, out.sum = l.off, l.n, l.sum
	return out, nil
}

// lookup returns what the trees know of a key: without an entry it is not there. known is false if the runs have to be
// asked.
func (st *state) lookup(key string) (it item, known bool) {
	it = st.item(key, nil)
	if it, ok := st.delta.Get(it); ok {
		return it, true
	}
	if st.frozen != nil {
		if it, ok := st.frozen.Get(it); ok {
			return it, true
		}
	}
	return item{}, len(st.ver.runs) == 0
}

// flat reports whether the delta is all there is.
func (st *state) flat() bool { return st.frozen == nil && len(st.ver.runs) == 0 }
