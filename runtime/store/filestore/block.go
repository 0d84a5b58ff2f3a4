package filestore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"sync/atomic"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// blockSize is the length from which on a block of a run gets no more keys.
const blockSize = 4 << 10

// The flags of a key in a block.
const (
	keyDeleted = 1 // the key is not there
	keyLocated = 2 // the value stands in a segment
)

// A location is where a value stands.
type location struct {
	seg segID
	off uint32
	n   uint32 // 0: nowhere
	sum uint32
}

// A runEntry is a key of a run with what the run knows of it. Who fills one reuses key and value.
type runEntry struct {
	key      []byte
	seq      uint64
	deleted  bool
	location location
	value    []byte // if it is not deleted and has no location
}

func (e *runEntry) flags() byte {
	switch {
	case e.deleted:
		return keyDeleted
	case e.location.n != 0:
		return keyLocated
	}
	return 0
}

// A blockWriter collects the keys of one block.
type blockWriter struct {
	text    []byte // keys and values, one after the other
	entries []blockEntry
	offsets []uint16 // for append
	prefix  int      // of the first key, which all keys share
	minSeq  uint64
	size    int // about how long the block will be
}

// A blockEntry is a runEntry whose key and value are in text.
type blockEntry struct {
	key, value, end int
	flags           byte
	seq             uint64
	location        location
}

func (w *blockWriter) reset() { w.text, w.entries, w.size = w.text[:0], w.entries[:0], 0 }

func (w *blockWriter) key(i int) []byte   { return w.text[w.entries[i].key:w.entries[i].value] }
func (w *blockWriter) value(i int) []byte { return w.text[w.entries[i].value:w.entries[i].end] }

// add adds a key, which sorts behind the last one.
func (w *blockWriter) add(e *runEntry) {
	be := blockEntry{key: len(w.text), flags: e.flags(), seq: e.seq, location: e.location}
	w.text = append(w.text, e.key...)
	be.value = len(w.text)
	if be.flags == 0 {
		w.text = append(w.text, e.value...)
	}
	be.end = len(w.text)
	w.entries = append(w.entries, be)
	if len(w.entries) == 1 {
		w.prefix, w.minSeq = len(e.key), e.seq
	}
	w.prefix = sharedPrefix(w.key(0)[:w.prefix], e.key)
	w.minSeq = min(w.minSeq, e.seq)
	w.size += 8 + len(e.key) - w.prefix
	switch be.flags {
	case 0:
		w.size += len(e.value) - sharedEnd(e.value, e.key)
	case keyLocated:
		w.size += 12
	}
}

// append appends the block, which begins at off of the run with the salt.
func (w *blockWriter) append(b []byte, off int64, salt uint32) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(w.entries)))
	b = binary.AppendUvarint(b, uint64(w.prefix))
	b = append(b, w.key(0)[:w.prefix]...)
	b = binary.AppendUvarint(b, w.minSeq)
	offsets := slices.Grow(w.offsets[:0], len(w.entries))[:len(w.entries)]
	w.offsets = offsets
	first := -1 // the first value
	for i := range w.entries {
		e := &w.entries[i]
		offsets[i] = uint16(len(b) - start)
		b = append(b, e.flags)
		suffix := w.key(i)[w.prefix:]
		b = binary.AppendUvarint(b, uint64(len(suffix)))
		b = append(b, suffix...)
		b = binary.AppendUvarint(b, e.seq-w.minSeq)
		switch e.flags {
		case keyLocated:
			b = binary.AppendUvarint(b, uint64(e.location.seg))
			b = binary.AppendUvarint(b, uint64(e.location.off))
			b = binary.AppendUvarint(b, uint64(e.location.n))
			b = binary.LittleEndian.AppendUint32(b, e.location.sum)
		case 0:
			v := w.value(i)
			tail := sharedEnd(v, w.key(i))
			head := 0
			if first >= 0 {
				head = sharedPrefix(w.value(first), v[:len(v)-tail])
			} else {
				first = i
			}
			b = binary.AppendUvarint(b, uint64(head))
			b = binary.AppendUvarint(b, uint64(tail))
			b = binary.AppendUvarint(b, uint64(len(v)-tail-head))
			b = append(b, v[head:len(v)-tail]...)
		}
	}
	for _, off := range offsets {
		b = binary.LittleEndian.AppendUint16(b, off)
	}
	return binary.LittleEndian.AppendUint32(b, placedSum(b[start:], off, salt))
}

