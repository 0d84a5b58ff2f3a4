// Package filestore keeps a [store.Store] in the files of one directory, with no server.
//
// A commit is one checksummed frame at the end of the newest segment of a log; nothing is written in place. The newest keys,
// and their values of at most 64 bytes, are in memory. When there are 128 Ki of them they are written to a run, a file of
// sorted keys, of which blocks are read when they are needed; longer values stay in the segments and are read from there.
// So memory does not grow with the data, and opening replays only what is behind the last run. A directory belongs to one
// process at a time, and must be on a local file system.
//
// Importing the package makes the URL scheme "file" known, see [store.Open]:
//
//	file:./data                                    a relative path
//	file:///var/lib/shop?sync=periodic&interval=1s an absolute one
//	file:./data?cache=64MiB                        with so much memory for blocks of runs, see [Options]
//
// Read format.go for the bytes, commit.go for the order of writes and syncs, flush.go for runs, compact.go for space that is given back, cursor.go for reading over
// all that there is, recover.go for opening after a crash, recent.go and watch.go for what is told of commits afterwards,
// backup.go and restore.go for copies of a store, verify.go and repair.go for damage.
//
// # Promises
//
// In the mode [store.Sync] a commit that was acknowledged is never lost. In every mode a commit is there as a whole or
// not at all, and what a crash leaves is a prefix of the commits. The end of the log that a crash tore is cut, with a
// warning in the log, and kept beside it in a file. Damage is never taken for that: it is a [*store.CorruptError] with
// file and offset. What cannot be told from a tear is damage inside the very last group of commits of a store that
// was not closed and was never idle afterwards.
//
// A watch goes on from any token of the store's history without a gap, as far back as the log reaches, or begins with a
// resync: see [Store.Watch]. Range checks hold against what was committed since the snapshot, as long as that is not more
// than 16 MiB of keys, short values and about 100 bytes for each; else they are a conflict.
//
// After a write or a sync has failed, the commits that were on their way are [store.ErrUnknown], later ones
// [store.ErrFailed], and reads go on; opening the store again settles what is there. A full disk is different: it is
// [store.ErrFull], nothing has changed, and commits succeed again when there is space. If runs cannot be written, commits
// go on until memory holds twice as many keys as it should, and are refused then until a run can be written.
package filestore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// Options are what a store is opened with. The zero Options are good.
type Options struct {
	store.Options

	// FS is the directory, nil for that of the operating system. The store closes it.
	FS FS

	// Existing says that the store must be there: nothing is made where there is none, and Open returns an error that
	// matches [os.ErrNotExist].
	Existing bool

	// Scratch leaves the files of the store, which must be there, as they are: what is written, also to recover after a
	// crash, goes to a directory for temporary files, and Close removes it. So a store can be read where nothing may be
	// written, and a change be tried. It is locked all the same: only the name of who has it is written to the lock file.
	Scratch bool

	// AfterFunc starts the timers of the store, nil for time.AfterFunc. They are used for the syncs of
	// [store.Periodic], for the mark that is written when the store has been idle for a second, and to gather commits
	// for one sync. Options.Now measures how long a sync takes, and should belong to the same clock.
	AfterFunc func(d time.Duration, f func()) Timer

	// SegmentSize is how long a segment gets before a new one is begun: 64 MiB if it is 0, else at least 256 bytes.
	SegmentSize int64

	// Reserve is how much space is reserved ahead of the log: 4 MiB if it is 0.
	Reserve int64

	// FlushKeys is how many changed keys are kept in memory before they are written to a run: 128 Ki if it is 0. There
	// can be twice as many, while a run is written.
	FlushKeys int

	// BlockCache is how many bytes of runs are kept in memory: a quarter of the memory limit of the program, see
	// debug.SetMemoryLimit, or 256 MiB if there is none, if it is 0.
	BlockCache int64
}

// A Timer is a timer that a store has started; [*time.Timer] is one.
type Timer interface {
	// Stop and Reset are those of a time.Timer that was made by time.AfterFunc.
	Stop() bool
	Reset(d time.Duration) bool
}

