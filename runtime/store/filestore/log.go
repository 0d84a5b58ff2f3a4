package filestore

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// A commitLog writes the log: frames at the end of the newest segment, and a new segment when that one is full.
//
// It is used by one goroutine at a time, the one that has the S role, without a lock. It keeps these invariants:
//
//	L1  Nothing is written below end, and end only grows within a segment.
//	L2  The durable mark in a frame is at most what a sync of this segment has returned for when the frame is written.
//	L3  When the header of a segment is on the disk, everything that it seals is.
//	L4  The manifest's floor is on the disk before the manifest is.
//	L5  A segment gets its first commit when the manifest names it as the floor.
//	L6  A frame is written where space was reserved: a full disk is met before anything of the frame is written.
//	L7  If commits are not synced before they are acknowledged, the manifest on the disk is loose before the first one.
//
// After an error that does not match [store.ErrFull], what is on the disk is not known, and the log is not used again.
type commitLog struct {
	fs  FS
	log *slog.Logger

	mmu      sync.Mutex // taken before no other lock; held while the manifest is written, by the S role or a flush
	manifest manifest
	loose    bool // the manifest is; of the S role

	segment *segment // the newest
	at      point    // the end of its frames
	space   int64    // up to here space is reserved: the size of the file
	zeroed  int64    // up to here it was written: see zeroAhead

	segmentSize int64
	reserve     int64       // how much space is reserved ahead
	syncs       bool        // a commit is synced before it is acknowledged
	full        atomic.Bool // the segment takes no more: the next frame begins a new one

	deleteSpare, compactSpare spare

	segments segmentSet
	buf      []byte // frames of a group, put together
}

// A point is the end of a frame in a segment.
type point struct {
	end      int64
	sum      uint32 // of the segment's frames up to there
	position        // behind the last commit up to there
}

// add returns the point behind a frame of n bytes that begins at p.
func (p point) add(n int64, headerSum uint32) point {
	return point{p.end + n, addSum(p.sum, headerSum), p.position}
}

// behind returns the point behind a frame with the header h, whose checksum is sum where it stands now.
func (p point) behind(h *frameHeader, sum uint32) point {
	p = p.add(h.size(), sum)
	if h.kind == frameCommit {
		p.position = p.next(h.payloadSum)
	}
	return p
}

// maxJoined is up to how many bytes the frames of a group are copied together, to be written in one call.
const maxJoined = 1 << 20

// room returns how many bytes of frames, with the first one that passes the segment size, go into the segment that the
// next frame goes into.
func (l *commitLog) room() int64 {
	if l.at.end >= l.segmentSize {
		return l.segmentSize - segmentHeaderSize
	}
	return l.segmentSize - l.at.end
}

// append writes the frames of the commits, which are not more than room, numbers them, and makes them durable if the
// log syncs. touched says whether anything of them was written when there is an error.
func (l *commitLog) append(commits []*commit, size int64) (touched bool, err error) {
	if !l.syncs && !l.loose {
		if err := l.loosen(); err != nil {
			return false, err
		}
	}
	if err = l.prepare(size); isFull(err) {
		if p := l.spareFor(commits); p != nil && p.give() {
			err = l.prepare(size)
		}
	}
	if err != nil {
		return false, err
	}
	if l.syncs && len(commits) > 1 {
		if err := l.zeroAhead(size); err != nil {
			return false, err
		}
	}
	seg, at, durable := l.segment, l.at, l.segment.durable.Load()
	l.buf = l.buf[:0]
	last := []byte(nil)
	for _, c := range commits {
		if !c.writes() {
			c.at = at.position
			continue
		}
		seq := at.seq + 1
		if c.moves {
			seq = at.seq
		}
		h := c.enc.finish(seg, at.end, durable, seq)
		at = at.behind(&h, h.sum)
		c.at = at.position
		last = c.enc.buf
		if int64(len(last)) != size && size <= maxJoined {
			l.buf = append(l.buf, last...)
		}
	}
	if len(l.buf) > 0 {
		last = l.buf
	}
	if int64(len(last)) == size {
		err = l.write(last, l.at.end)
	} else {
		off := l.at.end
		for _, c := range commits {
			if c.writes() && err == nil {
				err = l.write(c.enc.buf, off)
				off += int64(len(c.enc.buf))
			}
		}
	}
	if err != nil {
		return !errors.Is(err, store.ErrFull), err
	}
	l.at = at
	if l.syncs {
		if err := seg.sync(l.at.end); err != nil {
			return true, err
		}
	}
	return false, nil
}

// prepare makes sure that the segment has room for n bytes of frames.
func (l *commitLog) prepare(n int64) error {
	if l.at.end >= l.segmentSize || l.full.Load() {
		if err := l.roll(); err != nil {
			return err
		}
		l.full.Store(false)
	}
	return l.makeRoom(n)
}

