package filestore

import (
	"fmt"
	"os"
)

// succeed begins a new segment after last, which was replayed by r, or the first one if last is nil.
func (s *Store) succeed(r *replay, last *segment) error {
	l := s.commitLog
	next := &segment{id: 1, salt: newSalt()}
	h := segmentHeader{store: l.manifest.store}
	if last != nil {
		next.id = last.id + 1
		h.prev, h.prevSalt = last.id, last.salt
		h.prevEnd, h.prevSum, h.prevSeq, h.chain = r.mark.end, r.mark.sum, r.mark.seq, r.mark.chain
		cut, err := s.keepCut(r, last)
		if err != nil {
			return err
		}
		if cut || l.manifest.loose {
			h.fresh, h.chain = true, newSalt()
			s.history = h.prevSeq
		}
	}
	next.name = segmentName(next.id)
	next.before = position{h.prevSeq, h.chain}
	h.id, h.salt = next.id, next.salt
	at, err := s.writeSuccessor(r, next, &h)
	if err != nil {
		return fmt.Errorf("begin %s: %w", next.name, err)
	}
	if err := installTmp(s.fs, next.name); err != nil {
		return fmt.Errorf("begin %s: %w", next.name, err)
	}
	if next.f, err = s.fs.OpenFile(next.name, os.O_RDWR); err != nil {
		return fmt.Errorf("begin %s: %w", next.name, err)
	}
	if last != nil {
		last.seal(h.prevSeq, h.prevEnd)
	}
	l.segments.add(next)
	m := l.manifest.withFloor(next, at)
	m.loose = false
	if last != nil {
		m.sealed = append(append([]sealedSegment(nil), r.sealed...), sealedSegment{last.id, r.mark.end, r.mark.seq})
	}
	if err := m.write(s.fs); err != nil {
		return fmt.Errorf("begin %s: manifest: %w", next.name, err)
	}
	l.manifest = m
	l.use(next, at)
	s.ver.own(l.segments.all())
	if last != nil && r.size > r.mark.end {
		// Nothing refers to what is behind the seal any more. Whether a crash brings it back does not matter.
		if err := last.f.Truncate(r.mark.end); err != nil {
			s.log.Warn("filestore: cannot give back the space behind the end of a segment", "file", last.name, "err", err)
		}
	}
	return nil
}

// keepCut keeps aside what stands behind the last frame of the log, and says so in the log of the program. cut is false
// if there is nothing but reserved space.
func (s *Store) keepCut(r *replay, last *segment) (cut bool, err error) {
	end, err := r.scan.lastNonZero(r.at.end)
	if err != nil || end == r.at.end {
		return false, err
	}
	torn := make([]byte, end-r.at.end)
	if n, err := last.f.ReadAt(torn, r.at.end); n < len(torn) {
		return false, fmt.Errorf("read %s at offset %d: %w", last.name, r.at.end, err)
	}
	name := cutName(last.id, r.at.end)
	if err := writeTmp(s.fs, name, torn); err != nil {
		return false, fmt.Errorf("keep the torn end of %s: %w", last.name, err)
	}
	// The directory is synced with the new segment, before the old one is cut.
	if err := s.fs.Rename(name+tmpSuffix, name); err != nil {
		return false, fmt.Errorf("keep the torn end of %s: %w", last.name, err)
	}
	s.log.Warn("filestore: cut the torn end of the log, which a crash left", "dir", s.dir, "file", last.name,
		"offset", r.at.end, "bytes", len(torn), "kept", name, "lastCommit", r.at.seq)
	return true, nil
}

// writeSuccessor writes the temporary file of a segment: its header, and copies of the commits and moves of the old segment
// that were not certainly on the disk, with their numbers. The copies are what the store reads from now on. at is where
// they end.
func (s *Store) writeSuccessor(r *replay, next *segment, h *segmentHeader) (at point, err error) {
	name := next.name + tmpSuffix
	f, err := s.fs.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return at, err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
		if err != nil {
			// What cannot be removed is removed by the next opening.
			_ = s.fs.Remove(name)
		}
	}()
	buf := h.append(nil)
	at = point{end: segmentHeaderSize, position: next.before}
	off := int64(0) // where buf goes
	flush := func() error {
		_, err := f.WriteAt(buf, off)
		off += int64(len(buf))
		buf = buf[:0]
		return err
	}
	for from := r.mark.end; from < r.at.end; {
		old, err := r.scan.frame(from)
		if err != nil {
			return at, r.scan.seg.corrupt(from, "a frame that was there a moment ago: %v", err)
		}
		from = old.end()
		if old.kind != frameCommit && old.kind != frameMove {
			continue
		}
		start := len(buf)
		fh := old.frameHeader
		fh.salt, fh.durable = next.salt, 0 // nothing of this segment was synced yet
		buf = append(buf, make([]byte, frameHeaderSize)...)
		fh.put(buf[start:], at.end)
		buf = append(buf, old.payload...)
		buf = append(buf, zeros[:-len(buf)&(frameAlign-1)]...)
		// Applying the end of the log again on top of all of it changes nothing but the places.
		old.off = at.end
		if err := r.change(next, &old); err != nil {
			return at, err
		}
		at = at.behind(&old.frameHeader, fh.sum)
		if len(buf) >= maxJoined {
			if err := flush(); err != nil {
				return at, err
			}
		}
	}
	if err := flush(); err != nil {
		return at, err
	}
	return at, f.Sync()
}
