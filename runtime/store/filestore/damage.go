package filestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// This file reads files that may be damaged, over the damage: for Verify and Repair.

// A Damage is something in the files of a store that cannot be read, or is not what it should be. In a [RepairReport] it is
// also something that the repaired store does not have.
type Damage struct {
	File   string
	Offset int64  // -1 if the file as a whole is meant
	Key    []byte // of the value that is damaged, or lost; nil if it is not about one, or if that is not known
	What   string // what is wrong there

	// Keys are the keys of which it is not known whether there were more of them, if that is what it is about; else nil.
	Keys *KeyRange

	// FirstCommit and LastCommit are the numbers of the commits that stood there; 0 if that is not known.
	FirstCommit, LastCommit uint64
}

// A KeyRange is all keys from From on and before To; nil is open.
type KeyRange struct{ From, To []byte }

func (d Damage) String() string {
	return (&store.CorruptError{File: d.File, Offset: d.Offset, What: d.What}).Error()
}

// damageOf returns what err says of a file. ok is false if err is another error.
func damageOf(err error) (d Damage, ok bool) {
	var c *store.CorruptError
	if !errors.As(err, &c) {
		return d, false
	}
	return Damage{File: c.File, Offset: c.Offset, What: c.What}, true
}

// openToRead opens a directory that is there, to read files in it. What is not a file, a symbolic link for example, is refused.
func openToRead(dir string) (FS, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return readOnly{&osFS{root}, root}, nil
}

// readOnly opens files of a directory for reading only.
type readOnly struct {
	FS
	root *os.Root // nil: of another file system
}

func (r readOnly) OpenFile(name string, _ int) (File, error) {
	if r.root != nil {
		info, err := r.root.Lstat(name)
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() {
			return nil, (&segment{name: name}).corrupt(-1, "this is no file (%v)", info.Mode())
		}
	}
	return r.FS.OpenFile(name, os.O_RDONLY)
}

// listFiles returns the numbers of the segments and runs in a directory, ascending.
func listFiles(fsys FS) (segs []segID, runs []runID, err error) {
	names, err := fsys.List()
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		if id, ok := parseSegmentName(name); ok {
			segs = append(segs, id)
		}
		if id, ok := parseRunName(name); ok {
			runs = append(runs, id)
		}
	}
	slices.Sort(segs)
	slices.Sort(runs)
	return segs, runs, nil
}

// A segmentFile is a segment whose header may be damaged.
type segmentFile struct {
	segment
	head segmentHeader
	good bool // the header could be read
}

// openSegmentFile opens a segment. If its header is damaged, or is one of another segment or store, g is there beside the
// error, which is a [*store.CorruptError] then, and also if the file is missing.
func openSegmentFile(fsys FS, id segID, of uuid) (g *segmentFile, err error) {
	g = &segmentFile{segment: segment{id: id, name: segmentName(id)}}
	f, err := fsys.OpenFile(g.name, os.O_RDONLY)
	if errors.Is(err, os.ErrNotExist) {
		return nil, g.corrupt(-1, "the file is missing")
	}
	if err != nil {
		return nil, err
	}
	g.f = &patchedFile{File: f}
	b := make([]byte, segmentHeaderSize)
	n, err := g.f.ReadAt(b, 0)
	if err == nil || err == io.EOF {
		g.head, err = parseSegmentHeader(b[:n])
	}
	switch h := &g.head; {
	case err != nil:
		return g, g.corrupt(0, "%v", err)
	case h.store != of:
		return g, g.corrupt(0, "the segment belongs to the store %v, this one is %v", h.store, of)
	case h.id != id:
		return g, g.corrupt(0, "this is segment %d under the name of segment %d", h.id, id)
	}
	g.good = true
	g.salt, g.before = g.head.salt, position{g.head.prevSeq, g.head.chain}
	return g, nil
}

// findSalt takes the salt of a segment without a header from its first frame, whose checksums say that it stands in its place.
// ok is false if there is none.
func (g *segmentFile) findSalt() (ok bool, err error) {
	size, err := g.f.Size()
	if err != nil {
		return false, err
	}
	s := scanner{seg: &g.segment, size: size}
	for off := int64(segmentHeaderSize); off+frameHeaderSize <= size; off += frameAlign {
		b, err := s.bytes(off, frameHeaderSize)
		if err != nil {
			return false, err
		}
		if string(b[:4]) != frameMagic {
			continue
		}
		salt := binary.LittleEndian.Uint32(b[12:])
		if _, err := parseFrameHeader(b, off, salt); err == nil {
			g.salt = salt
			return true, nil
		}
	}
	return false, nil
}