// write writes frames at off. If the disk is full all the same, because the file system could not reserve, all that was
// written since end is taken back.
func (l *commitLog) write(b []byte, off int64) error {
	_, err := l.segment.f.WriteAt(b, off)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("write %d bytes to %s at offset %d: %w", len(b), l.segment.name, off, err)
	if !isFull(err) {
		return err
	}
	if e := l.segment.f.Truncate(l.at.end); e != nil {
		return fmt.Errorf("%w; and take it back: %w", err, e)
	}
	l.space, l.zeroed = l.at.end, l.at.end
	// A crash must not bring back a commit that was refused.
	if e := l.segment.sync(l.at.end); e != nil {
		return fmt.Errorf("%w; and take it back: %w", err, e)
	}
	return full(err)
}

// full marks err as one after which nothing has changed, and which may pass.
func full(err error) error { return fmt.Errorf("%w: %w", store.ErrFull, err) }

// makeRoom reserves space for n more bytes, and more ahead, so that most syncs do not have to write the size of the
// file.
func (l *commitLog) makeRoom(n int64) error {
	need := l.at.end + n - l.space
	if need <= 0 {
		return nil
	}
	ahead := min(l.reserve, l.segmentSize-l.space)
	if !l.deleteSpare.whole() || !l.compactSpare.whole() {
		ahead = 0 // the disk was full a moment ago
	}
	for ask := max(need, ahead); ; ask = max(need, ask/4) {
		err := l.segment.f.Reserve(l.space, ask)
		if err == nil {
			l.space += ask
			break
		}
		err = fmt.Errorf("reserve %d bytes in %s: %w", ask, l.segment.name, err)
		if !isFull(err) {
			return err
		}
		// A part of the space may have been allocated: somebody else can use it.
		if e := l.segment.f.Truncate(l.space); e != nil {
			return fmt.Errorf("%w; and give back what there was: %w", err, e)
		}
		if ask == need {
			return full(err)
		}
	}
	if l.syncs {
		return l.segment.sync(l.at.end)
	}
	return nil
}

// zeroBytes is how much of the log is written with zeros at a time.
const zeroBytes = 512 << 10

// zeroAhead makes sure that n bytes of frames go where something was written before, and more after them. A file system notes
// with the first sync of reserved space that it is used now, and has nothing to note when it is written again, which halves
// the time of a sync of a group. It writes everything twice, so it is for commits that several callers wait for. The zeros
// are those that reserved space is read as: whatever of them a crash takes makes no difference.
func (l *commitLog) zeroAhead(n int64) error {
	end := l.at.end + n
	if end <= l.zeroed {
		return nil
	}
	to := min(end+zeroBytes, l.space)
	for l.zeroed = end; l.zeroed < to; {
		b := zeroPage[:min(int64(len(zeroPage)), to-l.zeroed)]
		if _, err := l.segment.f.WriteAt(b, l.zeroed); err != nil {
			if isFull(err) { // a file system that cannot reserve
				return nil
			}
			return fmt.Errorf("write zeros to %s at offset %d: %w", l.segment.name, l.zeroed, err)
		}
		l.zeroed += int64(len(b))
	}
	return nil
}

var zeroPage [128 << 10]byte

// roll begins a new segment.
func (l *commitLog) roll() error {
	old := l.segment
	if err := l.trim(); err != nil {
		return err
	}
	if err := old.sync(l.at.end); err != nil { // L3, in every mode: the log must not have a hole before its last segment
		return err
	}
	l.mmu.Lock()
	defer l.mmu.Unlock()
	next := &segment{id: old.id + 1, salt: newSalt(), name: segmentName(old.id + 1), before: l.at.position}
	h := segmentHeader{
		store: l.manifest.store, id: next.id, salt: next.salt,
		prev: old.id, prevSalt: old.salt, prevEnd: l.at.end, prevSum: l.at.sum, prevSeq: l.at.seq, chain: l.at.chain,
	}
	begin := point{end: segmentHeaderSize, position: l.at.position}
	m := l.manifest.withFloor(next, begin)
	m.sealed = append(m.sealed, sealedSegment{old.id, l.at.end, l.at.seq})
	// Both files are written before either gets its name, so that a full disk is met while nothing has changed.
	err := writeTmp(l.fs, next.name, h.append(nil))
	if err == nil {
		err = writeTmp(l.fs, manifestName, m.append(nil))
	}
	if err == nil {
		err = l.fs.Rename(next.name+tmpSuffix, next.name)
	}
	if err != nil {
		err = fmt.Errorf("begin %s: %w", next.name, err)
		if !isFull(err) {
			return err
		}
		for _, name := range []string{next.name, manifestName} {
			if e := ignoreAbsent(l.fs.Remove(name + tmpSuffix)); e != nil {
				return errors.Join(err, e)
			}
		}
		return full(err)
	}
	if err := l.fs.SyncDir(); err != nil { // else the manifest could name a segment that a crash takes
		return fmt.Errorf("begin %s: sync the directory: %w", next.name, err)
	}
	if next.f, err = l.fs.OpenFile(next.name, os.O_RDWR); err != nil {
		return fmt.Errorf("begin %s: %w", next.name, err)
	}
	old.seal(l.at.seq, l.at.end)
	l.segments.add(next)
	if err := installTmp(l.fs, manifestName); err != nil {
		return fmt.Errorf("begin %s: manifest: %w", next.name, err)
	}
	l.manifest = m
	l.use(next, begin)
	return nil
}

