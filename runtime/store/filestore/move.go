package filestore

import (
	"encoding/binary"
	"fmt"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// A moved is a value that a compaction copies to the end of the log.
type moved struct {
	key string
	location
	seq   uint64 // the commit that put it
	value []byte
}

// encodeMoves builds the frame of the moves, which are sorted by key, and the changes that they are.
func (e *encoder) encodeMoves(moves []moved) {
	size := frameHeaderSize + binary.MaxVarintLen32 + frameAlign
	a := arena{entries: len(moves)}
	for i := range moves {
		size += 32 + len(moves[i].key) + len(moves[i].value)
		a.text += len(moves[i].key)
	}
	if cap(e.buf) < size {
		e.buf = make([]byte, size)
	}
	e.changes, e.puts = e.changes[:0], e.puts[:0]
	buf := binary.AppendUvarint(e.buf[:frameHeaderSize], uint64(len(moves)))
	var last []byte
	for i := range moves {
		m := &moves[i]
		key := bytesOf(m.key)
		shared := sharedPrefix(last, key)
		buf = binary.AppendUvarint(buf, uint64(shared))
		buf = binary.AppendUvarint(buf, uint64(len(key)-shared))
		buf = append(buf, key[shared:]...)
		last = key
		buf = binary.AppendUvarint(buf, m.seq)
		buf = binary.AppendUvarint(buf, uint64(len(m.value)))
		c := change{key: a.string(key), entry: a.entry()}
		*c.entry = entry{seq: m.seq, off: uint32(len(buf)), n: uint32(len(m.value)), sum: m.sum}
		buf = append(buf, m.value...)
		buf = binary.LittleEndian.AppendUint32(buf, m.sum)
		e.changes = append(e.changes, c)
	}
	e.end(buf, frameMove)
}

// placeMoves gives the changes of a move at offset off of seg the places of their values.
func placeMoves(changes []change, seg *segment, off int64) {
	for i := range changes {
		e := changes[i].entry
		e.seg, e.off = seg, e.off+uint32(off)
	}
}

// decodeMoves reads the changes of a move from its payload, as [decodePayload] does those of a commit.
func decodeMoves(payload []byte, a *arena, changes []change) ([]change, error) {
	d := decoder{b: payload}
	n, err := d.uvarint()
	if err != nil {
		return nil, err
	}
	if n > uint64(len(payload)) {
		return nil, fmt.Errorf("%d moves in %d bytes", n, len(payload))
	}
	last := make([]byte, 0, store.MaxKey)
	for i := range int(n) {
		if last, err = d.key(last, i == 0); err != nil {
			return nil, fmt.Errorf("move %d: %w", i, err)
		}
		c := change{key: a.string(last), entry: a.entry()}
		if c.entry.seq, err = d.uvarint(); err == nil {
			err = d.value(last, c.entry, a)
		}
		if err == nil && c.entry.n == 0 {
			err = fmt.Errorf("a value of %d bytes, which is never moved", len(c.entry.value))
		}
		if err != nil {
			return nil, fmt.Errorf("move %d: %w", i, err)
		}
		changes = append(changes, c)
	}
	if d.at != len(d.b) {
		return nil, fmt.Errorf("%d bytes behind the last move", len(d.b)-d.at)
	}
	return changes, nil
}

// applyMoves makes the values readable at their new places, unless the key was put or deleted since they were looked up:
// a value is the one that was moved if its commit is. mu is held.
func (st *state) applyMoves(c *commit) {
	same := len(c.enc.changes) > 0 && c.lookups.sameRuns(st.ver)
	for _, ch := range c.enc.changes {
		switch it, known := st.lookup(ch.key); {
		case it.entry != nil && it.entry.seq == ch.entry.seq, !known && same:
			st.delta.ReplaceOrInsert(st.item(ch.key, ch.entry))
		case !known:
			c.again = true // it may have been put, and be in a run by now
		}
	}
}

// replayMoves is applyMoves for an opening, which may read the runs.
func (st *state) replayMoves(changes []change) error {
	var e runEntry
	for _, ch := range changes {
		it, known := st.lookup(ch.key)
		var seq uint64
		if it.entry != nil {
			seq = it.entry.seq
		} else if !known {
			there, err := st.ver.get(ch.key, &e)
			if err != nil {
				return err
			}
			if there && (e.location.seg != ch.entry.seg.id || e.location.off != ch.entry.off) { // else a merge has moved it
				seq = e.seq
			}
		}
		if seq == ch.entry.seq {
			st.delta.ReplaceOrInsert(st.item(ch.key, ch.entry))
		}
	}
	return nil
}
