package filestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"
	"sync/atomic"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// A runID is the number of a run. The first one is 1; none is used twice.
type runID uint32

// A manifestRun is a run as the manifest names it.
type manifestRun struct {
	id   runID
	salt uint32
	size int64
	sum  uint32 // of its index
}

// A segmentUse says how much of a segment the values of a run take.
type segmentUse struct {
	seg    segID
	values uint64
	bytes  uint64 // of the values
}

// A run is an immutable file of sorted keys. What is held of it is the first key of each block; blocks are read when they
// are needed, and kept by a [blockCache].
type run struct {
	manifestRun
	name  string
	f     File
	cache *blockCache

	firsts  []string // the first key of each block
	offsets []int64  // where each block begins, and where the last one ends
	last    string   // the last key
	keys    uint64
	deleted uint64 // of them
	minSeq  uint64
	maxSeq  uint64
	uses    []segmentUse // ascending

	blocks []atomic.Pointer[block]
	refs   atomic.Int64 // versions that have it
}

// A runWriter writes the file of a run, under its temporary name.
type runWriter struct {
	fs    FS
	id    runID
	salt  uint32
	f     File
	buf   []byte // not written yet
	off   int64  // where buf goes
	block blockWriter
	last  []byte

	index   []byte // the entries of the blocks
	blocks  uint64
	before  []byte // first key of the last block
	keys    uint64
	deleted uint64
	minSeq  uint64
	maxSeq  uint64
	uses    map[segID]*segmentUse
}

// runBuffer is how many bytes of a run are written at a time.
const runBuffer = 256 << 10

// newRun begins to write a run.
func newRun(fsys FS, store uuid, id runID) (*runWriter, error) {
	name := runName(id) + tmpSuffix
	if err := ignoreAbsent(fsys.Remove(name)); err != nil {
		return nil, err
	}
	f, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, err
	}
	w := &runWriter{fs: fsys, id: id, salt: newSalt(), f: f, minSeq: ^uint64(0), uses: make(map[segID]*segmentUse)}
	w.buf = make([]byte, 0, runBuffer+2*blockSize)
	b := append(w.buf, runMagic...)
	b = binary.LittleEndian.AppendUint16(b, formatVersion)
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = append(b, store[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(id))
	b = binary.LittleEndian.AppendUint32(b, w.salt)
	b = binary.LittleEndian.AppendUint32(b, 0)
	w.buf = binary.LittleEndian.AppendUint32(b, checksum(b))
	return w, nil
}

// add adds a key, which sorts behind the last one.
func (w *runWriter) add(e *runEntry) error {
	w.keys++
	w.minSeq, w.maxSeq = min(w.minSeq, e.seq), max(w.maxSeq, e.seq)
	if e.deleted {
		w.deleted++
	} else if n := e.location.n; n != 0 {
		u := w.uses[e.location.seg]
		if u == nil {
			u = &segmentUse{seg: e.location.seg}
			w.uses[u.seg] = u
		}
		u.values++
		u.bytes += uint64(n)
	}
	w.block.add(e)
	w.last = append(w.last[:0], e.key...)
	if w.block.size >= blockSize {
		return w.endBlock()
	}
	return nil
}

func (w *runWriter) endBlock() error {
	if len(w.block.entries) == 0 {
		return nil
	}
	first := w.block.key(0)
	shared := sharedPrefix(w.before, first)
	w.index = binary.AppendUvarint(w.index, uint64(shared))
	w.index = binary.AppendUvarint(w.index, uint64(len(first)-shared))
	w.index = append(w.index, first[shared:]...)
	w.before = append(w.before[:0], first...)
	start := len(w.buf)
	w.buf = w.block.append(w.buf, w.off+int64(start), w.salt)
	w.index = binary.AppendUvarint(w.index, uint64(len(w.buf)-start))
	w.blocks++
	w.block.reset()
	if len(w.buf) >= runBuffer {
		return w.flush()
	}
	return nil
}

