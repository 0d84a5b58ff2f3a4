package filestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// A segment is one file of the log. It is open as long as the store is.
type segment struct {
	id   segID
	salt uint32
	name string
	f    File

	before position // where its first commit follows

	sealed atomic.Bool // no commit is added any more
	last   uint64      // then: its last commit, or the one before the segment if it has none
	end    int64       // then: where its frames end

	// durable is the offset up to which a sync has returned. It only grows.
	durable atomic.Int64

	syncMu  sync.Mutex
	syncErr error // of the first sync that failed

	refs  atomic.Int64   // versions that have it
	syncs *atomic.Uint64 // of all segments; nil while it is none of the store's
}

// sync makes everything written before the call durable; end is where that ends. A sync that failed is never tried
// again: the operating system takes the lost pages for clean, and would say that all is well.
func (g *segment) sync(end int64) error {
	g.syncMu.Lock()
	defer g.syncMu.Unlock()
	if g.syncErr != nil {
		return g.syncErr
	}
	if err := g.f.Sync(); err != nil {
		g.syncErr = fmt.Errorf("sync %s: %w", g.name, err)
		return g.syncErr
	}
	if end > g.durable.Load() {
		g.durable.Store(end)
	}
	if g.syncs != nil {
		g.syncs.Add(1)
	}
	return nil
}

// A segmentSet is the segments that there are, ascending. It has a lock of its own, which is held for a moment and under
// which no other one is taken: segments are added by the S role, and looked up by watchers.
type segmentSet struct {
	mu      sync.RWMutex
	list    []*segment // replaced, never changed in place
	removed []*segment // that somebody may still read

	syncs atomic.Uint64 // that have returned nil
}

func (t *segmentSet) add(g *segment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g.syncs = &t.syncs
	t.list = append(t.list[:len(t.list):len(t.list)], g)
}

// remove takes segments out: their commits are not in the log any more.
func (t *segmentSet) remove(gone []*segment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = without(t.list, gone)
	t.removed = append(t.removed, gone...)
}

// without returns the segments of list that are not in gone.
func without(list, gone []*segment) []*segment {
	return slices.DeleteFunc(slices.Clone(list), func(g *segment) bool { return slices.Contains(gone, g) })
}

// forget is told that nobody reads g any more, which was removed.
func (t *segmentSet) forget(g *segment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.removed, g); i >= 0 {
		t.removed = slices.Delete(t.removed, i, i+1)
	}
}

// open returns all segments whose files are open.
func (t *segmentSet) open() []*segment {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return append(t.list[:len(t.list):len(t.list)], t.removed...)
}

// all returns the segments. The slice is not changed any more.
func (t *segmentSet) all() []*segment {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.list
}

// from returns the segment in which the commit after seq stands or will stand; nil if it is not there any more.
func (t *segmentSet) from(seq uint64) *segment {
	list := t.all()
	for i := len(list) - 1; i >= 0; i-- {
		if g := list[i]; g.before.seq <= seq {
			if g.ends(seq) {
				return nil
			}
			return g
		}
	}
	return nil
}

// has reports whether g is still one of the segments.
func (t *segmentSet) has(g *segment) bool { return slices.Contains(t.all(), g) }

// seal says that seq is the last commit in the segment, whose frames end at end.
func (g *segment) seal(seq uint64, end int64) {
	g.last, g.end = seq, end
	g.sealed.Store(true)
}

// ends reports whether the commit after seq stands behind the segment.
func (g *segment) ends(seq uint64) bool { return g.sealed.Load() && seq >= g.last }

// corrupt returns the error for the damaged bytes at offset off of the segment.
func (g *segment) corrupt(off int64, format string, args ...any) error {
	return &store.CorruptError{File: g.name, Offset: off, What: fmt.Sprintf(format, args...)}
}

// openSegment opens a segment and reads its header.
func openSegment(fsys FS, id segID) (*segment, segmentHeader, error) {
	g := &segment{id: id, name: segmentName(id)}
	f, err := fsys.OpenFile(g.name, os.O_RDWR)
	if errors.Is(err, os.ErrNotExist) {
		return nil, segmentHeader{}, g.corrupt(-1, "the file is missing")
	}
	if err != nil {
		return nil, segmentHeader{}, err
	}
	b := make([]byte, segmentHeaderSize)
	n, err := f.ReadAt(b, 0)
	if n < len(b) && err != nil && err != io.EOF {
		f.Close()
		return nil, segmentHeader{}, fmt.Errorf("read %s: %w", g.name, err)
	}
	h, err := parseSegmentHeader(b[:n])
	if err == nil && h.id != id {
		err = fmt.Errorf("this is segment %d under the name of segment %d", h.id, id)
	}
	if err != nil {
		f.Close()
		return nil, segmentHeader{}, g.corrupt(0, "%v", err)
	}
	g.f, g.salt, g.before = f, h.salt, position{h.prevSeq, h.chain}
	return g, h, nil
}

