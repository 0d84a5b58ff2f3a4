package filestore

import (
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/kixxgen/kixxgen/runtime/store"
)

const (
	// keepRecent is how many bytes of recent commits are kept at most, as add counts them.
	keepRecent = 16 << 20

	// chunkChanges is from how many changes on a chunk gets no more commits: so many are looked through one by one.
	chunkChanges = 1024

	// changeBytes is what a change takes beside its key and value: itself, its entry, its place in a sorted chunk.
	changeBytes = 24 + 64 + 4
)

// recent is the newest published commits with what they changed, for range checks and for watchers. Older ones are in the
// log, which is where watchers then read; for a range check they are too old.
//
// What is kept ends with the last commit and begins behind floor. It takes at most keep bytes, of keys, short values and
// what goes with each; the time that a commit stays depends on nothing else. A commit that is larger leaves nothing.
//
// Nothing is kept while nobody has use for it: that is who has the position of a snapshot, or of a watcher that waited.
// When keep bytes were added since the last of those (ask), the positions of all of them are below the floor.
type recent struct {
	asked atomic.Bool // since the last commit

	// under Store.mu
	keep   int
	floor  position
	chunks []*chunk // oldest first; the last one is still added to
	bytes  int      // of all chunks
	unused int      // bytes added since somebody asked; above keep nothing is kept
}

// commits are consecutive commits with what they changed. Its slices are only ever added to, so that a copy of the three
// can be read without the lock.
type commits struct {
	first   uint64   // number of the first one
	chains  []uint32 // behind each
	ends    []uint32 // of each in changes
	changes []change
}

// A chunk is a part of what is recent.
type chunk struct {
	commits
	bytes int

	sort   sync.Once
	sorted []uint32 // the changes by key, once somebody asks
}

// ask says that what is published from now on will be of use.
func (r *recent) ask() {
	if !r.asked.Load() {
		r.asked.Store(true)
	}
}

// add adds the commit before at, with its changes, which are copied. The store's mu is held.
func (r *recent) add(at position, changes []change) {
	if r.asked.Load() {
		r.asked.Store(false)
		r.unused = 0
	}
	if r.unused > r.keep {
		r.floor, r.chunks, r.bytes = at, nil, 0
		return
	}
	var last *chunk
	if n := len(r.chunks); n > 0 && len(r.chunks[n-1].changes) < chunkChanges {
		last = r.chunks[n-1]
	} else {
		last = &chunk{commits: commits{first: at.seq}}
		last.changes = make([]change, 0, chunkChanges+len(changes))
		r.chunks = append(r.chunks, last)
	}
	n := 8
	for i := range changes {
		n += changeBytes + len(changes[i].key)
		if e := changes[i].entry; e != nil {
			n += len(e.value)
		}
	}
	last.changes = append(last.changes, changes...)
	last.chains = append(last.chains, at.chain)
	last.ends = append(last.ends, uint32(len(last.changes)))
	last.bytes += n
	r.bytes += n
	r.unused += n
	for r.bytes > r.keep {
		r.drop()
	}
}

// drop takes off the oldest chunk.
func (r *recent) drop() {
	old := r.chunks[0]
	r.floor = old.last()
	r.bytes -= old.bytes
	r.chunks = slices.Delete(r.chunks, 0, 1)
}

// from returns which chunk has the commit after seq, which is not below the floor. If it is not there yet, that is the
// number of the chunks.
func (r *recent) from(seq uint64) int {
	return sort.Search(len(r.chunks), func(i int) bool { return r.chunks[i].last().seq > seq })
}

// has reports whether p is a position of this history that is not below the floor.
func (r *recent) has(p position) bool {
	if p.seq <= r.floor.seq {
		return p == r.floor
	}
	i := r.from(p.seq - 1)
	return i < len(r.chunks) && r.chunks[i].chains[p.seq-r.chunks[i].first] == p.chain
}

