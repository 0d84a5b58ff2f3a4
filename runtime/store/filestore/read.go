package filestore

import (
	"context"
	"fmt"
	"sync"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// Get returns one item for each key, see [store.Reader]. The keys of one call are of one state. A value that cannot be
// read, or does not match its checksum, is a [*store.CorruptError]; other keys are not touched by it.
func (s *Store) Get(ctx context.Context, keys ...[]byte) ([]store.Item, error) {
	if err := s.readable(ctx); err != nil {
		return nil, err
	}
	q := query{items: make([]store.Item, len(keys))}
	s.mu.RLock()
	q.get(&s.state, keys)
	q.ver = s.ver.acquire()
	s.mu.RUnlock()
	defer q.ver.release()
	return q.read()
}

// keyGuess is about how long the keys of an item of a page are.
const keyGuess = 80

// maxShort is how often a page is tried under the lock, while blocks that it needs are read from the disk.
const maxShort = 4

// Page returns a page of a range, see [store.Reader]. The keys are looked up in one step, under a lock; blocks of runs
// that are not in memory are read without it, and the step is repeated. What stands in the segments is read afterwards:
// those bytes do not change any more.
//
// Keys and short values in the items may be those that the store has in memory, without a copy.
func (s *Store) Page(ctx context.Context, p store.Page) ([]store.Item, error) {
	if err := s.readable(ctx); err != nil {
		return p.Into, err
	}
	if err := checkPage(&p); err != nil {
		return p.Into, err
	}
	for range maxShort {
		q := query{items: p.Into, arena: arena{chunk: min(max(p.Limit, 8)*keyGuess, 8<<10)}}
		q.keys = arena{chunk: q.arena.chunk, bytes: p.Room[:0]}
		got := s.shortPage(&q, &p)
		if got == pageDone {
			defer q.ver.release()
			return q.read()
		}
		if got == pageByEntries {
			break
		}
		_, err := q.missing.block(q.missingBlock)
		q.ver.release()
		if err != nil {
			return p.Into, err
		}
	}
	// On a state of its own, which takes what time it takes.
	st := s.clone()
	defer st.ver.release()
	return pageOf(&st, p)
}

// shortPage looks a page up under the lock. The query has a reference on its version, unless the page takes a clone.
func (s *Store) shortPage(q *query, p *store.Page) pageResult {
	s.mu.RLock()
	defer s.mu.RUnlock() // Cached is the caller's
	got := q.page(&s.state, p, false)
	if got != pageByEntries {
		q.ver = s.ver.acquire()
	}
	return got
}

// readable reports why nothing can be read.
func (s *Store) readable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closed.Load() {
		return store.ErrClosed
	}
	return nil
}

func checkPage(p *store.Page) error {
	if p.Limit < 1 {
		return fmt.Errorf("filestore: a page with a limit of %d items, want at least 1", p.Limit)
	}
	return nil
}

// A query looks things up in a state, and then reads what is in files.
type query struct {
	items []store.Item
	later []laterKey
	disk  []onDisk
	bytes int // of all that is on disk
	ver   *version
	arena arena
	keys  arena // for keys of items, if there is room for them
	err   error

	missing      *run // the block that a page could not go on without
	missingBlock int
}

// A laterKey is a key that has to be looked up in the runs.
type laterKey struct {
	item int // of items, that gets what is found
	key  string
}

// onDisk is a value that has to be read.
type onDisk struct {
	item int
	key  string
	e    *entry
}

func (q *query) get(st *state, keys [][]byte) {
	for i, key := range keys {
		it, known := st.lookup(stringOf(key))
		if it.entry != nil {
			q.items[i].Key = bytesOf(it.key)
			q.set(i, it.key, it.entry)
			continue
		}
		q.items[i].Key = append([]byte(nil), key...)
		if !known {
			q.later = append(q.later, laterKey{i, stringOf(q.items[i].Key)})
		}
	}
}

// set sets value and version of an item.
func (q *query) set(i int, key string, e *entry) {
	q.items[i].Version = store.Version(e.seq)
	if e.seg == nil {
		q.items[i].Value = bytesOf(e.value)
		return
	}
	q.disk = append(q.disk, onDisk{i, key, e})
	q.bytes += int(e.n)
}

// A pageResult says how a page went.
type pageResult int

const (
	pageDone      pageResult = iota
	pageByEntries            // an entry's value is on disk: the document cannot be looked up here
	pageMissing              // a block is not in memory
	pageFailed               // a block cannot be read
)

var walks = sync.Pool{New: func() any { return new(walk) }}

