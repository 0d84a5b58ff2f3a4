package kixx

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/kixxgen/kixxgen/runtime/gen"
	"github.com/kixxgen/kixxgen/runtime/store"
)

// A cached is a decoded document with what a write of it needs to know. It never changes once others can see it, except
// for the mark of the CLOCK hand.
//
// It has 128 bytes, so that it begins a line of the processor's memory, in which is all that a look-up reads.
type cached struct {
	doc     any         // a pointer to the struct, shared: only clones of it leave the package
	used    atomic.Bool // since the hand of the cache last came by
	weight  int32       // bytes that it counts for in the cache
	short   uint8       // length of the key, which is in room; 0: it is in long
	deleted bool        // it is marked as deleted
	room    [keyRoom]byte
	version store.Version // set when it is published
	rev     Rev
	unknown *gen.Unknown // fields of the stored document that this schema does not know; nil almost always
	col     *collection  // whose document it is
	long    *string      // the key, set by the cache if it does not fit into room
}

// keyRoom is as long as the keys of most documents: a UUID as text fits.
const keyRoom = 54

// setKey sets the key, which is copied.
func (e *cached) setKey(key []byte) {
	if n := len(key); n > 0 && n <= keyRoom {
		e.short = uint8(copy(e.room[:], key))
		return
	}
	long := string(key)
	e.short, e.long = 0, &long
}

// is reports whether e has the key, which setKey has set.
func (e *cached) is(key []byte) bool {
	if e.short > 0 {
		return string(e.room[:e.short]) == string(key)
	}
	return e.long != nil && *e.long == string(key)
}

// key returns the key; nobody may change it.
func (e *cached) key() []byte {
	if e.short > 0 {
		return e.room[:e.short]
	}
	return []byte(*e.long)
}

// cacheShards is a power of two. More shards than there can be running goroutines keep a reader from waiting for
// another one.
const cacheShards = 64

// A cache holds decoded documents by their keys, within a budget of bytes. Over a coherent store it is always right:
//
//  1. published is called for every commit, under the lock under which the store makes the commit visible.
//  2. fill puts a document that was read from the store only if nothing was published for its shard since before the
//     read, which the caller notes with mark. So a slow reader never puts an old document over a newer state.
//
// Each shard evicts by CLOCK (Corbató, 1968): a hand goes round and takes the first entry that was not used since it
// last came by.
type cache struct {
	seed maphash.Seed
	seq  atomic.Uint64 // of commits whose hook has ended

	// lookups are the calls of get, those that found nothing included. Callers count them, several at a time: one more
	// atomic addition would make a cached Get some percent slower.
	lookups atomic.Uint64

	shards [cacheShards]cacheShard
}

type cacheShard struct {
	mu      sync.RWMutex
	table   table
	hand    int // where in the table
	bytes   int64
	budget  int64
	misses  atomic.Uint64
	evicted uint64
	lastSeq uint64   // of the last commit that touched the shard
	_       [64]byte // shards on cache lines of their own
}

// newCache returns a cache that keeps about so many bytes.
func newCache(bytes int64) *cache {
	c := &cache{seed: maphash.MakeSeed()}
	for i := range c.shards {
		c.shards[i].budget = bytes / cacheShards
	}
	return c
}

// shard returns the shard of a key, and the hash of the key.
func (c *cache) shard(key []byte) (s *cacheShard, hash uint64) {
	hash = maphash.Bytes(c.seed, key)
	return &c.shards[hash%cacheShards], hash
}

// get returns the cached document with this key, or nil. The caller counts the look-up.
func (c *cache) get(key []byte) *cached {
	s, hash := c.shard(key)
	s.mu.RLock()
	e := s.table.find(hash, key)
	s.mu.RUnlock()
	if e == nil {
		s.misses.Add(1)
		return nil
	}
	if !e.used.Load() { // the load spares the cores a write to a line that all of them read
		e.used.Store(true)
	}
	return e
}

// find is get for a document that was looked for before: it does not count.
func (c *cache) find(key []byte) *cached {
	s, hash := c.shard(key)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.table.find(hash, key)
}

// stats returns the counts of all shards.
func (c *cache) stats() (out CacheStats) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.RLock()
		out.Bytes += s.bytes
		out.Budget += s.budget
		out.Documents += s.table.n
		out.Evictions += s.evicted
		s.mu.RUnlock()
		out.Misses += s.misses.Load()
	}
	if n := c.lookups.Load(); n > out.Misses {
		out.Hits = n - out.Misses
	}
	return out
}

// A key buffer counts the first exactLookups one by one, so that small numbers are right, and then lookupStep at a time.
const (
	exactLookups = 256
	lookupStep   = 64
)

// lookedUp counts a look-up of a key that was made in k.
func (c *cache) lookedUp(k *keyBuffer) {
	k.lookups++
	if k.lookups%lookupStep == 0 || k.lookups <= exactLookups {
		c.countLookups(k)
	}
}

//go:noinline
func (c *cache) countLookups(k *keyBuffer) {
	if k.lookups <= exactLookups {
		c.lookups.Add(1)
	} else {
		c.lookups.Add(lookupStep)
	}
}

// mark returns what fill wants to know: call it before the read.
func (c *cache) mark() uint64 { return c.seq.Load() }

// fill puts a document that was read from the store, unless it may be out of date by now.
func (c *cache) fill(key []byte, e *cached, mark uint64) {
	s, hash := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lastSeq > mark {
		return
	}
	s.put(hash, key, e)
}

