package filestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// This file moves values out of segments for a merge, see compact.go.

// heldMost is how many entries of a merge wait at most until it is known where the values are that were moved.
const heldMost = 8 << 10

// An emptying is what a merge of all runs does besides, so that segments can go: it moves the values that stand in them.
type emptying struct {
	s  *Store
	rw *runWriter
	p  *pacer

	from map[segID]*segment // what is to be emptied; one that is damaged is taken out

	held   []heldEntry // of the run, in order: from the first one whose value moves
	moves  []moved
	text   []byte // keys and short values of held
	values []byte // of moves
}

// A heldEntry is an entry of the run that is written.
type heldEntry struct {
	runEntry
	move int // its value moves with this one of the moves, or -1
}

// newEmptying returns what empties segs; if there are none it writes a run and nothing else.
func (s *Store) newEmptying(segs []*segment, p *pacer) *emptying {
	m := &emptying{s: s, p: p, from: make(map[segID]*segment)}
	for _, g := range segs {
		m.from[g.id] = g
	}
	return m
}

// room returns an error if there is no space for a run of the keys of ver, and for what is moved. Else moves would take the space
// that is left on a full disk, and the run would not find any.
func (m *emptying) room(ver *version) (err error) {
	if len(m.from) == 0 {
		return nil
	}
	var n int64
	for _, r := range ver.runs {
		n += r.size
	}
	for _, g := range m.from {
		n += g.end
	}
	const name = "room" + tmpSuffix
	f, err := m.s.fs.OpenFile(name, os.O_RDWR|os.O_CREATE)
	if err == nil {
		err = errors.Join(f.Reserve(0, n), f.Close())
	}
	if err = errors.Join(err, ignoreAbsent(m.s.fs.Remove(name))); err != nil {
		return fmt.Errorf("reserve %d bytes to move values: %w", n, err)
	}
	return nil
}

// add adds an entry to the run, after its value was moved if it stands in a segment that is to be emptied.
func (m *emptying) add(ctx context.Context, e *runEntry) error {
	var seg *segment
	if !e.deleted && e.location.n != 0 {
		seg = m.from[e.location.seg]
	}
	if seg == nil && len(m.held) == 0 {
		return m.rw.add(e)
	}
	h := heldEntry{runEntry: *e, move: -1}
	h.key, h.value = m.keep(e.key), m.keep(e.value)
	if seg != nil {
		at := len(m.values)
		m.values = slices.Grow(m.values, int(e.location.n))[:at+int(e.location.n)]
		value := m.values[at:len(m.values):len(m.values)]
		switch err := m.read(seg, &h, value); {
		case err == nil:
			h.move = len(m.moves)
			m.moves = append(m.moves, moved{key: stringOf(h.key), location: e.location, seq: e.seq, value: value})
		case errors.As(err, new(*store.CorruptError)):
			m.s.keepDamaged(seg, err)
			delete(m.from, seg.id)
			m.values = m.values[:at]
		default:
			return err
		}
	}
	m.held = append(m.held, h)
	if len(m.values) < moveBytes && len(m.held) < heldMost {
		return nil
	}
	return m.flush(ctx)
}

func (m *emptying) read(seg *segment, h *heldEntry, value []byte) error {
	l := &h.location
	return seg.read(stringOf(h.key), &entry{off: l.off, n: l.n, sum: l.sum}, value)
}

// keep returns a copy of b that lasts until the next flush.
func (m *emptying) keep(b []byte) []byte {
	at := len(m.text)
	m.text = append(m.text, b...)
	return m.text[at:len(m.text):len(m.text)]
}

// flush moves the values that were read, and writes the entries that wait for that.
func (m *emptying) flush(ctx context.Context) error {
	n := 0
	if len(m.moves) > 0 {
		if err := m.p.over(ctx); err != nil {
			return err
		}
		if err := m.s.moveAside(ctx, m.moves); err != nil {
			return err
		}
		for i := range m.moves {
			n += len(m.moves[i].value)
		}
	}
	for i := range m.held {
		h := &m.held[i]
		if h.move >= 0 {
			h.location = m.moves[h.move].location
		}
		if err := m.rw.add(&h.runEntry); err != nil {
			return err
		}
	}
	m.s.compaction.mu.Lock()
	m.s.compaction.moved += int64(n)
	m.s.compaction.mu.Unlock()
	clear(m.held)
	clear(m.moves)
	m.held, m.moves, m.text, m.values = m.held[:0], m.moves[:0], m.text[:0], m.values[:0]
	progressed(ctx, int64(n))
	return m.p.wait(ctx, n*mergeRate/compactRate)
}

// emptied returns the segments in which no value stands any more that the run knows of.
func (m *emptying) emptied() (segs []*segment) {
	for _, g := range m.from {
		segs = append(segs, g)
	}
	return segs
}

// moveAside copies values to the end of the log and changes moves to say where they are. The state of the store does not
// change: who calls it has their keys in a run that is not part of it yet.
func (s *Store) moveAside(ctx context.Context, moves []moved) error {
	c := commitPool.Get().(*commit)
	c.batch, c.moves, c.aside = &noBatch, true, true
	c.enc.encodeMoves(moves)
	_, err := s.through(context.WithoutCancel(ctx), c)
	if err == nil {
		for i := range moves {
			e := c.enc.changes[i].entry
			moves[i].location = location{e.seg.id, e.off, e.n, e.sum}
		}
	}
	c.free()
	return err
}