// sharedEnd returns how many bytes a and b share at their ends.
func sharedEnd(a, b []byte) int {
	n := min(len(a), len(b))
	a, b = a[len(a)-n:], b[len(b)-n:]
	i := n
	for ; i >= 8; i -= 8 {
		if x := binary.LittleEndian.Uint64(a[i-8:]) ^ binary.LittleEndian.Uint64(b[i-8:]); x != 0 {
			return n - i + bits.LeadingZeros64(x)/8
		}
	}
	for ; i > 0 && a[i-1] == b[i-1]; i-- {
	}
	return n - i
}

// placedSum is the checksum of bytes that are valid in one place of one file only.
func placedSum(b []byte, off int64, salt uint32) uint32 {
	return updateUint(updateUint(checksum(b), uint64(off), 8), uint64(salt), 4)
}

// A block is a block of a run in memory. It was checked as a whole, so that reading it cannot fail.
type block struct {
	b      []byte // without the checksum
	n      int    // keys
	prefix []byte // of all keys
	minSeq uint64
	table  int    // where the offsets of the keys stand
	first  []byte // the first value

	used atomic.Bool // since the cache last came by
}

// parse makes p the block b, which begins at off of the run with the salt, and keeps b. The error says what is wrong.
func (p *block) parse(b []byte, off int64, salt uint32) error {
	if len(b) < 2+1+1+4 {
		return fmt.Errorf("a block of %d bytes", len(b))
	}
	body := b[:len(b)-4]
	if sum, want := placedSum(body, off, salt), binary.LittleEndian.Uint32(b[len(body):]); sum != want {
		return fmt.Errorf("checksum %08x does not match the block (%08x)", want, sum)
	}
	p.b, p.n, p.first = body, int(binary.LittleEndian.Uint16(body)), nil
	if p.table = len(body) - 2*p.n; p.n == 0 || p.table < 2 {
		return fmt.Errorf("a block of %d keys in %d bytes", p.n, len(body))
	}
	d := decoder{b: body[:p.table], at: 2}
	n, err := d.uvarint()
	if err == nil {
		p.prefix, err = d.bytes(n)
	}
	if err == nil {
		p.minSeq, err = d.uvarint()
	}
	if err != nil {
		return err
	}
	return p.check(&d)
}

// check reads all keys, behind what d has read.
func (p *block) check(d *decoder) error {
	var last []byte
	valued := false
	for i := range p.n {
		if off := p.offset(i); off != d.at {
			return fmt.Errorf("key %d begins at %d, the table says %d", i, d.at, off)
		}
		r, err := readRaw(d)
		if err != nil {
			return fmt.Errorf("key %d: %w", i, err)
		}
		length := len(p.prefix) + len(r.suffix)
		switch {
		case length == 0 || length > store.MaxKey:
			return fmt.Errorf("key %d has %d bytes", i, length)
		case i > 0 && bytes.Compare(last, r.suffix) >= 0:
			return fmt.Errorf("key %d does not sort after the one before it", i)
		case p.minSeq+r.seq < r.seq:
			return fmt.Errorf("key %d is of a commit that cannot be", i)
		}
		last = r.suffix
		if r.flags != 0 {
			continue
		}
		if r.tail > uint64(length) || r.head > uint64(len(p.first)) {
			return fmt.Errorf("the value of key %d shares %d and %d bytes, there are %d and %d", i, r.head, r.tail, len(p.first), length)
		}
		if size := r.head + r.tail + uint64(len(r.middle)); size > store.MaxKey {
			return fmt.Errorf("the value of key %d has %d bytes", i, size)
		}
		if !valued {
			valued = true
			var e runEntry
			p.fill(&r, &e)
			p.first = e.value
		}
	}
	if d.at != p.table {
		return fmt.Errorf("%d bytes behind the last key", p.table-d.at)
	}
	return nil
}

