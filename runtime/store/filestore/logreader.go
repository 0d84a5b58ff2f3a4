package filestore

import (
	"context"
	"errors"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// errGone says that what a watcher needs is not there: its position is of another history, or the segment in which the
// commits after it stood was removed. It is told to resync.
var errGone = errors.New("filestore: these commits are not in the log any more")

// A logReader reads published commits back from the segments, in their order. It holds nothing but a buffer: no lock, and
// no segment, so that one which is removed ends the reading with errGone.
type logReader struct {
	s     *Store
	seg   *segment
	off   int64    // of the next frame
	at    position // behind the last commit that was read
	limit uint64   // commits up to this one were published when scan was filled
	scan  scanner
	arena arena
}

// readLog returns a reader of the commits after seq.
func (s *Store) readLog(ctx context.Context, seq uint64) (*logReader, error) {
	seg := s.commitLog.segments.from(seq)
	if seg == nil {
		return nil, errGone
	}
	r := &logReader{s: s}
	r.enter(seg)
	for r.at.seq < seq {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if _, err := r.frame(seq); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *logReader) enter(seg *segment) {
	r.seg, r.off, r.at = seg, segmentHeaderSize, seg.before
	r.scan = scanner{seg: seg, buf: r.scan.buf[:0]}
}

// next returns the next commit. Those up to limit are published, and it is one of them.
func (r *logReader) next(limit uint64) (c commits, err error) {
	f, err := r.frame(limit)
	if err != nil {
		return c, err
	}
	changes, err := decodePayload(f.payload, &r.arena, nil)
	if err != nil {
		return c, r.s.readError(r.seg, f.off, err)
	}
	place(changes, r.seg, f.off, f.seq)
	return commits{f.seq, []uint32{r.at.chain}, []uint32{uint32(len(changes))}, changes}, nil
}

// frame returns the frame of the next commit.
func (r *logReader) frame(limit uint64) (f frame, err error) {
	for r.seg.ends(r.at.seq) {
		next := r.s.commitLog.segments.from(r.at.seq)
		if next == nil || next.before != r.at {
			return f, errGone
		}
		r.enter(next)
	}
	if r.limit != limit || r.scan.size == 0 {
		// What is in the buffer behind the old limit may not be what was published there later.
		r.limit, r.scan.buf = limit, r.scan.buf[:0]
		if r.scan.size, err = r.seg.f.Size(); err != nil {
			return f, r.s.readError(r.seg, r.off, err)
		}
	}
	for {
		f, err = r.scan.frame(r.off)
		if err == nil && f.kind == frameCommit && f.seq != r.at.seq+1 || err == nil && f.kind != frameCommit && f.seq != r.at.seq {
			err = r.seg.corrupt(r.off, "a %v with number %d behind commit %d", f.kind, f.seq, r.at.seq)
		}
		if err != nil {
			return f, r.s.readError(r.seg, r.off, err)
		}
		r.off = f.end()
		if f.kind == frameCommit {
			r.at = r.at.next(f.payloadSum)
			return f, nil
		}
	}
}

// readError returns what a watcher ends with that could not read at off of seg, because of err. What was published is in
// its segment, so that bytes which cannot be read or understood are damage, unless store or segment were closed meanwhile.
func (s *Store) readError(seg *segment, off int64, err error) error {
	var damaged *store.CorruptError
	switch {
	case s.closed.Load():
		return store.ErrClosed
	case !s.commitLog.segments.has(seg):
		return errGone
	case errors.As(err, &damaged):
		return damaged
	}
	return seg.corrupt(off, "a commit stands here, and: %v", err)
}
