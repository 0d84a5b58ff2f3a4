package filestore

import (
	"slices"
	"sync"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// A commit is one call of Commit on its way.
type commit struct {
	batch *store.Batch // empty if the commit is none, but moves of values by a compaction
	enc   encoder
	since []position // of the range checks

	moves   bool
	aside   bool     // the state does not change by the moves
	lookups *version // the runs say where the values were that are moved
	again   bool     // some were not moved: the runs have changed since; set in stage P

	conditions []condition // in the state at seen, and in the runs of ver; nil if there are no runs
	seen       position
	ver        *version
	stale      bool

	conflict bool   // it depends on something that a commit before it has changed
	key      []byte // the key of the conflict

	at   position // behind it; set in stage S
	err  error
	done chan struct{} // gets an element when at and err are set; room for one
}

// writes reports whether the commit has a frame.
func (c *commit) writes() bool { return !c.conflict && (len(c.batch.Ops) > 0 || c.moves) }

// size returns the number of bytes of the commit's frame.
func (c *commit) size() int64 {
	if !c.writes() {
		return 0
	}
	return int64(len(c.enc.buf))
}

// keepBuffer is the size of the largest buffer that is kept for a later commit.
const keepBuffer = 1 << 20

var commitPool = sync.Pool{New: func() any { return &commit{done: make(chan struct{}, 1)} }}

// free gives the commit back. Nobody else may have it.
func (c *commit) free() {
	if cap(c.enc.buf) > keepBuffer || cap(c.enc.changes) > keepBuffer/64 {
		return
	}
	clear(c.enc.changes)
	enc := encoder{buf: c.enc.buf[:0], changes: c.enc.changes[:0], puts: c.enc.puts[:0]}
	*c = commit{enc: enc, since: c.since[:0], conditions: c.conditions[:0], done: c.done}
	commitPool.Put(c)
}

// A group is the commits that are written and synced together.
type group struct {
	commits []*commit
	size    int64 // of the frames
	err     error // of all of them; set in stage S
	applied bool  // readers see it, although it may still be pending; under mu
	touched bool  // something of them was written before err

	segment *segment // where the frames end, if there are any
	end     point

	// keys are the keys that the group puts (true) or deletes (false), made when somebody asks.
	keys map[string]bool
	made bool
}

func (g *group) add(c *commit) {
	g.commits = append(g.commits, c)
	g.size += c.size()
	if g.made {
		g.addKeys(c)
	}
}

func (g *group) addKeys(c *commit) {
	if c.conflict || c.moves { // a move changes nothing that a condition could depend on
		return
	}
	for i := range c.enc.changes {
		ch := &c.enc.changes[i]
		g.keys[ch.key] = ch.entry != nil
	}
}

// change reports whether the group changes the key, and whether it is there afterwards.
func (g *group) change(key []byte) (there, changed bool) {
	if !g.made {
		if g.keys == nil {
			g.keys = make(map[string]bool)
		}
		for _, c := range g.commits {
			g.addKeys(c)
		}
		g.made = true
	}
	there, changed = g.keys[string(key)]
	return there, changed
}

// touches returns a key in [lo, hi) that the group changes; hi nil is open.
func (g *group) touches(lo, hi []byte) (key string, ok bool) {
	for _, c := range g.commits {
		if !c.conflict && !c.moves {
			if key, ok := touches(c.enc.changes, lo, hi); ok {
				return key, true
			}
		}
	}
	return "", false
}

// split takes the first commits off g, as many as fit into room bytes with the one that passes it, at least one.
func (g *group) split(room int64) *group {
	var size int64
	for i, c := range g.commits {
		size += c.size()
		if size >= room && i+1 < len(g.commits) {
			first := &group{commits: slices.Clone(g.commits[:i+1]), size: size}
			g.commits = slices.Delete(g.commits, 0, i+1)
			g.size -= size
			clear(g.keys)
			g.made = false
			return first
		}
	}
	first := groupPool.Get().(*group)
	*first, *g = *g, *first
	return first
}

var groupPool = sync.Pool{New: func() any { return new(group) }}

// free gives the group back, empty. Nobody else may have it.
func (g *group) free() {
	const keep = 1024
	if cap(g.commits) > keep || len(g.keys) > keep {
		return
	}
	clear(g.commits)
	clear(g.keys)
	*g = group{commits: g.commits[:0], keys: g.keys}
	groupPool.Put(g)
}
