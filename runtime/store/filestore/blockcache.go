package filestore

import (
	"slices"
	"sync"
	"sync/atomic"
)

// blockOverhead is what a block takes in memory beside its bytes.
const blockOverhead = 200

// A blockCache bounds the memory that the blocks of all runs take. Each run holds its own blocks, so that finding one takes
// no lock; the cache knows how much that is, and takes blocks away again that were not used since it last came by (CLOCK).
type blockCache struct {
	budget int64
	used   atomic.Int64

	hits, misses atomic.Uint64

	mu    sync.Mutex
	runs  []*run
	run   int // where the hand is
	block int
}

// size returns what a block counts for.
func (b *block) size() int64 { return int64(cap(b.b)) + blockOverhead }

// add lets the cache hold blocks of r.
func (c *blockCache) add(r *run) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.cache = c
	c.runs = append(c.runs, r)
}

// remove takes r away with its blocks, when nobody reads it any more.
func (c *blockCache) remove(r *run) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range r.blocks {
		c.drop(r, i)
	}
	if i := slices.Index(c.runs, r); i >= 0 {
		c.runs = slices.Delete(c.runs, i, i+1)
		c.run, c.block = 0, 0
	}
}

// all returns the runs.
func (c *blockCache) all() []*run {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.runs)
}

// drop takes a block away.
func (c *blockCache) drop(r *run, i int) {
	if b := r.blocks[i].Swap(nil); b != nil {
		c.used.Add(-b.size())
	}
}

// added counts a block that a run holds now, and makes room for it.
func (c *blockCache) added(b *block) {
	if c.used.Add(b.size()) <= c.budget {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// Twice around at most: the first time everything may have been used.
	for rounds := 0; c.used.Load() > c.budget && rounds < 3; {
		if c.run >= len(c.runs) {
			c.run, c.block = 0, 0
			rounds++
			continue
		}
		r := c.runs[c.run]
		if c.block >= len(r.blocks) {
			c.run, c.block = c.run+1, 0
			continue
		}
		if b := r.blocks[c.block].Load(); b != nil && !b.used.Swap(false) {
			c.drop(r, c.block)
		}
		c.block++
	}
}