const (
	defaultSegmentSize = 64 << 20
	maxSegmentSize     = 1 << 30 // offsets have 32 bits, and the last commit goes over it
	defaultReserve     = 4 << 20
	defaultFlushKeys   = 128 << 10
	defaultBlockCache  = 256 << 20
	defaultInterval    = 100 * time.Millisecond

	// idleAfter is how long nothing must have been written before a mark is.
	idleAfter = time.Second
)

var limits = store.Limits{
	Bytes:       64 << 20,
	Value:       16 << 20,
	Coherent:    true,
	Ordered:     true,
	RangeChecks: true,
	Watch:       true,
}

// A Store is the store of one directory. It is safe for concurrent use.
//
// A commit passes three stages:
//
//	W  under wmu: the guards are compared with what is published and what is pending; the commit joins the queue.
//	S  by whoever has the S role, under no lock: the queue is written as one group, and synced.
//	P  under pmu and mu: the group is applied to the delta and to what is recent, the hooks are called, watchers woken.
//
// The caller passes all three itself if nobody else commits. Else one goroutine does S for everybody and another one P,
// so that the next group is written while one is published. The flusher, another goroutine, moves keys to runs, a worker merges
// these, and another one moves values out of segments that hold little that is needed.
//
// Invariants:
//
//	I1  Locks are taken in the order pmu, wmu, mu. None of them is held over I/O: blocks of runs are read before, or the
//	    step is repeated.
//	I2  Only the goroutine that has the S role (busy) uses log. It is handed on under wmu.
//	I3  Groups are published in the order in which they were written, and leave the pending ones in that order: what a
//	    pending group does to a key counts before what is published. One that fails leaves them when that is known.
//	    Readers see a commit only when it is as durable as the store was opened to make it.
//	I4  A commit that reads of a conflict reads it when what it conflicts with is published or has failed: else it would
//	    try again on the old state, and learn of a write that a crash may undo.
//	I5  Entries and segments are immutable once published: what was looked up under mu is read without it.
//	I6  If failed is set, nothing is written any more.
//	I7  Delta, frozen and the runs hide each other in this order. A run holds nothing that is not on the disk as well in
//	    the log, and the log is replayed from where the newest run ends.
//	I8  Runs, and the segments with their values, stay as they are as long as somebody holds a version that has them.
//	I9  A position that somebody may know, of a snapshot or a watcher, is for ever one of the same commits: it is taken
//	    from what is published, and an opening that may have lost some of that begins a new history.
type Store struct {
	dir      string
	id       uuid
	history  uint64 // the present history began behind this commit
	fs       FS
	log      *slog.Logger
	now      func() time.Time
	after    func(d time.Duration, f func()) Timer
	mode     store.DurabilityMode
	interval time.Duration
	lockFile File
	scratch  bool // see Options.Scratch

	closed  atomic.Bool // set under wmu
	closing sync.Mutex  // of Close
	done    bool        // Close has ended

	pmu sync.Mutex // the order of publishing

	wmu      sync.Mutex
	queue    group    // commits that passed W
	pending  []*group // groups in S and P, oldest first
	busy     bool     // somebody has the S role
	failed   error    // the write or sync that failed
	commits  sync.WaitGroup
	gathered gathering
	idle     idling

	flushing   flushing
	merging    worker
	compaction compaction
	blocks     blockCache
	nextRun    atomic.Uint32 // the last number of a run
	merges     sync.Mutex    // held by who merges runs, or says with emptying which ones he will; taken before all other locks
	installing sync.Mutex    // taken before all locks but merges, by who changes the runs
	counts     counts

	commitLog *commitLog // of the S role, but for its manifest
	kick      chan struct{}
	publishes chan *group
	workers   sync.WaitGroup // syncer, publisher, flusher, the two workers, timers under way, and calls of Compact

	mu     sync.RWMutex
	state        // what is published
	end    point // of the log, there
	endSeg *segment
	view   *delta // a clone of delta, until the next publish
	recent recent
	fences atomic.Pointer[fences] // as they are at state.at; set under a read lock of mu, and put to nil under mu
	known  knownVersions
	hooks  []*hook
	wake   chan struct{} // closed when something is published, and by Close

	runsChanged chan struct{} // closed when they have
	emptying    *run          // this one and all older ones are being merged to empty segments; nil: none are

	waiting atomic.Bool // somebody waits for wake; set while mu is held
}