// offset returns where key i stands.
func (p *block) offset(i int) int { return int(binary.LittleEndian.Uint16(p.b[p.table+2*i:])) }

// A rawEntry is an entry as it stands in a block.
type rawEntry struct {
	flags      byte
	suffix     []byte
	seq        uint64 // above the least one of the block
	location   location
	head, tail uint64 // how many bytes of the value are those of the first value, and of the end of the key
	middle     []byte // between them
}

func readRaw(d *decoder) (r rawEntry, err error) {
	if r.flags, err = d.byte(); err != nil {
		return r, err
	}
	n, err := d.uvarint()
	if err != nil {
		return r, err
	}
	if r.suffix, err = d.bytes(n); err != nil {
		return r, err
	}
	if r.seq, err = d.uvarint(); err != nil {
		return r, err
	}
	switch r.flags {
	case keyDeleted:
	case keyLocated:
		err = d.location(&r.location)
	case 0:
		if r.head, err = d.uvarint(); err != nil {
			return r, err
		}
		if r.tail, err = d.uvarint(); err != nil {
			return r, err
		}
		if n, err = d.uvarint(); err != nil {
			return r, err
		}
		r.middle, err = d.bytes(n)
	default:
		err = fmt.Errorf("flags %#x are not known to this version", r.flags)
	}
	return r, err
}

// location reads a location.
func (d *decoder) location(l *location) error {
	var parts [3]uint64
	for i := range parts {
		v, err := d.uvarint()
		if err != nil {
			return err
		}
		if v == 0 || v > 1<<32-1 {
			return fmt.Errorf("a value stands at %d, which is no such place", v)
		}
		parts[i] = v
	}
	sum, err := d.bytes(4)
	if err != nil {
		return err
	}
	*l = location{segID(parts[0]), uint32(parts[1]), uint32(parts[2]), binary.LittleEndian.Uint32(sum)}
	return nil
}

// fill makes an entry of r.
func (p *block) fill(r *rawEntry, e *runEntry) {
	e.key = append(append(e.key[:0], p.prefix...), r.suffix...)
	e.seq = p.minSeq + r.seq
	e.deleted = r.flags == keyDeleted
	e.location = r.location
	e.value = e.value[:0]
	if r.flags == 0 {
		e.value = append(append(e.value, p.first[:r.head]...), r.middle...)
		e.value = append(e.value, e.key[len(e.key)-int(r.tail):]...)
	}
}

// at reads entry i into e.
func (p *block) at(i int, e *runEntry) {
	d := decoder{b: p.b[:p.table], at: p.offset(i)}
	r, _ := readRaw(&d) // was checked
	p.fill(&r, e)
}

// search returns the first entry whose key is not below key, p.n if there is none, and whether it is key itself.
func (p *block) search(key []byte) (i int, found bool) {
	n := sharedPrefix(p.prefix, key)
	switch {
	case n == len(p.prefix):
	case n == len(key) || key[n] < p.prefix[n]:
		return 0, false
	default:
		return p.n, false
	}
	rest := key[n:]
	lo, hi := 0, p.n
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		switch bytes.Compare(p.suffix(mid), rest) {
		case -1:
			lo = mid + 1
		case 0:
			return mid, true
		default:
			hi = mid
		}
	}
	return lo, false
}

// suffix returns what key i has behind the common prefix.
func (p *block) suffix(i int) []byte {
	off := p.offset(i) + 1
	n, size := binary.Uvarint(p.b[off:p.table])
	return p.b[off+size:][:n]
}