func (w *runWriter) flush() error {
	if _, err := w.f.WriteAt(w.buf, w.off); err != nil {
		return err
	}
	w.off += int64(len(w.buf))
	w.buf = w.buf[:0]
	return nil
}

// finish writes what is left and syncs the file, which keeps its temporary name.
func (w *runWriter) finish() (m manifestRun, err error) {
	if err := w.endBlock(); err != nil {
		return m, err
	}
	ix := binary.AppendUvarint(nil, w.blocks)
	ix = append(ix, w.index...)
	ix = binary.AppendUvarint(ix, uint64(len(w.last)))
	ix = append(ix, w.last...)
	for _, n := range []uint64{w.keys, w.deleted, w.minSeq, w.maxSeq, uint64(len(w.uses))} {
		ix = binary.AppendUvarint(ix, n)
	}
	ids := make([]segID, 0, len(w.uses))
	for id := range w.uses {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		u := w.uses[id]
		ix = binary.AppendUvarint(ix, uint64(id))
		ix = binary.AppendUvarint(ix, u.values)
		ix = binary.AppendUvarint(ix, u.bytes)
	}
	at := w.off + int64(len(w.buf))
	m = manifestRun{id: w.id, salt: w.salt, sum: placedSum(ix, at, w.salt)}
	w.buf = append(w.buf, ix...)
	start := len(w.buf)
	w.buf = append(w.buf, runEndMagic...)
	w.buf = binary.LittleEndian.AppendUint32(w.buf, w.salt)
	w.buf = binary.LittleEndian.AppendUint64(w.buf, uint64(at))
	w.buf = binary.LittleEndian.AppendUint32(w.buf, uint32(len(ix)))
	w.buf = binary.LittleEndian.AppendUint32(w.buf, m.sum)
	w.buf = binary.LittleEndian.AppendUint32(w.buf, 0)
	w.buf = binary.LittleEndian.AppendUint32(w.buf, placedSum(w.buf[start:], w.off+int64(start), w.salt))
	if err := w.flush(); err != nil {
		return m, err
	}
	m.size = w.off
	return m, w.f.Sync()
}

// close closes the file, and removes it if it is not wanted.
func (w *runWriter) close(wanted bool) error {
	err := w.f.Close()
	if !wanted {
		err = errors.Join(err, ignoreAbsent(w.fs.Remove(runName(w.id)+tmpSuffix)))
	}
	return err
}

// corrupt returns the error for the damaged bytes at offset off of the run.
func (r *run) corrupt(off int64, format string, args ...any) error {
	return &store.CorruptError{File: r.name, Offset: off, What: fmt.Sprintf(format, args...)}
}

// openRun opens a run that the manifest names, and reads its index.
func openRun(fsys FS, id uuid, m manifestRun) (_ *run, err error) {
	r := &run{manifestRun: m, name: runName(m.id)}
	r.f, err = fsys.OpenFile(r.name, os.O_RDWR)
	if errors.Is(err, os.ErrNotExist) {
		return nil, r.corrupt(-1, "the file is missing")
	}
	if err != nil {
		return nil, err
	}
	if err := r.open(id); err != nil {
		r.f.Close()
		return nil, err
	}
	return r, nil
}