type hook struct {
	f func(*store.Batch, store.Version)
}

var _ store.Store = (*Store)(nil)

// Open opens the store in the directory dir, and makes it if there is nothing. ctx ends a replay of the log that takes
// too long. The caller must close the store.
//
// Open returns a [*store.LockedError] if another process, or this one, has the directory open, a
// [*store.CorruptError] if something in it is damaged or missing, and [store.ErrFull] if the disk has no room for what
// has to be written after a crash.
func Open(ctx context.Context, dir string, o Options) (*Store, error) {
	s, err := open(ctx, dir, o)
	if err != nil {
		return nil, fmt.Errorf("filestore: open %s: %w", dir, err)
	}
	return s, nil
}

func open(ctx context.Context, dir string, o Options) (*Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if o.SegmentSize == 0 {
		o.SegmentSize = defaultSegmentSize
	}
	if o.Reserve == 0 {
		o.Reserve = defaultReserve
	}
	if o.Durability.Interval == 0 {
		o.Durability.Interval = defaultInterval
	}
	if o.FlushKeys == 0 {
		o.FlushKeys = defaultFlushKeys
	}
	if o.BlockCache == 0 {
		o.BlockCache = defaultBlockCache
		if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
			o.BlockCache = limit / 4
		}
	}
	switch {
	case o.SegmentSize < 256 || o.SegmentSize > maxSegmentSize:
		return nil, fmt.Errorf("a segment size of %d bytes, want 256 to %d", o.SegmentSize, maxSegmentSize)
	case o.FlushKeys < 0 || o.BlockCache < 0:
		return nil, fmt.Errorf("a delta of %d keys and a cache of %d bytes, want 0 or more", o.FlushKeys, o.BlockCache)
	case o.Reserve < 0:
		return nil, fmt.Errorf("a reserve of %d bytes, want 0 or more", o.Reserve)
	case o.Durability.Mode > store.NoSync:
		return nil, fmt.Errorf("durability mode %d is not known", o.Durability.Mode)
	case o.Durability.Interval < 0:
		return nil, fmt.Errorf("an interval of %v between syncs, want more than 0", o.Durability.Interval)
	}
	s := &Store{
		dir:       dir,
		fs:        o.FS,
		log:       o.Logger,
		now:       o.Now,
		after:     o.AfterFunc,
		mode:      o.Durability.Mode,
		interval:  o.Durability.Interval,
		kick:      make(chan struct{}, 1),
		publishes: make(chan *group, 2),
		state:     state{delta: newDelta()},
		known:     newKnownVersions(),
		wake:      make(chan struct{}),
	}
	s.blocks.budget = o.BlockCache
	s.flushing.keys = o.FlushKeys
	s.flushing.kick, s.flushing.quit, s.flushing.flushes = make(chan struct{}, 1), make(chan struct{}), make(chan chan error)
	s.merging.init()
	s.merging.s, s.merging.work, s.merging.all, s.merging.counts = s, s.mergeDue, s.mergeAll, &s.counts.merging
	s.merging.failed = func(in time.Duration, err error) {
		s.log.Warn("filestore: runs could not be merged; it is tried again", "dir", s.dir, "in", in, "err", err)
	}
	s.compaction = compaction{turn: make(chan struct{}, 1), quit: s.flushing.quit, kept: make(map[segID]error), slack: o.SegmentSize / 8 * 7}
	s.compaction.init()
	s.compaction.s, s.compaction.work, s.compaction.counts = s, s.compactDue, &s.counts.compacting
	s.compaction.failed = func(in time.Duration, err error) {
		s.log.Warn("filestore: a segment could not be compacted; it is tried again", "dir", s.dir, "in", in, "err", err)
	}
	s.compaction.turn <- struct{}{}
	s.runsChanged = make(chan struct{})
	s.recent.unused = math.MaxInt // nobody has asked
	s.gathered.wake = make(chan struct{}, 1)
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.after == nil {
		s.after = func(d time.Duration, f func()) Timer { return time.AfterFunc(d, f) }
	}
	if s.fs == nil {
		openDir := openOS
		if o.Existing || o.Scratch {
			openDir = openExisting
		}
		fsys, err := openDir(dir)
		if err != nil {
			return nil, err
		}
		if fsys.openToOthers() {
			s.log.Warn("filestore: everybody may write to the directory", "dir", dir)
		}
		s.fs = fsys
		if s.scratch = o.Scratch; s.scratch {
			s.fs, s.mode = newScratchFS(fsys), store.NoSync
		}
	}
	s.commitLog = &commitLog{
		fs:          s.fs,
		log:         s.log,
		segmentSize: o.SegmentSize,
		reserve:     o.Reserve,
		syncs:       s.mode == store.Sync,
	}
	err := s.lock()
	if err == nil {
		err = s.recover(ctx)
	}
	if err != nil {
		s.release()
		return nil, markFull(err)
	}
	size := min(spareSize, o.SegmentSize/4)
	if s.scratch {
		size = 0
	}
	s.commitLog.deleteSpare = spare{fs: s.fs, log: s.log, name: deleteSpareName, size: size}
	s.commitLog.compactSpare = spare{fs: s.fs, log: s.log, name: compactSpareName, size: size}
	s.commitLog.takeSpares()
	s.id = s.commitLog.manifest.store
	s.end, s.endSeg = s.commitLog.at, s.commitLog.segment
	s.at = s.end.position
	s.recent.keep, s.recent.floor = keepRecent, s.at
	s.counts.opened(&s.commitLog.manifest)
	s.workers.Add(5)
	go s.syncer()
	go s.publisher()
	go s.flusher()
	go s.merging.run()
	go s.compaction.run()
	if s.scratch {
		return s, nil // what is not needed is not written
	}
	s.merging.ask()
	s.compaction.ask()
	s.mu.Lock()
	s.flushing.due(s) // after a crash the delta can be large
	s.mu.Unlock()
	return s, nil
}