// put puts a document, whatever is there. It is for stores that are not coherent, where the cache is a guess.
func (c *cache) put(key []byte, e *cached) {
	s, hash := c.shard(key)
	s.mu.Lock()
	s.put(hash, key, e)
	s.mu.Unlock()
}

// remove takes a document out.
func (c *cache) remove(key []byte) {
	s, hash := c.shard(key)
	s.mu.Lock()
	s.remove(hash, key)
	s.mu.Unlock()
}

// published brings the cache up to a commit. The store calls it for one commit after the other, under its own lock.
func (c *cache) published(b *store.Batch, v store.Version, mine func(*cached) bool) {
	seq := c.seq.Load() + 1
	for i := range b.Ops {
		op := &b.Ops[i]
		if !isDocument(op.Key) {
			continue
		}
		s, hash := c.shard(op.Key)
		s.mu.Lock()
		s.lastSeq = seq
		if e, ok := op.Decoded.(*cached); ok && !op.Delete && mine(e) {
			e.version = v
			s.put(hash, op.Key, e)
		} else {
			s.remove(hash, op.Key)
		}
		s.mu.Unlock()
	}
	// Only now: a reader that marks this number began its read after the commit became visible.
	c.seq.Store(seq)
}

// put is called with the lock held. It keeps e, but not key.
func (s *cacheShard) put(hash uint64, key []byte, e *cached) {
	old := s.table.find(hash, key)
	if old == e {
		return
	}
	if int64(e.weight) > s.budget {
		if old != nil {
			s.remove(hash, key)
		}
		return
	}
	if !e.is(key) { // else it was here before, and others may read it
		e.setKey(key)
	}
	if old != nil {
		e.used.Store(true)
		s.bytes -= int64(old.weight)
	}
	s.table.put(hash, e)
	s.bytes += int64(e.weight)
	for s.bytes > s.budget {
		s.evict()
	}
}

// remove takes the document with the key out, if it is there. It is called with the lock held.
func (s *cacheShard) remove(hash uint64, key []byte) {
	if e := s.table.remove(hash, key); e != nil {
		s.bytes -= int64(e.weight)
	}
}

// evict removes the next entry that was not used since the hand came by. It is called with the lock held, and there is
// an entry: the budget is not negative.
func (s *cacheShard) evict() {
	for {
		if s.hand >= len(s.table.slots) {
			s.hand = 0
		}
		if e := s.table.slots[s.hand].e; e != nil && !e.used.Swap(false) {
			s.table.removeAt(s.hand) // and one that is behind may stand there now
			s.bytes -= int64(e.weight)
			s.evicted++
			return
		}
		s.hand++
	}
}

// A table finds documents by their keys: with open addressing and linear probing, the hash beside the pointer, and deletion
// that closes the gap (Knuth, The Art of Computer Programming, volume 3, 6.4, algorithm R). A look-up reads one line of the
// table, and one of the document; in a map there are two more, and the key stands somewhere else again.
type table struct {
	slots []slot // a power of two, at most three quarters of them taken
	n     int
}

type slot struct {
	hash uint64
	e    *cached // nil: free
}

// place returns where the search for a hash begins. The lowest bits are those of the shard, which all hashes share.
func (t *table) place(hash uint64) int { return int(hash/cacheShards) & (len(t.slots) - 1) }

func (t *table) find(hash uint64, key []byte) *cached {
	if t.n == 0 {
		return nil
	}
	if i := t.index(hash, key); i >= 0 {
		return t.slots[i].e
	}
	return nil
}

// index returns where the document with the key stands, or -1. The table is not empty.
func (t *table) index(hash uint64, key []byte) int {
	for i := t.place(hash); ; i = (i + 1) & (len(t.slots) - 1) {
		s := &t.slots[i]
		if s.e == nil {
			return -1
		}
		if s.hash == hash && s.e.is(key) {
			return i
		}
	}
}

// put puts in e, in the place of the one that has its key.
func (t *table) put(hash uint64, e *cached) {
	if 4*(t.n+1) > 3*len(t.slots) {
		old := t.slots
		t.slots = make([]slot, max(8, 2*len(old)))
		for _, s := range old {
			if s.e != nil {
				t.slots[t.free(s.hash)] = s
			}
		}
	}
	if i := t.index(hash, e.key()); i >= 0 {
		t.slots[i].e = e
		return
	}
	t.slots[t.free(hash)] = slot{hash, e}
	t.n++
}

// free returns the first free slot for a hash.
func (t *table) free(hash uint64) int {
	i := t.place(hash)
	for t.slots[i].e != nil {
		i = (i + 1) & (len(t.slots) - 1)
	}
	return i
}

// remove removes the document with the key and returns it, nil if it is not there.
func (t *table) remove(hash uint64, key []byte) *cached {
	if t.n == 0 {
		return nil
	}
	i := t.index(hash, key)
	if i < 0 {
		return nil
	}
	e := t.slots[i].e
	t.removeAt(i)
	return e
}

// removeAt frees slot i, and moves up what would not be found behind a free slot.
func (t *table) removeAt(i int) {
	mask := len(t.slots) - 1
	for j := (i + 1) & mask; t.slots[j].e != nil; j = (j + 1) & mask {
		// It may move to i unless its search begins behind i.
		if begin := t.place(t.slots[j].hash); (j-begin)&mask >= (j-i)&mask {
			t.slots[i] = t.slots[j]
			i = j
		}
	}
	t.slots[i] = slot{}
	t.n--
}
