package filestore

// A treeCursor walks over a part of a tree in one direction. It takes keys out in chunks, the first one small: most pages
// are short.
type treeCursor struct {
	tree *delta
	buf  [32]item
	n    int // of buf
	at   int
	size int  // of the last chunk
	end  bool // there is none behind buf
}

func (c *treeCursor) reset(d *delta) {
	clear(c.buf[:c.n])
	c.tree, c.n, c.at, c.size, c.end = d, 0, 0, 0, false // and not the whole cursor, which is a copy of buf
}

// item returns the item that the cursor is at, nil at the end.
func (c *treeCursor) item(w *walk) *item {
	if c.at == c.n && !c.end {
		c.fill(w)
	}
	if c.at == c.n {
		return nil
	}
	return &c.buf[c.at]
}

// fill takes out the next chunk.
func (c *treeCursor) fill(w *walk) {
	var last item
	first := c.size == 0
	if !first {
		last = c.buf[c.n-1]
	}
	c.size = min(len(c.buf), max(8, 2*c.size))
	c.n, c.at, c.end = 0, 0, true
	take := func(it item) bool {
		if !first && it.key == last.key {
			return true
		}
		if w.reverse && it.key < w.lo || !w.reverse && !w.open && it.key >= w.hi {
			return false
		}
		if w.reverse && first && !w.open && it.key >= w.hi {
			return true // only the first one can be
		}
		if c.n == c.size {
			c.end = false
			return false
		}
		c.buf[c.n] = it
		c.n++
		return true
	}
	switch {
	case !w.reverse && first:
		c.tree.AscendGreaterOrEqual(item{key: w.lo, tag: tagOf(w.lo, w.common)}, take)
	case !w.reverse:
		c.tree.AscendGreaterOrEqual(last, take)
	case first && w.open:
		c.tree.Descend(take)
	case first:
		c.tree.DescendLessOrEqual(item{key: w.hi, tag: tagOf(w.hi, w.common)}, take)
	default:
		c.tree.DescendLessOrEqual(last, take)
	}
}

// A runCursor walks over a part of a run in one direction.
type runCursor struct {
	run   *run
	block int // which one; outside of the run: the end
	b     *block
	i     int
	begun bool
	read  bool // e is entry i
	e     runEntry
	own   *block // of a walk that leaves blocks aside: where they are read into, one after the other
}

func (c *runCursor) reset(r *run) {
	*c = runCursor{run: r, e: runEntry{key: c.e.key[:0], value: c.e.value[:0]}}
}

// entry returns the entry that the cursor is at, nil at the end, or if a block is missing that the walk must not read.
func (c *runCursor) entry(w *walk) (*runEntry, error) {
	if c.read {
		return &c.e, nil
	}
	r := c.run
	if !c.begun {
		switch {
		case !w.reverse:
			c.block = max(0, r.at(w.lo))
		case w.open:
			c.block = len(r.blocks) - 1
		default:
			c.block = r.at(w.hi)
		}
	}
	for {
		if c.block < 0 || c.block >= len(r.blocks) {
			return nil, nil
		}
		if c.b == nil {
			if c.b = w.load(c); c.b == nil {
				if w.err == nil {
					w.missing, w.block = r, c.block
				}
				return nil, w.err
			}
			switch {
			case c.begun && !w.reverse:
				c.i = 0
			case c.begun:
				c.i = c.b.n - 1
			case !w.reverse:
				c.i, _ = c.b.search(bytesOf(w.lo))
			case w.open:
				c.i = c.b.n - 1
			default:
				c.i, _ = c.b.search(bytesOf(w.hi))
				c.i--
			}
			c.begun = true
		}
		if c.i >= 0 && c.i < c.b.n {
			break
		}
		c.b = nil
		if w.reverse {
			c.block--
		} else {
			c.block++
		}
	}
	c.b.at(c.i, &c.e)
	if key := stringOf(c.e.key); w.reverse && key < w.lo || !w.reverse && !w.open && key >= w.hi {
		c.block, c.b = len(r.blocks), nil
		return nil, nil
	}
	c.read = true
	return &c.e, nil
}