// A patchedFile reads zeros where the disk cannot be read.
type patchedFile struct {
	File
	err error // the first one
}

// patch is how much is given up at a time.
const patch = 4 << 10

func (p *patchedFile) ReadAt(b []byte, off int64) (n int, err error) {
	n, err = p.File.ReadAt(b, off)
	if n == len(b) || err == io.EOF || errors.Is(err, os.ErrClosed) {
		return n, err
	}
	for n = 0; n < len(b); {
		part := b[n:min(len(b), n+patch-int((off+int64(n))%patch))]
		got, err := p.File.ReadAt(part, off+int64(n))
		if got < len(part) {
			if err == io.EOF || errors.Is(err, os.ErrClosed) {
				return n + got, err
			}
			if p.err == nil {
				p.err = err
			}
			clear(part[got:])
		}
		n += len(part)
	}
	return n, nil
}

// A frameWalk reads the frames of a segment from front to back, over damage, and also while others write at its end.
type frameWalk struct {
	ctx    context.Context
	g      *segmentFile
	scan   scanner
	off    int64
	sealed int64 // where the frames end; -1: it is the newest segment, which may end with a tear

	// durable is up to where the frames were on the disk once, as far as that is known: what cannot be read below is damaged.
	durable int64
	looked  bool // all headers behind off were asked for it
}

// A gap is bytes of a segment in which there were frames once, and are none.
type gap struct {
	off, end int64
	why      string
	head     *frameHeader // of the frame at off, if it is good
}

// newFrameWalk returns a walk over the frames of a segment, which was durable up to an offset at least.
func newFrameWalk(ctx context.Context, g *segmentFile, sealed, durable int64) (*frameWalk, error) {
	w := &frameWalk{ctx: ctx, g: g, scan: scanner{seg: &g.segment}, off: segmentHeaderSize, sealed: sealed, durable: durable}
	return w, w.measure()
}

// measure looks how long the file is now, and forgets what was read of it.
func (w *frameWalk) measure() error {
	size, err := w.g.f.Size()
	if err != nil {
		return err
	}
	if w.sealed >= 0 {
		size = min(size, w.sealed)
		w.durable = w.sealed
	}
	w.scan.size, w.scan.buf = size, w.scan.buf[:0]
	return nil
}

// next returns the next frame, or a gap before the next one. The error is io.EOF at the end.
func (w *frameWalk) next() (f frame, g *gap, err error) {
	if err := w.ctx.Err(); err != nil {
		return f, nil, err
	}
	f, err = w.read()
	if err != nil && w.sealed < 0 {
		f, err = w.newest(f, err)
	}
	switch {
	case err == nil:
		w.off = f.end()
		progressed(w.ctx, f.size())
		if f.durable <= f.off {
			w.durable = max(w.durable, f.durable)
		}
		return f, nil, nil
	case err == io.EOF && w.off < w.durable:
		g = &gap{off: w.off, end: w.durable, why: fmt.Sprintf("the file ends here; it had at least %d bytes", w.durable)}
		w.off = w.durable
		return f, g, nil
	case isUnreadable(err):
		g, err := w.skip(f, err)
		return f, g, err
	}
	return f, nil, err
}

// isUnreadable reports whether err says of the bytes of a frame that they are none.
func isUnreadable(err error) bool {
	var bad *badFrame
	return errors.As(err, &bad) || errors.Is(err, store.ErrCorrupt)
}

// read reads the frame at off.
func (w *frameWalk) read() (f frame, err error) {
	if w.off >= w.scan.size {
		return f, io.EOF
	}
	return w.scan.frame(w.off)
}