func (r *run) open(id uuid) error {
	size, err := r.f.Size()
	if err != nil {
		return err
	}
	if size != r.size || size < runHeaderSize+runEndSize {
		return r.corrupt(min(size, r.size), "the file has %d bytes, the manifest says %d", size, r.size)
	}
	head, err := r.bytes(0, runHeaderSize, nil)
	if err != nil {
		return err
	}
	if err := r.checkHeader(head, id); err != nil {
		return r.corrupt(0, "%v", err)
	}
	end := r.size - runEndSize
	b, err := r.bytes(end, runEndSize, nil)
	if err != nil {
		return err
	}
	at, n := int64(binary.LittleEndian.Uint64(b[8:])), int64(binary.LittleEndian.Uint32(b[16:]))
	switch {
	case string(b[:4]) != runEndMagic || placedSum(b[:28], end, r.salt) != binary.LittleEndian.Uint32(b[28:]):
		return r.corrupt(end, "the end of the run does not match its checksum")
	case binary.LittleEndian.Uint32(b[4:]) != r.salt || binary.LittleEndian.Uint32(b[20:]) != r.sum:
		return r.corrupt(end, "this is the end of another run than the manifest names")
	case at < runHeaderSize || at > end || at+n != end:
		return r.corrupt(end, "an index of %d bytes at offset %d does not end here", n, at)
	}
	if b, err = r.bytes(at, n, nil); err != nil {
		return err
	}
	if sum := placedSum(b, at, r.salt); sum != r.sum {
		return r.corrupt(at, "checksum %08x does not match the index (%08x)", r.sum, sum)
	}
	if err := r.parseIndex(b, at); err != nil {
		return r.corrupt(at, "the index: %v", err)
	}
	return nil
}

// bytes reads the n bytes at off, into b if that is large enough.
func (r *run) bytes(off, n int64, b []byte) ([]byte, error) {
	b = slices.Grow(b[:0], int(n))[:n]
	if got, err := r.f.ReadAt(b, off); int64(got) < n {
		switch {
		case errors.Is(err, os.ErrClosed):
			return nil, store.ErrClosed
		case err == io.EOF:
			return nil, r.corrupt(off+int64(got), "the file ends here; it had at least %d bytes", off+n)
		}
		return nil, r.corrupt(off, "cannot read %d bytes: %v", n, err)
	}
	return b, nil
}

func (r *run) checkHeader(b []byte, id uuid) error {
	if string(b[:4]) != runMagic {
		return fmt.Errorf("not a run: it begins with %q, want %q", b[:4], runMagic)
	}
	if sum, want := checksum(b[:36]), binary.LittleEndian.Uint32(b[36:]); sum != want {
		return fmt.Errorf("checksum %08x does not match the header of the run (%08x)", want, sum)
	}
	if _, err := checkVersion(b, 0); err != nil {
		return err
	}
	switch {
	case string(b[8:24]) != string(id[:]):
		return fmt.Errorf("the run belongs to the store %v, this one is %v", uuid(b[8:24]), id)
	case runID(binary.LittleEndian.Uint32(b[24:])) != r.id || binary.LittleEndian.Uint32(b[28:]) != r.salt:
		return errors.New("this is another run than the manifest names")
	case binary.LittleEndian.Uint32(b[32:]) != 0:
		return errors.New("the header has bytes that are not known to this version")
	}
	return nil
}

// parseIndex reads the index, which begins at offset at.
func (r *run) parseIndex(b []byte, at int64) error {
	d := decoder{b: b}
	n, err := d.uvarint()
	if err != nil {
		return err
	}
	if n > uint64(len(b)) {
		return fmt.Errorf("%d blocks in %d bytes", n, len(b))
	}
	r.firsts, r.offsets = make([]string, n), make([]int64, n+1)
	off := int64(runHeaderSize)
	var key []byte
	for i := range r.firsts {
		if key, err = d.key(key, i == 0); err != nil {
			return fmt.Errorf("block %d: %w", i, err)
		}
		r.firsts[i], r.offsets[i] = string(key), off
		size, err := d.uvarint()
		if err != nil {
			return err
		}
		if size == 0 || size > uint64(at-off) {
			return fmt.Errorf("block %d has %d bytes, there are %d", i, size, at-off)
		}
		off += int64(size)
	}
	if r.offsets[n] = off; off != at {
		return fmt.Errorf("the blocks end at %d, the index begins at %d", off, at)
	}
	size, err := d.uvarint()
	if err != nil {
		return err
	}
	last, err := d.bytes(size)
	if err != nil {
		return err
	}
	if r.last = string(last); n > 0 && r.last < r.firsts[n-1] {
		return errors.New("the last key is before the last block")
	}
	var uses uint64
	for _, p := range []*uint64{&r.keys, &r.deleted, &r.minSeq, &r.maxSeq, &uses} {
		if *p, err = d.uvarint(); err != nil {
			return err
		}
	}
	for range uses {
		var u segmentUse
		id, err := d.uvarint()
		if err != nil {
			return err
		}
		if u.values, err = d.uvarint(); err != nil {
			return err
		}
		if u.bytes, err = d.uvarint(); err != nil {
			return err
		}
		u.seg = segID(id)
		if k := len(r.uses); id == 0 || id > 1<<32-1 || k > 0 && r.uses[k-1].seg >= u.seg {
			return fmt.Errorf("segment %d is out of order", id)
		}
		r.uses = append(r.uses, u)
	}
	if d.at != len(b) {
		return fmt.Errorf("%d bytes behind its end", len(b)-d.at)
	}
	r.blocks = make([]atomic.Pointer[block], n)
	return nil
}

