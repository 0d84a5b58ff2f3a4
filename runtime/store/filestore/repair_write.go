package filestore

import (
	"cmp"
	"maps"
	"slices"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// This file makes the repaired store of what repair.go has found.

// write writes what is known to the repaired store, in the order of the keys.
func (r *repairer) write() error {
	keys := slices.Sorted(maps.Keys(r.log))
	readers := make([]runReader, len(r.runs))
	for i, run := range r.runs {
		readers[i].run = run
		readers[i].next()
	}
	var found []candidate
	for n := 0; ; n++ {
		if n%1024 == 0 {
			if err := r.ctx.Err(); err != nil {
				return err
			}
		}
		key, ok := "", false
		if len(keys) > 0 {
			key, ok = keys[0], true
		}
		for i := range readers {
			if e := readers[i].e; e != nil && (!ok || string(e.key) < key) {
				key, ok = string(e.key), true
			}
		}
		if !ok {
			return r.flush()
		}
		found = found[:0]
		for i := range readers {
			if e := readers[i].e; e != nil && string(e.key) == key {
				found = append(found, r.candidateOf(e))
				readers[i].next()
			}
		}
		if len(keys) > 0 && keys[0] == key {
			found = append(found, candidate{logged: r.log[key]})
			keys = keys[1:]
		}
		if err := r.take(key, found); err != nil {
			return err
		}
	}
}

// A candidate is what one place knows of a key.
type candidate struct {
	logged
	missing segID // the segment with the value, which is not there
}

// candidateOf returns what an entry of a run says.
func (r *repairer) candidateOf(e *runEntry) (c candidate) {
	c.seq, c.deleted = e.seq, e.deleted
	l := e.location
	if l.n == 0 {
		c.value = string(e.value)
		return c
	}
	c.off, c.n, c.sum = l.off, l.n, l.sum
	i, ok := slices.BinarySearchFunc(r.segs, l.seg, func(g *segmentFile, id segID) int { return cmp.Compare(g.id, id) })
	if !ok {
		c.missing = l.seg
		return c
	}
	c.seg = &r.segs[i].segment
	return c
}

// take writes the newest of what is known of a key, if it can be read.
func (r *repairer) take(key string, found []candidate) error {
	newest := uint64(0)
	for i := range found {
		newest = max(newest, found[i].seq)
	}
	var lost *Damage
	for i := range found {
		c := &found[i]
		if c.seq != newest {
			continue
		}
		if c.deleted {
			return nil
		}
		value, err := c.read(key)
		if err == nil {
			return r.put(key, value)
		}
		d, ok := damageOf(err)
		if !ok {
			return err
		}
		lost = &d
	}
	if e, ok := r.moved[key]; ok && e.seq == newest {
		if value, err := (&candidate{logged: logged{entry: e}}).read(key); err == nil {
			return r.put(key, value)
		}
	}
	lost.Key, lost.FirstCommit, lost.LastCommit = []byte(key), newest, newest
	r.report.Lost = append(r.report.Lost, *lost)
	return nil
}

// read reads the value.
func (c *candidate) read(key string) ([]byte, error) {
	switch {
	case c.missing != 0:
		return nil, (&segment{name: segmentName(c.missing)}).corrupt(int64(c.off), "the value of key %x stands here, and the file is not there", key)
	case c.lost != "":
		return nil, c.seg.corrupt(int64(c.off), "the value of key %x: %s", key, c.lost)
	case c.seg == nil:
		return []byte(c.value), nil
	}
	return readLocated(c.seg, &runEntry{key: []byte(key), location: location{off: c.off, n: c.n, sum: c.sum}}, nil)
}

// repairBatch is how many bytes are committed together.
const repairBatch = 1 << 20

func (r *repairer) put(key string, value []byte) error {
	r.report.Keys++
	r.batch.Ops = append(r.batch.Ops, store.Op{Key: []byte(key), Value: value})
	if r.size += len(key) + len(value); r.size >= repairBatch {
		return r.flush()
	}
	return nil
}

// flush commits what was put.
func (r *repairer) flush() error {
	if len(r.batch.Ops) == 0 {
		return nil
	}
	_, err := r.to.Commit(r.ctx, &r.batch)
	clear(r.batch.Ops)
	r.batch.Ops, r.size = r.batch.Ops[:0], 0
	return err
}

// A runReader reads the entries of a run in order, without the blocks that cannot be read.
type runReader struct {
	run   *run
	b     *block
	block int // the next one
	i     int // the next entry of b
	entry runEntry
	e     *runEntry // the present one; nil at the end
}

func (r *runReader) next() {
	for r.b == nil || r.i == r.b.n {
		if r.block == len(r.run.blocks) {
			r.e = nil
			return
		}
		b, err := r.run.readBlock(r.block)
		r.block++
		if err != nil {
			continue // it is a hole
		}
		r.b, r.i = b, 0
	}
	r.b.at(r.i, &r.entry)
	r.i++
	r.e = &r.entry
}