// newest decides what it means that no frame could be read at off of the newest segment, because of err: its end is io.EOF.
func (w *frameWalk) newest(f frame, err error) (frame, error) {
	if errors.Is(err, io.EOF) && err != io.EOF {
		// While it was read, space that was reserved behind it was given back.
		if err := w.measure(); err != nil {
			return f, err
		}
		f, err = w.read()
	}
	if err == nil || err != io.EOF && !isUnreadable(err) {
		return f, err
	}
	if err != io.EOF && !w.looked {
		later, ok, err := w.scan.laterMark(w.off)
		if err != nil && !errors.Is(err, io.EOF) {
			return f, err
		}
		if ok && later.durable <= later.off {
			w.durable = max(w.durable, later.durable)
		}
		w.looked = true
	}
	if w.off >= w.durable { // the end, or a tear
		return f, io.EOF
	}
	// What a mark covers was written when the mark was, but maybe not yet when it was read here.
	if err := w.measure(); err != nil {
		return f, err
	}
	return w.read()
}

// skip looks for the next frame behind the one at off, which cannot be read. f has its header, if that is good.
func (w *frameWalk) skip(f frame, cause error) (*gap, error) {
	g := &gap{off: w.off, why: cause.Error()}
	if d, ok := damageOf(cause); ok {
		g.why = d.What
	}
	if p, ok := w.g.f.(*patchedFile); ok && p.err != nil {
		g.why += fmt.Sprintf("; the disk could not be read: %v", p.err)
	}
	off := w.off + frameAlign
	if f.salt == w.g.salt && f.end() <= w.scan.size {
		off, g.head = f.end(), &f.frameHeader
	}
	for ; off+frameHeaderSize <= w.scan.size; off += frameAlign {
		if off%patch == 0 {
			if err := w.ctx.Err(); err != nil {
				return nil, err
			}
		}
		b, err := w.scan.bytes(off, frameHeaderSize)
		if err == nil && string(b[:4]) != frameMagic {
			continue
		}
		if err == nil {
			_, err = w.scan.frame(off)
		}
		if err == nil {
			g.end, w.off = off, off
			return g, nil
		}
		if !isUnreadable(err) && !errors.Is(err, io.EOF) {
			return nil, err
		}
	}
	g.end = w.durable
	w.off = max(w.durable, w.scan.size)
	return g, nil
}

// openLoneRun opens a run that no manifest names: what one would say of it is in its own header and end.
func openLoneRun(fsys FS, id runID, of uuid) (*run, error) {
	r := &run{name: runName(id)}
	m, err := readLoneRun(fsys, r, id)
	if err != nil {
		return nil, err
	}
	return openRun(fsys, of, m)
}

func readLoneRun(fsys FS, r *run, id runID) (m manifestRun, err error) {
	if r.f, err = fsys.OpenFile(r.name, os.O_RDONLY); err != nil {
		return m, err
	}
	defer r.f.Close()
	m.id = id
	if m.size, err = r.f.Size(); err != nil {
		return m, err
	}
	if m.size < runHeaderSize+runEndSize {
		return m, r.corrupt(m.size, "the file has %d bytes, which is less than a run has", m.size)
	}
	head, err := r.bytes(0, runHeaderSize, nil)
	if err != nil {
		return m, err
	}
	end, err := r.bytes(m.size-runEndSize, runEndSize, nil)
	if err != nil {
		return m, err
	}
	m.salt = binary.LittleEndian.Uint32(head[28:])
	m.sum = binary.LittleEndian.Uint32(end[20:])
	return m, nil
}

// guessStore returns the store that most files of a directory say that they belong to.
func guessStore(fsys FS, segs []segID, runs []runID) (best uuid, err error) {
	votes := make(map[uuid]int)
	names := make([]string, 0, len(segs)+len(runs))
	for _, id := range segs {
		names = append(names, segmentName(id))
	}
	for _, id := range runs {
		names = append(names, runName(id))
	}
	for _, name := range names {
		f, err := fsys.OpenFile(name, os.O_RDONLY)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, store.ErrCorrupt) {
			continue
		}
		if err != nil {
			return best, err
		}
		var b [24]byte
		if n, _ := f.ReadAt(b[:], 0); n == len(b) && (string(b[:4]) == segmentMagic || string(b[:4]) == runMagic) {
			id := uuid(b[8:24])
			if votes[id]++; votes[id] > votes[best] {
				best = id
			}
		}
		f.Close()
	}
	return best, nil
}
