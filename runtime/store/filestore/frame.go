package filestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// frameHeader is the header of a frame, without its place.
type frameHeader struct {
	length     uint32 // of the payload, without the zeros behind it
	payloadSum uint32
	salt       uint32
	seq        uint64
	durable    int64
	kind       frameKind
	flags      uint8
	sum        uint32 // of the header itself
}

// size returns the length of the whole frame on disk.
func (h *frameHeader) size() int64 {
	return frameHeaderSize + (int64(h.length)+frameAlign-1)&^(frameAlign-1)
}

// put writes the header of a frame at offset off of its segment to the beginning of b, and sets h.sum.
func (h *frameHeader) put(b []byte, off int64) {
	b = b[:frameHeaderSize]
	copy(b, frameMagic)
	binary.LittleEndian.PutUint32(b[4:], h.length)
	binary.LittleEndian.PutUint32(b[8:], h.payloadSum)
	binary.LittleEndian.PutUint32(b[12:], h.salt)
	binary.LittleEndian.PutUint64(b[16:], h.seq)
	binary.LittleEndian.PutUint64(b[24:], uint64(h.durable))
	b[32] = byte(h.kind)
	b[33] = h.flags
	binary.LittleEndian.PutUint16(b[34:], 0)
	h.sum = headerChecksum(b, off)
	binary.LittleEndian.PutUint32(b[36:], h.sum)
}

func headerChecksum(b []byte, off int64) uint32 {
	return updateUint(checksum(b[:36]), uint64(off), 8)
}

// updateUint adds the n low bytes of v to a CRC, the lowest first. A slice for crc32.Update would be an allocation.
func updateUint(crc uint32, v uint64, n int) uint32 {
	crc = ^crc
	for range n {
		crc = castagnoli[byte(crc)^byte(v)] ^ crc>>8
		v >>= 8
	}
	return ^crc
}

// parseFrameHeader reads the header of a frame at offset off of the segment with the salt. The error says why there is
// none.
func parseFrameHeader(b []byte, off int64, salt uint32) (h frameHeader, err error) {
	if len(b) < frameHeaderSize {
		return h, fmt.Errorf("a frame has a header of %d bytes, there are %d", frameHeaderSize, len(b))
	}
	if string(b[:4]) != frameMagic {
		return h, fmt.Errorf("no frame: it begins with %x, want %x", b[:4], frameMagic)
	}
	h.sum = binary.LittleEndian.Uint32(b[36:])
	if sum := headerChecksum(b, off); sum != h.sum {
		return h, fmt.Errorf("checksum %08x does not match the frame header (%08x)", h.sum, sum)
	}
	h.salt = binary.LittleEndian.Uint32(b[12:])
	if h.salt != salt {
		return h, fmt.Errorf("the frame is of another segment: its salt is %08x, want %08x", h.salt, salt)
	}
	h.length = binary.LittleEndian.Uint32(b[4:])
	h.payloadSum = binary.LittleEndian.Uint32(b[8:])
	h.seq = binary.LittleEndian.Uint64(b[16:])
	h.durable = int64(binary.LittleEndian.Uint64(b[24:]))
	h.kind = frameKind(b[32])
	h.flags = b[33]
	return h, nil
}

// check refuses what this version does not know or would not have written. A header that is refused here passed its
// checksum, so it is no torn tail.
func (h *frameHeader) check(reserved uint16) error {
	switch {
	case h.kind < frameCommit || h.kind > frameClose:
		return fmt.Errorf("frame %v is not known to this version", h.kind)
	case h.flags != 0 || reserved != 0:
		return fmt.Errorf("frame flags %#x %#x are not known to this version", h.flags, reserved)
	case (h.kind == frameMark || h.kind == frameClose) && h.length != 0:
		return fmt.Errorf("a %v frame with a payload of %d bytes", h.kind, h.length)
	}
	return nil
}

// An encoder makes the frame of one commit, and what the commit changes in memory.
//
// The frame is built at the beginning of buf, header included: the header is left empty, since it depends on where the
// frame will stand. Places of values count from the beginning of the frame until finish moves them there.
type encoder struct {
	buf     []byte
	changes []change
	puts    []int32 // the operations whose value is the key of another one: pairs of both numbers
}