// page looks up a page. If it does not get through, the items are not complete. wait says that it may read blocks; then it
// holds no lock.
func (q *query) page(st *state, p *store.Page, wait bool) (got pageResult) {
	end := len(q.items) + p.Limit
	if st.flat() {
		each(st.delta, p.Lo, p.Hi, p.Reverse, func(it item) bool {
			if it.entry != nil && !q.step(st, step{key: it.key, entry: it.entry}, p) {
				got = pageByEntries
				return false
			}
			return len(q.items) < end
		})
		return got
	}
	w := walks.Get().(*walk)
	defer w.free()
	w.begin(st, p.Lo, p.Hi, p.Reverse, wait)
	for len(q.items) < end {
		s, ok := w.next()
		switch {
		case w.err != nil:
			q.err = w.err
			return pageFailed
		case w.missing != nil:
			q.missing, q.missingBlock = w.missing, w.block
			return pageMissing
		case !ok:
			return pageDone
		case !q.step(st, s, p):
			return pageByEntries
		}
	}
	return pageDone
}

// step adds what a walk has found. It returns false if that is an entry whose value is on disk.
func (q *query) step(st *state, s step, p *store.Page) bool {
	if p.Deref {
		switch {
		case s.entry != nil && s.entry.seg != nil, s.run != nil && s.run.location.n != 0:
			return false
		case s.entry != nil:
			q.addDocument(st, s.key, s.entry.value, p)
		default:
			keys := q.keysOf(p)
			q.addDocument(st, keys.string(s.run.key), keys.string(s.run.value), p)
		}
		return true
	}
	key := s.key
	if s.run != nil {
		key = q.keysOf(p).string(s.run.key)
	}
	i := len(q.items)
	q.items = append(q.items, store.Item{Key: bytesOf(key)})
	if p.KeysOnly {
		if s.run != nil {
			q.items[i].Version = store.Version(s.run.seq)
		} else {
			q.items[i].Version = store.Version(s.entry.seq)
		}
		return true
	}
	if q.cached(i, p) {
		return true
	}
	e := s.entry
	if e == nil {
		var err error
		if e, err = st.ver.entry(s.run, &q.arena); err != nil {
			q.err = err
			return true
		}
	}
	q.set(i, key, e)
	return true
}

// keysOf returns where keys of items are copied to.
func (q *query) keysOf(p *store.Page) *arena {
	if p.Room == nil {
		return &q.arena
	}
	return &q.keys
}

// cached fills an item from the caller's cache.
func (q *query) cached(i int, p *store.Page) bool {
	if p.Cached == nil {
		return false
	}
	decoded, v, ok := p.Cached(q.items[i].Key)
	if ok {
		q.items[i].Decoded, q.items[i].Version = decoded, v
	}
	return ok
}

// addDocument adds the document that an entry of the range names.
func (q *query) addDocument(st *state, entry, key string, p *store.Page) {
	i := len(q.items)
	q.items = append(q.items, store.Item{Entry: bytesOf(entry), Key: bytesOf(key)})
	if q.cached(i, p) {
		return
	}
	if it, known := st.lookup(key); it.entry != nil {
		q.set(i, key, it.entry)
	} else if !known {
		q.later = append(q.later, laterKey{i, key})
	}
}

// each calls f for the items of a range, in order, until it returns false.
func each(d *delta, lo, hi []byte, reverse bool, f func(item) bool) {
	from, to := stringOf(lo), stringOf(hi)
	if hi != nil && from >= to {
		return
	}
	if !reverse {
		d.AscendGreaterOrEqual(item{key: from}, func(it item) bool {
			return (hi == nil || it.key < to) && f(it)
		})
		return
	}
	down := func(it item) bool {
		if hi != nil && it.key >= to {
			return true // only the first one can be
		}
		return it.key >= from && f(it)
	}
	if hi == nil {
		d.Descend(down)
	} else {
		d.DescendLessOrEqual(item{key: to}, down)
	}
}

// sharedBuffer is up to how many bytes the values of a page are read into one buffer.
const sharedBuffer = 64 << 10

// read reads what is in files, and returns the items. No lock is held, but a reference on the version.
func (q *query) read() ([]store.Item, error) {
	if q.err != nil {
		return q.items[:0], q.err
	}
	if err := q.readLater(); err != nil {
		return q.items[:0], err
	}
	var shared []byte
	if len(q.disk) > 1 && q.bytes <= sharedBuffer {
		shared = make([]byte, q.bytes)
	}
	for _, v := range q.disk {
		n := int(v.e.n)
		var b []byte
		if shared != nil {
			b, shared = shared[:n:n], shared[n:]
		} else {
			b = make([]byte, n)
		}
		if err := v.e.seg.read(v.key, v.e, b); err != nil {
			return q.items[:0], err
		}
		q.items[v.item].Value = b
	}
	return q.items, nil
}

// readLater looks up in the runs what the trees do not know.
func (q *query) readLater() error {
	var e runEntry
	for _, k := range q.later {
		ok, err := q.ver.get(k.key, &e)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		found, err := q.ver.entry(&e, &q.arena)
		if err != nil {
			return err
		}
		q.set(k.item, k.key, found)
	}
	return nil
}