// read reads the value of an entry that stands in the segment into b, which has its length.
func (g *segment) read(key string, e *entry, b []byte) error {
	if n, err := g.f.ReadAt(b, int64(e.off)); n < len(b) {
		if errors.Is(err, os.ErrClosed) {
			return store.ErrClosed
		}
		return g.corrupt(int64(e.off), "cannot read the %d bytes of the value of key %x: %v", len(b), key, err)
	}
	if sum := valueChecksum(bytesOf(key), b); sum != e.sum {
		return g.corrupt(int64(e.off), "checksum %08x does not match the value of key %x (%08x)", e.sum, key, sum)
	}
	return nil
}

// A frame is a frame as it was found in a segment.
type frame struct {
	frameHeader
	off     int64
	payload []byte // valid until the next one is read
}

func (f *frame) end() int64 { return f.off + f.size() }

// changes appends to changes what the frame changes: nothing, or the operations of a commit, or the new places of values.
func (f *frame) changes(seg *segment, a *arena, changes []change) (_ []change, err error) {
	switch f.kind {
	case frameCommit:
		if changes, err = decodePayload(f.payload, a, changes); err == nil {
			place(changes, seg, f.off, f.seq)
		}
	case frameMove:
		if changes, err = decodeMoves(f.payload, a, changes); err == nil {
			placeMoves(changes, seg, f.off)
		}
	}
	return changes, err
}

// A badFrame says why there is no frame at an offset: it was never written, is torn, or is damaged. Which of these it
// is, the rest of the log decides.
type badFrame struct{ err error }

func (b *badFrame) Error() string { return b.err.Error() }

// A scanner reads a segment from front to back.
type scanner struct {
	seg  *segment
	size int64 // bytes after it are not looked at

	buf []byte // of the file, from base
	at  int64
}

const scanWindow = 256 << 10

// bytes returns the n bytes at off, fewer at the end of the file. They are valid until the next call.
func (s *scanner) bytes(off int64, n int) ([]byte, error) {
	n = int(min(int64(n), s.size-off))
	if n <= 0 {
		return nil, nil
	}
	if off >= s.at && off+int64(n) <= s.at+int64(len(s.buf)) {
		return s.buf[off-s.at:][:n], nil
	}
	want := int(min(int64(max(n, scanWindow)), s.size-off))
	if cap(s.buf) < want {
		s.buf = make([]byte, want)
	}
	s.buf, s.at = s.buf[:want], off
	got, err := s.seg.f.ReadAt(s.buf, off)
	if got < want && !(err == io.EOF && got >= n) { // while a watcher reads, reserved space may be given back
		s.buf = s.buf[:0]
		return nil, fmt.Errorf("read %s at offset %d: %w", s.seg.name, off, err)
	}
	s.buf = s.buf[:got]
	return s.buf[:n], nil
}

// frame reads the frame at off. The error is a *[badFrame] if there is none, a [*store.CorruptError] if it is one that
// must not be there, else it is the file's.
func (s *scanner) frame(off int64) (f frame, err error) {
	b, err := s.bytes(off, frameHeaderSize)
	if err != nil {
		return f, err
	}
	f.off = off
	if f.frameHeader, err = parseFrameHeader(b, off, s.seg.salt); err != nil {
		return f, &badFrame{err}
	}
	if err := f.check(binary.LittleEndian.Uint16(b[34:])); err != nil {
		return f, s.seg.corrupt(off, "%v", err)
	}
	if f.end() > s.size {
		return f, &badFrame{fmt.Errorf("the frame has %d bytes, the file only %d of them", f.size(), s.size-off)}
	}
	if b, err = s.bytes(off+frameHeaderSize, int(f.size()-frameHeaderSize)); err != nil {
		return f, err
	}
	if sum := checksum(b); sum != f.payloadSum {
		return f, &badFrame{fmt.Errorf("checksum %08x does not match the payload (%08x)", f.payloadSum, sum)}
	}
	f.payload = b[:f.length]
	return f, nil
}

// laterMark looks behind off for the headers of frames, and returns the one with the highest durable mark. ok is false
// if there is none.
//
// A header that passes its checksum is proof enough, also if its payload is torn: it was made when the sync had returned.
func (s *scanner) laterMark(off int64) (found frame, ok bool, err error) {
	for off += frameAlign; off+frameHeaderSize <= s.size; off += frameAlign {
		b, err := s.bytes(off, frameHeaderSize)
		if err != nil {
			return found, false, err
		}
		if string(b[:4]) != frameMagic {
			continue
		}
		h, err := parseFrameHeader(b, off, s.seg.salt)
		if err == nil && (!ok || h.durable > found.durable) {
			found, ok = frame{frameHeader: h, off: off}, true
		}
	}
	return found, ok, nil
}

// lastNonZero returns the offset behind the last byte from off on that is not zero, or off.
func (s *scanner) lastNonZero(off int64) (int64, error) {
	end := off
	for off < s.size {
		b, err := s.bytes(off, scanWindow)
		if err != nil {
			return 0, err
		}
		for i := len(b) - 1; i >= 0; i-- {
			if b[i] != 0 {
				end = off + int64(i) + 1
				break
			}
		}
		off += int64(len(b))
	}
	return end, nil
}