// work counts a call that works with the files, unless the store is closed. Close waits until done is called.
func (s *Store) work() (done func(), err error) {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	if s.closed.Load() {
		return nil, store.ErrClosed
	}
	s.workers.Add(1)
	return s.workers.Done, nil
}

// release closes all files, and gives back the lock.
func (s *Store) release() error {
	var errs []error
	for _, r := range s.blocks.all() {
		errs = append(errs, r.f.Close())
	}
	for _, g := range s.commitLog.segments.open() {
		if g.f != nil {
			errs = append(errs, g.f.Close())
		}
	}
	if s.lockFile != nil {
		errs = append(errs, s.lockFile.Close())
	}
	errs = append(errs, s.fs.Close())
	return errors.Join(errs...)
}

// Close waits for the commits that are under way, seals the log, and frees the directory. In every durability mode
// everything that was committed is on the disk when it has returned nil. An error that matches [store.ErrFailed] says
// that something could not be written; the next opening settles what is there. A second Close returns nil.
func (s *Store) Close() error {
	s.closing.Lock()
	defer s.closing.Unlock()
	if s.done {
		return nil
	}
	s.wmu.Lock()
	s.closed.Store(true)
	s.wmu.Unlock()
	s.commits.Wait()
	s.idle.stop()
	s.flushing.stop()
	close(s.kick)
	s.workers.Wait()
	s.done = true
	s.mu.Lock()
	close(s.wake) // nothing is published any more
	s.mu.Unlock()

	// Nobody else is left: the S role is free, and nothing is pending.
	err := s.failed
	if err == nil && !s.scratch {
		s.flushAtClose()
		err = s.commitLog.close()
	}
	if err != nil {
		err = fmt.Errorf("filestore: close %s: %w: %w", s.dir, store.ErrFailed, err)
	}
	return errors.Join(err, s.release())
}

// Limits returns what the store can do: all there is, with values of at most 16 MiB and commits of at most 64 MiB. Only an
// unknown outcome is not settled by reading: that takes another opening.
func (s *Store) Limits() store.Limits { return limits }

// OnPublish registers a hook, see [store.Store].
func (s *Store) OnPublish(f func(b *store.Batch, v store.Version)) (cancel func()) {
	h := &hook{f}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks = append(s.hooks[:len(s.hooks):len(s.hooks)], h)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i, other := range s.hooks {
			if other == h {
				s.hooks = append(s.hooks[:i:i], s.hooks[i+1:]...)
				return
			}
		}
	}
}