// loosen notes in the manifest that from now on commits are acknowledged before they are on the disk.
func (l *commitLog) loosen() error {
	l.mmu.Lock()
	defer l.mmu.Unlock()
	m := l.manifest
	m.generation++
	m.loose = true
	if err := writeTmp(l.fs, manifestName, m.append(nil)); err != nil {
		err = fmt.Errorf("write the manifest: %w", err)
		if isFull(err) {
			return full(err)
		}
		return err
	}
	if err := installTmp(l.fs, manifestName); err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	l.manifest, l.loose = m, true
	return nil
}

// change replaces the manifest by one that f has changed.
func (l *commitLog) change(f func(m *manifest)) error {
	l.mmu.Lock()
	defer l.mmu.Unlock()
	m := l.manifest
	m.generation++
	f(&m)
	if err := m.write(l.fs); err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	l.manifest = m
	return nil
}

// use makes seg, whose frames end at p and are durable, the one that is written to.
func (l *commitLog) use(seg *segment, p point) {
	l.segment, l.at, l.space, l.zeroed = seg, p, p.end, p.end
	seg.durable.Store(p.end)
}

// withFloor returns the manifest that follows m, with the floor at p of seg.
func (m manifest) withFloor(seg *segment, p point) manifest {
	m.generation++
	m.floorSeg, m.floorSalt = seg.id, seg.salt
	m.floorEnd, m.floorSum, m.floorSeq = p.end, p.sum, p.seq
	m.sealed = append([]sealedSegment(nil), m.sealed...)
	return m
}

// raiseFloor notes that seg is on the disk up to p. If it is not the newest segment that the manifest knows, it knows that.
func (m *manifest) raiseFloor(seg *segment, p point) {
	if m.floorSeg == seg.id && m.floorEnd < p.end {
		m.floorEnd, m.floorSum, m.floorSeq = p.end, p.sum, p.seq
	}
}

// trim gives back the space that was reserved behind the last frame.
func (l *commitLog) trim() error {
	if l.space == l.at.end {
		return nil
	}
	if err := l.segment.f.Truncate(l.at.end); err != nil {
		return fmt.Errorf("truncate %s to %d bytes: %w", l.segment.name, l.at.end, err)
	}
	l.space, l.zeroed = l.at.end, l.at.end
	return nil
}

// mark writes a frame without a payload, for its durable mark. It does not sync it.
func (l *commitLog) mark(kind frameKind) error {
	if err := l.makeRoom(frameHeaderSize); err != nil {
		return err
	}
	h := frameHeader{payloadSum: checksum(nil), salt: l.segment.salt, seq: l.at.seq, durable: l.segment.durable.Load(), kind: kind}
	var b [frameHeaderSize]byte
	h.put(b[:], l.at.end)
	if err := l.write(b[:], l.at.end); err != nil {
		return err
	}
	l.at = l.at.add(frameHeaderSize, h.sum)
	return nil
}

// close seals the log: everything synced, a last frame that says so, and the floor at its end. It does nothing if
// nothing was written since the log was opened.
func (l *commitLog) close() error {
	changed := l.segment.id != l.manifest.floorSeg || l.at.end != l.manifest.floorEnd || l.manifest.loose
	if changed {
		if err := l.segment.sync(l.at.end); err != nil {
			return err
		}
		err := l.mark(frameClose)
		if errors.Is(err, store.ErrFull) {
			l.log.Warn("filestore: the disk is full, the log is closed without its last frame", "file", l.segment.name)
		} else if err != nil {
			return err
		}
	} else if l.space == l.at.end {
		return nil
	}
	if err := l.trim(); err != nil {
		return err
	}
	if err := l.segment.sync(l.at.end); err != nil {
		return err
	}
	if !changed {
		return nil
	}
	m := l.manifest.withFloor(l.segment, l.at)
	m.loose = false
	if err := m.write(l.fs); err != nil {
		if isFull(err) {
			// Everything is on the disk. The next opening takes it for a crash, which it can deal with.
			l.log.Warn("filestore: the disk is full, the manifest keeps the floor it had", "err", err)
			return nil
		}
		return fmt.Errorf("write the manifest: %w", err)
	}
	l.manifest = m
	return nil
}

// newSalt returns a random number that is not zero.
func newSalt() uint32 {
	var b [4]byte
	for {
		rand.Read(b[:]) // never fails
		if n := binary.LittleEndian.Uint32(b[:]); n != 0 {
			return n
		}
	}
}

func newUUID() (u uuid) {
	rand.Read(u[:]) // never fails
	return u
}