// encode builds the frame and the changes of b.
//
// The keys and short values in changes are copies, many in one allocation: of at most [arenaSize] bytes, so that a key
// that lives long keeps little else alive.
func (e *encoder) encode(b *store.Batch) {
	size := frameHeaderSize + binary.MaxVarintLen32 + frameAlign
	text, entries := 0, 0
	ref := 0 // the operation whose key the value before was: index entries of a document follow each other
	for i := range b.Ops {
		op := &b.Ops[i]
		size += 16 + len(op.Key) + len(op.Value)
		text += len(op.Key)
		if op.Delete {
			continue
		}
		if entries++; len(op.Value) <= inlineMax {
			if k, ok := findKey(b.Ops, op.Value, ref); ok {
				ref = k
			} else {
				text += len(op.Value)
			}
		}
	}
	if cap(e.buf) < size {
		e.buf = make([]byte, size)
	}
	e.changes = e.changes[:0]
	e.puts = e.puts[:0]
	a := arena{text: text, entries: entries}

	buf := e.buf[:frameHeaderSize]
	buf = binary.AppendUvarint(buf, uint64(len(b.Ops)))
	var last []byte
	ref = 0
	for i := range b.Ops {
		op := &b.Ops[i]
		kind := byte(opPut)
		switch {
		case op.Delete:
			kind = opDelete
		case len(op.Value) > 0 && len(op.Value) <= store.MaxKey:
			if k, ok := findKey(b.Ops, op.Value, ref); ok {
				kind, ref = opPutKey, k
			}
		}
		shared := sharedPrefix(last, op.Key)
		buf = append(buf, kind)
		buf = binary.AppendUvarint(buf, uint64(shared))
		buf = binary.AppendUvarint(buf, uint64(len(op.Key)-shared))
		buf = append(buf, op.Key[shared:]...)
		last = op.Key

		c := change{key: a.string(op.Key)}
		switch kind {
		case opPut:
			c.entry = a.entry()
			buf = binary.AppendUvarint(buf, uint64(len(op.Value)))
			if len(op.Value) > inlineMax {
				c.entry.off, c.entry.n = uint32(len(buf)), uint32(len(op.Value))
				c.entry.sum = valueChecksum(op.Key, op.Value)
				buf = append(buf, op.Value...)
				buf = binary.LittleEndian.AppendUint32(buf, c.entry.sum)
			} else {
				buf = append(buf, op.Value...)
				c.entry.value = a.string(op.Value)
			}
		case opPutKey:
			c.entry = a.entry()
			buf = binary.AppendUvarint(buf, uint64(ref))
			e.puts = append(e.puts, int32(i), int32(ref))
		}
		e.changes = append(e.changes, c)
	}
	for i := 0; i < len(e.puts); i += 2 {
		e.changes[e.puts[i]].entry.value = e.changes[e.puts[i+1]].key
	}
	e.end(buf, frameCommit)
}

// end ends the frame that was built in buf.
func (e *encoder) end(buf []byte, kind frameKind) {
	length := len(buf) - frameHeaderSize
	buf = append(buf, zeros[:-len(buf)&(frameAlign-1)]...)
	h := frameHeader{length: uint32(length), payloadSum: checksum(buf[frameHeaderSize:]), kind: kind}
	h.put(buf, 0) // kept here for finish
	e.buf = buf
}

// finish gives the frame its place: offset off of seg, with the number seq, made when everything up to durable was synced.
// It returns the header.
func (e *encoder) finish(seg *segment, off, durable int64, seq uint64) frameHeader {
	h := frameHeader{
		length:     binary.LittleEndian.Uint32(e.buf[4:]),
		payloadSum: binary.LittleEndian.Uint32(e.buf[8:]),
		kind:       frameKind(e.buf[32]),
		salt:       seg.salt,
		seq:        seq,
		durable:    durable,
	}
	if h.kind == frameMove {
		placeMoves(e.changes, seg, off)
	} else {
		place(e.changes, seg, off, seq)
	}
	h.put(e.buf, off)
	return h
}

// addSum adds the checksum of a frame's header to the sum of the frames before it.
func addSum(sum, header uint32) uint32 { return updateUint(sum, uint64(header), 4) }

// place gives the changes of a frame at offset off of seg their version and the places of their values.
func place(changes []change, seg *segment, off int64, seq uint64) {
	for i := range changes {
		if e := changes[i].entry; e != nil {
			e.seq = seq
			if e.n != 0 {
				e.seg, e.off = seg, e.off+uint32(off)
			}
		}
	}
}

// findKey returns which operation has the key. It tries guess first.
func findKey(ops []store.Op, key []byte, guess int) (int, bool) {
	if string(ops[guess].Key) == string(key) {
		return guess, true
	}
	lo, hi := 0, len(ops)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if string(ops[mid].Key) < string(key) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(ops) && string(ops[lo].Key) == string(key)
}

