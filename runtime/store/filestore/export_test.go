package filestore

import (
	"context"
	"encoding/binary"
	"io"
	"math"
	"runtime"
	"slices"
	"testing"

	"github.com/kixxgen/kixxgen/runtime/store"
)

var (
	ParseURL = parseURL
	SyncFile = syncFile
)

// AwaitQueued returns when n commits are queued behind the one that is written.
func (s *Store) AwaitQueued(n int) {
	for {
		s.wmu.Lock()
		queued := len(s.queue.commits)
		s.wmu.Unlock()
		if queued >= n {
			return
		}
		runtime.Gosched()
	}
}

// Settle returns when s neither flushes, nor merges, nor compacts, and is not about to.
func Settle(s *Store) {
	for {
		// In this order each may ask the next one; and moves may make a flush due.
		busy := false
		for range 2 {
			s.mu.RLock()
			busy = busy || s.flushing.asked
			s.mu.RUnlock()
			busy = busy || s.merging.busy() || s.compaction.busy()
		}
		if !busy {
			return
		}
		runtime.Gosched()
	}
}

// AwaitWaiting returns when a commit waits for a flush.
func AwaitWaiting(s *Store) {
	for {
		s.mu.RLock()
		waits := s.flushing.ended != nil
		s.mu.RUnlock()
		if waits {
			return
		}
		runtime.Gosched()
	}
}

// Runs returns how many runs there are.
func Runs(s *Store) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.ver.runs)
}

// Ask makes s keep what it publishes from now on for range checks, as a snapshot does.
func Ask(s *Store) { s.recent.ask() }

// KeepRecent sets how many bytes of recent commits are kept.
func KeepRecent(s *Store, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recent.keep = n
}

// Recent returns how many bytes of recent commits are kept, and behind which commit they begin.
func Recent(s *Store) (bytes int, floor uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.recent.bytes, s.recent.floor.seq
}

// HoldPublishing takes the turn to publish. release gives it back.
func HoldPublishing(s *Store) (release func()) {
	s.pmu.Lock()
	return s.pmu.Unlock
}

// AtPublish publishes a commit of b by s, and calls f while it can be read and is still pending. f gets a function that
// says whether a batch would be let through then.
func AtPublish(s *Store, b *store.Batch, f func(holds func(*store.Batch) bool)) error {
	stopped, goOn := make(chan struct{}), make(chan struct{})
	cancel := s.OnPublish(func(*store.Batch, store.Version) {
		s.wmu.Lock() // nobody has it: the group waits for it to leave the pending ones
		close(stopped)
	})
	done := make(chan error, 1)
	go func() {
		_, err := s.Commit(context.Background(), b)
		done <- err
		close(goOn)
	}()
	<-stopped
	f(func(b *store.Batch) bool {
		c := &commit{batch: b}
		if !s.prepareRanges(c) {
			return false
		}
		_, holds, _ := s.check(c)
		return holds
	})
	s.wmu.Unlock()
	<-goOn
	cancel()
	return <-done
}

// ForgetHistory makes s look as if its history had begun with its first commit.
func ForgetHistory(s *Store) { s.history = 0 }

// TakesToken reports whether the text is a token of s, whatever its position.
func TakesToken(s *Store, t store.Token) bool {
	_, ok := s.parseToken(t)
	return ok
}

// Segments returns how many segments there are.
func Segments(s *Store) int { return len(s.commitLog.segments.all()) }

// Newest returns the number of the newest segment. Nothing may be written meanwhile.
func Newest(s *Store) int { return int(s.commitLog.segment.id) }

// Rewrite makes one run of all keys.
func Rewrite(s *Store) error { return s.rewrite(context.Background()) }

// Roll makes the next frame begin a new segment.
func Roll(s *Store) { s.commitLog.full.Store(true) }

// NeverCompact lets s not compact by itself.
func NeverCompact(s *Store) {
	Settle(s)
	s.compaction.slack = 1 << 60
}

// CompactEach is Compact as it is done where there is no room for a run: one segment at a time.
func CompactEach(s *Store) error {
	if err := s.compaction.begin(context.Background()); err != nil {
		return err
	}
	defer s.compaction.end()
	s.commitLog.full.Store(true)
	if _, err := s.commitMoves(context.Background(), nil, nil); err != nil {
		return err
	}
	if err := s.rewrite(context.Background()); err != nil {
		return err
	}
	u := s.usage()
	u.most = math.MaxInt64
	for _, g := range u.emptiest(0) {
		if err := s.compactSegment(context.Background(), g, &pacer{s: s, quit: s.compaction.quit}); err != nil {
			return err
		}
	}
	return nil
}

