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
type cached struct {
	version store.Version // set when it is published
	rev     Rev
	doc     any          // a pointer to the struct, shared: only clones of it leave the package
	deleted bool         // it is marked as deleted
	unknown *gen.Unknown // fields of the stored document that this schema does not know; nil almost always
	col     *collection  // whose document it is
	weight  int64        // bytes that it counts for in the cache

	// Of the cache, under the lock of the shard it is in.
	key  string
	slot int         // its place in the ring
	used atomic.Bool // since the hand last came by; without the lock
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
	entries map[string]*cached
	ring    []*cached // evicted and deleted entries leave at once, so that it is as long as the map
	hand    int
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
		c.shards[i].entries = make(map[string]*cached)
		c.shards[i].budget = bytes / cacheShards
	}
	return c
}

func (c *cache) shard(key []byte) *cacheShard {
	return &c.shards[maphash.Bytes(c.seed, key)%cacheShards]
}

// get returns the cached document with this key, or nil. The caller counts the look-up.
func (c *cache) get(key []byte) *cached {
	s := c.shard(key)
	s.mu.RLock()
	e := s.entries[string(key)]
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
	s := c.shard(key)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.entries[string(key)]
}

// stats returns the counts of all shards.
func (c *cache) stats() (out CacheStats) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.RLock()
		out.Bytes += s.bytes
		out.Budget += s.budget
		out.Documents += len(s.entries)
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
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lastSeq > mark {
		return
	}
	s.put(string(key), e)
}

// put puts a document, whatever is there. It is for stores that are not coherent, where the cache is a guess.
func (c *cache) put(key []byte, e *cached) {
	s := c.shard(key)
	s.mu.Lock()
	s.put(string(key), e)
	s.mu.Unlock()
}

// remove takes a document out.
func (c *cache) remove(key []byte) {
	s := c.shard(key)
	s.mu.Lock()
	if e := s.entries[string(key)]; e != nil {
		s.remove(e)
	}
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
		s := c.shard(op.Key)
		s.mu.Lock()
		s.lastSeq = seq
		if e, ok := op.Decoded.(*cached); ok && !op.Delete && mine(e) {
			e.version = v
			s.put(string(op.Key), e)
		} else if e := s.entries[string(op.Key)]; e != nil {
			s.remove(e)
		}
		s.mu.Unlock()
	}
	// Only now: a reader that marks this number began its read after the commit became visible.
	c.seq.Store(seq)
}

// put is called with the lock held.
func (s *cacheShard) put(key string, e *cached) {
	old := s.entries[key]
	if old == e {
		return
	}
	if e.weight > s.budget {
		if old != nil {
			s.remove(old)
		}
		return
	}
	if old != nil {
		e.key, e.slot = old.key, old.slot
		e.used.Store(true)
		s.ring[e.slot] = e
		s.bytes -= old.weight
	} else {
		e.key, e.slot = key, len(s.ring)
		s.ring = append(s.ring, e)
	}
	s.entries[e.key] = e
	s.bytes += e.weight
	for s.bytes > s.budget {
		s.evict()
	}
}

// remove takes e out; the last of the ring moves to its slot. It is called with the lock held.
func (s *cacheShard) remove(e *cached) {
	delete(s.entries, e.key)
	last := len(s.ring) - 1
	moved := s.ring[last]
	s.ring[e.slot], moved.slot = moved, e.slot
	s.ring[last] = nil
	s.ring = s.ring[:last]
	s.bytes -= e.weight
}

// evict removes the next entry that was not used since the hand came by. It is called with the lock held, and there is
// an entry: the budget is not negative.
func (s *cacheShard) evict() {
	for {
		if s.hand >= len(s.ring) {
			s.hand = 0
		}
		if e := s.ring[s.hand]; !e.used.Swap(false) {
			s.remove(e)
			s.evicted++
			return
		}
		s.hand++
	}
}
