package kixxtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
	"github.com/kixxgen/kixxgen/runtime/store/filestore/simfs"
)

// ErrCrashed is matched by the errors of all calls since a power cut that [Kit.CrashAfter] has planned. A program never sees
// it: it is gone.
var ErrCrashed = errors.New("kixxtest: the power was cut")

// A Kit is a database on a machine that a test can make trouble on. The database is the file store, as it is in production,
// on a disk in memory that forgets in a power cut what was not synced. Its methods are for the goroutine of the test.
//
// Decoded documents are not cached, unless the options say so, so that nothing can be read after a power cut.
type Kit struct {
	DB    *kixx.DB // open; another one after Reopen
	Clock *Clock   // behind created and updated fields; it goes on when the database is opened again

	t       testing.TB
	opts    []kixx.Option
	url     string
	machine *machine
}

// New returns a kit whose database is empty. When the test ends, the database is verified and closed, as that of [Open].
// After a power cut, that is so if it was opened again.
func New(t testing.TB, opts ...kixx.Option) *Kit {
	t.Helper()
	k := &Kit{Clock: NewClock(Start, Step), t: t, machine: newMachine(simfs.New())}
	k.opts = withDefaults(t, k.Clock, append([]kixx.Option{kixx.WithCacheBytes(0)}, opts...))
	k.url = fmt.Sprintf("%s:%d", scheme, made.Add(1))
	kits.Store(k.url, k)
	k.open()
	t.Cleanup(func() {
		kits.Delete(k.url)
		k.close()
	})
	return k
}

// The store of a kit is opened by a URL like any other: only so do the options of the database reach it.
const scheme = "kixxtest"

var (
	kits sync.Map // of *Kit, by their URLs
	made atomic.Int64
)

func init() {
	store.Register(scheme, func(ctx context.Context, url string, o store.Options) (store.Store, error) {
		k, ok := kits.Load(url)
		if !ok {
			return nil, fmt.Errorf("kixxtest: %s is not the URL of a Kit; use kixxtest.New", url)
		}
		return k.(*Kit).machine.open(ctx, o)
	})
}

func (k *Kit) open() {
	k.t.Helper()
	var err error
	if k.DB, err = kixx.Open(k.t.Context(), k.url, k.opts...); err != nil {
		k.t.Fatal(err)
	}
}

// close verifies and closes the database. After a power cut there is nothing to verify, and closing it fails.
func (k *Kit) close() {
	k.t.Helper()
	if k.Crashed() {
		k.DB.Close()
		return
	}
	verify(k.t, k.DB)
	if err := k.DB.Close(); err != nil && !k.Crashed() {
		k.t.Error(err)
	}
}

// ConflictNext makes each of the next n commits that write documents meet another writer, who was a little faster: he has
// stored the first of those documents again as it was, with the next revision. So Set, UpdateIf and DeleteIf return
// [kixx.ErrConflict]; Update, Overwrite and transactions try again, and the second time count as a commit as well. Of
// documents that are not stored yet the other writer stores the same ones: Insert returns [kixx.ErrExists].
func (k *Kit) ConflictNext(n int) { k.machine.conflicts.Store(int64(n)) }

// CrashAfter plans a power cut. Until then the disk does n/2 operations more: an operation creates, writes, syncs, renames
// or removes a file, and a commit usually takes two, write and sync. The power is cut before the next one. From then on
// all calls return [ErrCrashed], and the commit that was on its way matches [kixx.ErrUnknown] too if it was written.
//
// If n is even, the disk keeps what was written and not synced; if n is odd, it loses all or a part of it. So a test that
// goes through all n from 0 on, each with a kit of its own, until Crashed reports false, meets every crash there is: with
// the commit on its way lost, and with it kept.
func (k *Kit) CrashAfter(n int) { k.machine.plan(n) }

// Crashed reports whether the power was cut since the database was opened.
func (k *Kit) Crashed() bool { return k.machine.dead.Load() }

// Reopen opens the database anew and returns it: after a power cut with what the disk has kept, else after closing it. The
// repositories of the old one are of no use any more. What ConflictNext and CrashAfter had planned is forgotten.
func (k *Kit) Reopen() *kixx.DB {
	k.t.Helper()
	k.close()
	k.machine = newMachine(k.machine.disk())
	k.open()
	return k.DB
}

// A machine is what a database runs on until it is opened again.
type machine struct {
	fs        *simfs.FS
	conflicts atomic.Int64
	dead      atomic.Bool

	mu    sync.Mutex
	crash int // the number of the planned crash
	left  int // operations until then; negative: none is planned
}

func newMachine(fs *simfs.FS) *machine {
	m := &machine{fs: fs, left: -1}
	fs.Inject(m.fault)
	return m
}

func (m *machine) plan(crash int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crash, m.left = crash, crash/2
}

// fault decides about an operation. The simulated disk asks about one after the other.
func (m *machine) fault(op simfs.Op) *simfs.Fault {
	switch op.Kind {
	case "open", "read", "list":
	default:
		m.mu.Lock()
		if m.left == 0 {
			m.dead.Store(true)
		}
		m.left--
		m.mu.Unlock()
	}
	if m.dead.Load() {
		return &simfs.Fault{Err: ErrCrashed}
	}
	return nil
}

// disk returns the disk for the next machine. After a power cut no operation has changed it any more.
func (m *machine) disk() *simfs.FS {
	if !m.dead.Load() {
		return m.fs
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	loss := simfs.KeepAll
	if m.crash%2 != 0 {
		loss = simfs.Losses[m.crash/2%len(simfs.Losses)]
	}
	return m.fs.Crash(loss, rand.New(rand.NewPCG(uint64(m.crash), 0)))
}

func (m *machine) open(ctx context.Context, o store.Options) (store.Store, error) {
	// Little is reserved ahead: the disk is in memory.
	st, err := filestore.Open(ctx, "the disk of the kit", filestore.Options{Options: o, FS: m.fs, Reserve: 1 << 16})
	if err != nil {
		return nil, err
	}
	return &troubled{Store: st, m: m}, nil
}