// sharedPrefix returns how many bytes a and b share at their beginnings.
func sharedPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if x := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

var errShort = errors.New("the payload ends in the middle of an operation")

// decodePayload reads the changes of a commit from its payload and appends them to changes. Places of values count from
// the beginning of the frame. Every payload that passed its checksum was made by encode; another one is refused, and
// no allocation is larger than the payload justifies.
func decodePayload(payload []byte, a *arena, changes []change) ([]change, error) {
	d := decoder{b: payload}
	n, err := d.uvarint()
	if err != nil {
		return nil, err
	}
	if n > uint64(len(payload)) { // an operation has more than one byte
		return nil, fmt.Errorf("%d operations in %d bytes", n, len(payload))
	}
	first := len(changes)
	var refs []int
	last := make([]byte, 0, store.MaxKey)
	for i := range int(n) {
		kind, err := d.byte()
		if err != nil {
			return nil, err
		}
		if last, err = d.key(last, i == 0); err != nil {
			return nil, fmt.Errorf("operation %d: %w", i, err)
		}
		c := change{key: a.string(last)}
		switch kind {
		case opPut:
			c.entry = a.entry()
			err = d.value(last, c.entry, a)
		case opPutKey:
			c.entry = a.entry()
			var ref uint64
			if ref, err = d.uvarint(); err == nil && ref >= n {
				err = fmt.Errorf("its value is the key of operation %d of %d", ref, n)
			}
			refs = append(refs, first+i, first+int(ref))
		case opDelete:
		default:
			err = fmt.Errorf("operation kind %d is not known to this version", kind)
		}
		if err != nil {
			return nil, fmt.Errorf("operation %d: %w", i, err)
		}
		changes = append(changes, c)
	}
	if d.at != len(d.b) {
		return nil, fmt.Errorf("%d bytes behind the last operation", len(d.b)-d.at)
	}
	for i := 0; i < len(refs); i += 2 {
		changes[refs[i]].entry.value = changes[refs[i+1]].key
	}
	return changes, nil
}

// A decoder reads a payload from its beginning.
type decoder struct {
	b  []byte
	at int
}

func (d *decoder) byte() (byte, error) {
	if d.at == len(d.b) {
		return 0, errShort
	}
	d.at++
	return d.b[d.at-1], nil
}

func (d *decoder) uvarint() (uint64, error) {
	v, n := binary.Uvarint(d.b[d.at:])
	if n <= 0 {
		return 0, errShort
	}
	d.at += n
	return v, nil
}

func (d *decoder) bytes(n uint64) ([]byte, error) {
	if n > uint64(len(d.b)-d.at) {
		return nil, errShort
	}
	d.at += int(n)
	return d.b[d.at-int(n) : d.at], nil
}

// key reads a key into last, which holds the one before it.
func (d *decoder) key(last []byte, first bool) ([]byte, error) {
	shared, err := d.uvarint()
	if err != nil {
		return nil, err
	}
	n, err := d.uvarint()
	if err != nil {
		return nil, err
	}
	rest, err := d.bytes(n)
	if err != nil {
		return nil, err
	}
	if shared > uint64(len(last)) || shared+n > store.MaxKey || shared+n == 0 {
		return nil, fmt.Errorf("a key of %d bytes and %d of the key before, which has %d", n, shared, len(last))
	}
	// The bytes behind the shared ones decide: greater, or the old key has none.
	if old := last[shared:]; !first && string(rest) <= string(old) {
		return nil, fmt.Errorf("key %x%x does not sort after the one before it", last[:shared], rest)
	}
	return append(last[:shared], rest...), nil
}

// value reads the value of a put into e.
func (d *decoder) value(key []byte, e *entry, a *arena) error {
	n, err := d.uvarint()
	if err != nil {
		return err
	}
	at := d.at
	v, err := d.bytes(n)
	if err != nil {
		return err
	}
	if n <= inlineMax {
		e.value = a.string(v)
		return nil
	}
	sum, err := d.bytes(4)
	if err != nil {
		return err
	}
	e.off, e.n, e.sum = uint32(frameHeaderSize+at), uint32(n), binary.LittleEndian.Uint32(sum)
	if got := valueChecksum(key, v); got != e.sum {
		return fmt.Errorf("checksum %08x does not match the value of key %x (%08x)", e.sum, key, got)
	}
	return nil
}