// Compacted returns how many segments were compacted, and how many bytes of values were moved for it.
func Compacted(s *Store) (segments int, moved int64) {
	s.compaction.mu.Lock()
	defer s.compaction.mu.Unlock()
	return s.compaction.done, s.compaction.moved
}

// DropSegment takes the i-th segment out of the log, as a compaction will: what was in it is not there any more.
func DropSegment(s *Store, i int) {
	t := &s.commitLog.segments
	t.mu.Lock()
	g := t.list[i]
	t.list = slices.Delete(slices.Clone(t.list), i, i+1)
	t.mu.Unlock()
	g.f.Close()
}

// WithChain returns the bytes of a segment with another chain in its header.
func WithChain(t testing.TB, b []byte, chain uint32) []byte {
	h, err := parseSegmentHeader(b)
	if err != nil {
		t.Fatal(err)
	}
	h.chain = chain
	return append(h.append(nil), b[segmentHeaderSize:]...)
}

// LogEnd returns where the log ends in its newest segment. Nothing may be written meanwhile.
func LogEnd(s *Store) int64 { return s.commitLog.at.end }

// LastMark returns the highest durable mark in the newest segment, or where its frames begin.
func LastMark(t testing.TB, s *Store) int64 {
	b := make([]byte, s.commitLog.at.end)
	if _, err := s.commitLog.segment.f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	_, mark := MarkIn(b)
	return mark
}

// MarkIn returns how many frame headers there are in the bytes of a segment, wherever, and their highest durable mark.
func MarkIn(b []byte) (frames int, mark int64) {
	mark = segmentHeaderSize
	if len(b) < segmentHeaderSize {
		return 0, mark
	}
	salt := binary.LittleEndian.Uint32(b[28:])
	for off := segmentHeaderSize; off+frameHeaderSize <= len(b); off += frameAlign {
		if h, err := parseFrameHeader(b[off:], int64(off), salt); err == nil {
			frames++
			mark = max(mark, h.durable)
		}
	}
	return frames, mark
}

// BackupInto is Backup to an FS.
func BackupInto(ctx context.Context, s *Store, to FS) error { return s.backupInto(ctx, to) }

// Delta returns how many keys are in the newest tree.
func Delta(s *Store) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.delta.Len()
}

// VerifyFS is Verify of an FS.
func VerifyFS(ctx context.Context, fsys FS) (Report, error) { return verify(ctx, readOnly{FS: fsys}) }

// Frames returns where the frames of a segment begin.
func Frames(b []byte) (offs []int64) {
	salt := binary.LittleEndian.Uint32(b[28:])
	for off := int64(segmentHeaderSize); off+frameHeaderSize <= int64(len(b)); {
		h, err := parseFrameHeader(b[off:], off, salt)
		if err != nil {
			break
		}
		offs = append(offs, off)
		off += h.size()
	}
	return offs
}

// Blocks returns where the blocks of a run begin.
func Blocks(t testing.TB, fsys FS, name string) []int64 {
	id, _ := parseRunName(name)
	m, ok, err := readManifest(fsys)
	if err != nil || !ok {
		t.Fatal(err)
	}
	r, err := openLoneRun(fsys, id, m.store)
	if err != nil {
		t.Fatal(err)
	}
	defer r.f.Close()
	return r.offsets[:len(r.offsets)-1]
}

// UnpackInto is Restore to an FS.
func UnpackInto(ctx context.Context, to FS, r io.Reader) error {
	if err := unpack(ctx, to, r); err != nil {
		return err
	}
	return settle(ctx, to)
}

// RepairFS is Repair of an FS.
func RepairFS(ctx context.Context, from, to FS) (RepairReport, error) {
	return repair(ctx, readOnly{FS: from}, to)
}

// Commits returns the numbers of the commits in a segment, by where their frames begin.
func Commits(b []byte) map[int64]uint64 {
	commits := make(map[int64]uint64)
	for _, off := range Frames(b) {
		if h, err := parseFrameHeader(b[off:], off, binary.LittleEndian.Uint32(b[28:])); err == nil && h.kind == frameCommit {
			commits[off] = h.seq
		}
	}
	return commits
}