// resident returns block i if it is in memory, else nil.
func (r *run) resident(i int) *block {
	b := r.blocks[i].Load()
	if b == nil {
		return nil
	}
	if !b.used.Load() {
		b.used.Store(true)
	}
	r.cache.hits.Add(1)
	return b
}

// block returns block i. It reads it if it is not in memory, and keeps it there.
func (r *run) block(i int) (*block, error) {
	if b := r.resident(i); b != nil {
		return b, nil
	}
	r.cache.misses.Add(1)
	b, err := r.readBlock(i)
	if err == nil && r.blocks[i].CompareAndSwap(nil, b) {
		r.cache.added(b)
	}
	return b, err
}

// readBlock reads block i from the file.
func (r *run) readBlock(i int) (*block, error) {
	b := new(block)
	if err := r.readInto(i, b, nil); err != nil {
		return nil, err
	}
	return b, nil
}

// readInto reads block i from the file into b, which keeps raw if that is large enough.
func (r *run) readInto(i int, b *block, raw []byte) error {
	off := r.offsets[i]
	raw, err := r.bytes(off, r.offsets[i+1]-off, raw)
	if err != nil {
		return err
	}
	if err := b.parse(raw, off, r.salt); err != nil {
		return r.corrupt(off, "%v", err)
	}
	var e runEntry
	if b.at(0, &e); string(e.key) != r.firsts[i] {
		return r.corrupt(off, "the block begins with another key than the index says")
	}
	return nil
}

// at returns which block has key if any has: the last one that does not begin behind it; -1 if key is before all of them.
func (r *run) at(key string) int {
	return sort.Search(len(r.firsts), func(i int) bool { return r.firsts[i] > key }) - 1
}

// An aside keeps the last block that was read of each run, beside those that are kept in memory.
type aside map[*run]asideBlock

type asideBlock struct {
	i int
	b *block
}

// block returns block i of r.
func (a *aside) block(r *run, i int) (*block, error) {
	if b := r.blocks[i].Load(); b != nil {
		return b, nil
	}
	if k, ok := (*a)[r]; ok && k.i == i {
		return k.b, nil
	}
	b, err := r.readBlock(i)
	if err == nil {
		if *a == nil {
			*a = make(aside)
		}
		(*a)[r] = asideBlock{i, b}
	}
	return b, err
}

// get looks a key up. It returns false if the run does not know it. See [version.find] for kept.
func (r *run) get(key string, e *runEntry, kept *aside) (ok bool, err error) {
	i := r.at(key)
	if i < 0 || key > r.last {
		return false, nil
	}
	var b *block
	if kept != nil {
		b, err = kept.block(r, i)
	} else {
		b, err = r.block(i)
	}
	if err != nil {
		return false, err
	}
	k, ok := b.search(bytesOf(key))
	if ok {
		b.at(k, e)
	}
	return ok, nil
}