// next moves on.
func (c *runCursor) next(w *walk) {
	c.read = false
	if w.reverse {
		c.i--
	} else {
		c.i++
	}
}

// A walk goes over the keys of a range that are there, in one direction, through all trees and runs of a state: what is
// newer hides what is older.
type walk struct {
	lo, hi  string
	common  string // of the state
	open    bool   // there is no hi
	reverse bool

	trees  [2]treeCursor // the newest first
	ntrees int
	runs   []runCursor

	all   bool // keys that are deleted, too
	aside bool // blocks that are read are not kept in memory

	// wait says that blocks may be read. Else the walk stops before one that is not in memory: it is then missing.
	wait    bool
	missing *run
	block   int
	err     error
}

// begin prepares a walk over a range of st.
func (w *walk) begin(st *state, lo, hi []byte, reverse, wait bool) {
	w.lo, w.hi, w.open, w.common = stringOf(lo), stringOf(hi), hi == nil, st.common
	w.reverse, w.wait, w.all, w.aside = reverse, wait, false, false
	w.missing, w.err = nil, nil
	w.ntrees = 0
	for _, d := range []*delta{st.delta, st.frozen} {
		if d != nil {
			w.trees[w.ntrees].reset(d)
			w.ntrees++
		}
	}
	n := len(st.ver.runs)
	for len(w.runs) < n {
		w.runs = append(w.runs, runCursor{})
	}
	w.runs = w.runs[:n]
	for i, r := range st.ver.runs {
		w.runs[i].reset(r)
	}
	if !w.open && w.lo >= w.hi {
		w.ntrees, w.runs = 0, w.runs[:0]
	}
}

// load returns the block that c is at, nil if it is missing or cannot be read.
func (w *walk) load(c *runCursor) (b *block) {
	switch {
	case !w.wait:
		return c.run.resident(c.block)
	case w.aside:
		if c.own == nil {
			c.own = new(block)
		}
		if w.err = c.run.readInto(c.block, c.own, c.own.b); w.err != nil {
			return nil
		}
		return c.own
	}
	b, w.err = c.run.block(c.block)
	return b
}

// A step is one key of a walk. What run holds is valid until the next step. A key of a tree that is deleted has neither.
type step struct {
	key   string
	entry *entry
	run   *runEntry
}

// next returns the next key that is there. ok is false at the end, and if a block is missing or cannot be read.
func (w *walk) next() (s step, ok bool) {
	for {
		best, found := -1, false
		var s step
		for i := range w.ntrees {
			it := w.trees[i].item(w)
			if it == nil {
				continue
			}
			switch {
			case !found || w.before(it.key, s.key):
				best, found, s = i, true, step{key: it.key, entry: it.entry}
			case it.key == s.key:
				w.trees[i].at++
			}
		}
		for i := range w.runs {
			e, err := w.runs[i].entry(w)
			if err != nil || w.missing != nil {
				return s, false
			}
			if e == nil {
				continue
			}
			key := stringOf(e.key)
			switch {
			case !found || w.before(key, s.key):
				best, found, s = w.ntrees+i, true, step{key: key, run: e}
			case key == s.key:
				w.runs[i].next(w)
			}
		}
		if !found {
			return s, false
		}
		if best < w.ntrees {
			w.trees[best].at++
		} else {
			w.runs[best-w.ntrees].next(w)
		}
		if w.all || s.entry != nil || s.run != nil && !s.run.deleted {
			return s, true
		}
	}
}

// before reports whether a comes before b in the direction of the walk.
func (w *walk) before(a, b string) bool {
	if w.reverse {
		return a > b
	}
	return a < b
}

// free gives the walk back.
func (w *walk) free() {
	for i := range w.ntrees {
		w.trees[i].reset(nil)
	}
	for i := range w.runs {
		w.runs[i].reset(nil)
	}
	w.lo, w.hi, w.missing, w.err = "", "", nil, nil
	walks.Put(w)
}
