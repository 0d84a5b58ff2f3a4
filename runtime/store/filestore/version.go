package filestore

import (
	"errors"
	"slices"
	"sync/atomic"
)

// A version is the files that a state of the store reads from: runs, the newest first, and the segments in which their
// values stand. It is immutable. Who reads files without a lock holds a reference; the file of a run is removed when the
// last version that has it is gone.
type version struct {
	s    *Store
	runs []*run
	segs []*segment // ascending

	refs atomic.Int64
}

// A state is one state of the store: what is newer is looked at first.
type state struct {
	delta  *delta
	frozen *delta // being written to a run; nil if there is none
	ver    *version
	at     position
}

// newVersion returns a version with one reference, which has one on each of its runs.
func (s *Store) newVersion(runs []*run, segs []*segment) *version {
	v := &version{s: s, runs: runs, segs: segs}
	v.refs.Store(1)
	for _, r := range runs {
		r.refs.Add(1)
	}
	return v
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
		if r.refs.Add(-1) == 0 {
			v.s.discard(r)
		}
	}
}

// discard removes a run that no version has any more.
func (s *Store) discard(r *run) {
	if s.closed.Load() {
		return // with everything else; the next opening removes what the manifest does not name
	}
	s.blocks.remove(r)
	// If the file stays, the next opening removes it: the manifest does not name it.
	if err := errors.Join(r.f.Close(), s.fs.Remove(r.name)); err != nil {
		s.log.Warn("filestore: a run that is not needed any more could not be removed", "dir", s.dir, "file", r.name, "err", err)
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
func (v *version) get(key string, e *runEntry) (bool, error) {
	for _, r := range v.runs {
		if ok, err := r.get(key, e); ok || err != nil {
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
	if it, ok := st.delta.Get(item{key: key}); ok {
		return it, true
	}
	if st.frozen != nil {
		if it, ok := st.frozen.Get(item{key: key}); ok {
			return it, true
		}
	}
	return it, len(st.ver.runs) == 0
}

// flat reports whether the delta is all there is.
func (st *state) flat() bool { return st.frozen == nil && len(st.ver.runs) == 0 }