// after returns commits after seq, which is not below the floor: those that stand together, at least one if there is one.
func (r *recent) after(seq uint64) (c commits) {
	if i := r.from(seq); i < len(r.chunks) {
		c = r.chunks[i].commits
	}
	return c
}

// touched returns a key in [lo, hi) that was changed after seq, which is not below the floor.
func (r *recent) touched(seq uint64, lo, hi []byte) (key string, ok bool) {
	for i := r.from(seq); i < len(r.chunks); i++ {
		if key, ok = r.chunks[i].touched(seq, lo, hi, i == len(r.chunks)-1); ok {
			return key, true
		}
	}
	return "", false
}

// begin returns which of the changes is the first one after seq.
func (c *commits) begin(seq uint64) int {
	if seq < c.first {
		return 0
	}
	return int(c.ends[seq-c.first])
}

// last returns the position behind the last commit.
func (c *commits) last() position {
	n := len(c.ends) - 1
	return position{c.first + uint64(n), c.chains[n]}
}

func (c *chunk) touched(seq uint64, lo, hi []byte, newest bool) (key string, ok bool) {
	begin := c.begin(seq)
	if newest && len(c.changes) < chunkChanges {
		for i := range c.changes[begin:] {
			if key = c.changes[begin+i].key; within(key, lo, hi) {
				return key, true
			}
		}
		return "", false
	}
	sorted, from := c.sortedChanges(), stringOf(lo)
	i := sort.Search(len(sorted), func(i int) bool { return c.changes[sorted[i]].key >= from })
	for ; i < len(sorted); i++ {
		if key = c.changes[sorted[i]].key; !within(key, lo, hi) {
			break
		}
		if int(sorted[i]) >= begin { // else it is not after seq
			return key, true
		}
	}
	return "", false
}

// sortedChanges returns the changes by key. It may be called without the lock, but not while the chunk is added to.
func (c *chunk) sortedChanges() []uint32 {
	c.sort.Do(func() {
		c.sorted = make([]uint32, len(c.changes))
		for i := range c.sorted {
			c.sorted[i] = uint32(i)
		}
		slices.SortFunc(c.sorted, func(a, b uint32) int { return strings.Compare(c.changes[a].key, c.changes[b].key) })
	})
	return c.sorted
}

// prepareRanges reads the tokens of the range checks of c, and sorts what they will be compared with, so that this is not
// done under a lock. holds is false if a token is not this store's.
func (s *Store) prepareRanges(c *commit) (holds bool) {
	oldest := ^uint64(0)
	for i := range c.batch.Ranges {
		p, ok := s.parseToken(c.batch.Ranges[i].Token)
		if !ok || p.ops != whole {
			return false
		}
		c.since = append(c.since, p.position)
		oldest = min(oldest, p.seq)
	}
	s.mu.RLock()
	var full []*chunk
	if n := len(s.recent.chunks); n > 0 && oldest >= s.recent.floor.seq {
		full = slices.Clone(s.recent.chunks[min(n-1, s.recent.from(oldest)) : n-1])
	}
	s.mu.RUnlock()
	for _, c := range full {
		c.sortedChanges()
	}
	return true
}

// checkRange reports whether nothing in the range was changed since the position. If something was, it returns the key,
// nil if the position is too old or of another history, and whether that is published. wmu and mu are held.
func (s *Store) checkRange(r *store.RangeCheck, since position) (key []byte, holds, published bool) {
	if !s.recent.has(since) {
		return nil, false, true
	}
	if key, ok := s.recent.touched(since.seq, r.Lo, r.Hi); ok {
		return bytesOf(key), false, true
	}
	for i := 0; i <= len(s.pending); i++ {
		g := &s.queue
		if i < len(s.pending) {
			g = s.pending[i]
		}
		if g.applied { // was found above, if it is after the position
			continue
		}
		if key, ok := g.touches(r.Lo, r.Hi); ok {
			return bytesOf(key), false, false
		}
	}
	return nil, true, false
}
