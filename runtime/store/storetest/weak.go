package storetest

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// Rates say how often a store made by [WeakWith] does each of the unpleasant things that the contract permits, as
// probabilities from 0 to 1. The zero Rates make one that is weak in what it declares, and else well behaved.
type Rates struct {
	// Of commits whose conditions hold; together at most 1. The caller is told that the outcome is unknown.
	Applied float64 // the batch was applied
	Lost    float64 // it was not, and never will be
	Late    float64 // it is applied just before one of the next calls, if its conditions still hold then; or never

	TooOld float64 // of reads of a snapshot after its first one: the snapshot ends, as if its time were over
	Resync float64 // of events: a watcher is told to resync instead
	Repeat float64 // of events: a watcher is told twice
}

// DefaultRates returns the rates of [Weak]: high enough that a few hundred calls meet everything.
func DefaultRates() Rates {
	return Rates{Applied: 0.03, Lost: 0.03, Late: 0.03, TooOld: 0.03, Resync: 0.02, Repeat: 0.05}
}

// Weak returns s as the worst store that the contract permits, at [DefaultRates]: what is built on a store must work on
// this one too. It
//
//   - declares no more than [store.Portable]: 100 operations, 1 MiB, values of 64 KiB, snapshots of 5 seconds, no range
//     checks; Watch if s has it;
//   - is not coherent: it calls neither hooks nor Page.Cached;
//   - gives versions whose order means nothing;
//   - loses the outcome of commits, which were applied, or not, or are later;
//   - ends snapshots, tells watchers of events twice, or to resync.
//
// A batch that is committed again with its ID is never applied late once the second Commit has answered.
//
// The same seed and the same calls, one after the other, give the same behaviour. Closing it closes s. It is safe for
// concurrent use, and several may share one s, whose other writers they then are to each other.
func Weak(s store.Store, seed uint64) store.Store { return WeakWith(s, seed, DefaultRates()) }

// WeakWith is [Weak] with other rates.
func WeakWith(s store.Store, seed uint64, rates Rates) store.Store {
	r := rand.New(rand.NewPCG(seed, 0))
	limits := store.Portable
	limits.Watch = s.Limits().Watch
	limits.Settles = true
	w := &weak{s: s, limits: limits, rates: rates, versions: newScrambler(r), r: r}
	if seed%2 == 1 {
		return &versioner{w}
	}
	return w
}

// A versioner is a weak store that is a [store.PageVersioner].
type versioner struct{ *weak }

func (v *versioner) PageAndVersion(ctx context.Context, p store.Page, key []byte) ([]store.Item, store.Version, error) {
	items, err := v.Page(ctx, p)
	if err != nil {
		return nil, 0, err
	}
	of, err := v.Get(ctx, key)
	if err != nil {
		return nil, 0, err
	}
	return items, of[0].Version, nil
}

// errLost is the cause of an unknown outcome.
var errLost = errors.New("storetest: the answer to the commit was lost")

type weak struct {
	s        store.Store
	limits   store.Limits
	rates    Rates
	versions scrambler
	reading  atomic.Int64 // snapshots that are being read

	mu      sync.Mutex
	r       *rand.Rand
	pending []pending
	counts  weakCounts
}

// A pending batch is one of an unknown outcome that is not decided yet.
type pending struct {
	batch *store.Batch // with the versions of s
	calls int          // how many calls from now on
}

// weakCounts say what happened, for tests of the weak store.
type weakCounts struct {
	commits, applied, lost, late, lateApplied, lateConflicts int
	reads, tooOld, events, resyncs, repeats                  int
}

// happens draws whether something of a rate happens.
func (w *weak) happens(rate float64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.r.Float64() < rate
}

func (w *weak) count(f func(c *weakCounts)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(&w.counts)
}

func (w *weak) Limits() store.Limits { return w.limits }

func (w *weak) OnPublish(func(*store.Batch, store.Version)) (cancel func()) { return func() {} }

func (w *weak) Get(ctx context.Context, keys ...[]byte) ([]store.Item, error) {
	w.applyLate()
	return w.get(ctx, w.s, keys)
}

func (w *weak) Page(ctx context.Context, p store.Page) ([]store.Item, error) {
	w.applyLate()
	return w.page(ctx, w.s, p)
}

func (w *weak) get(ctx context.Context, r store.Reader, keys [][]byte) ([]store.Item, error) {
	items, err := r.Get(ctx, keys...)
	return w.sealed(items), err
}

func (w *weak) page(ctx context.Context, r store.Reader, p store.Page) ([]store.Item, error) {
	p.Cached = nil
	before := len(p.Into)
	items, err := r.Page(ctx, p)
	if err == nil {
		w.sealed(items[before:])
	}
	return items, err
}

func (w *weak) sealed(items []store.Item) []store.Item {
	for i := range items {
		items[i].Version = w.versions.seal(items[i].Version)
	}
	return items
}

func (w *weak) Snapshot(ctx context.Context, f func(store.SnapshotReader) error) error {
	w.applyLate()
	return w.s.Snapshot(ctx, func(r store.SnapshotReader) error {
		w.reading.Add(1)
		defer w.reading.Add(-1)
		return f(&weakReader{w: w, r: r, begun: time.Now()})
	})
}

// A weakReader reads a snapshot until it is too old.
type weakReader struct {
	w      *weak
	r      store.SnapshotReader
	begun  time.Time
	reads  int
	tooOld bool
}

func (r *weakReader) Token() store.Token {
	if !r.w.limits.Watch {
		return ""
	}
	return r.r.Token()
}

func (r *weakReader) Get(ctx context.Context, keys ...[]byte) ([]store.Item, error) {
	if err := r.age(); err != nil {
		return nil, err
	}
	return r.w.get(ctx, r.r, keys)
}

func (r *weakReader) Page(ctx context.Context, p store.Page) ([]store.Item, error) {
	if err := r.age(); err != nil {
		return nil, err
	}
	return r.w.page(ctx, r.r, p)
}

// age returns an error if the snapshot has come to its end. The first read always succeeds, so that what needs only one
// gets on.
func (r *weakReader) age() error {
	r.reads++
	ends := r.reads > 1 && r.w.happens(r.w.rates.TooOld)
	if !r.tooOld && (ends || time.Since(r.begun) > r.w.limits.Snapshot) {
		r.tooOld = true
		r.w.count(func(c *weakCounts) { c.tooOld++ })
	}
	r.w.count(func(c *weakCounts) { c.reads++ })
	if r.tooOld {
		return store.ErrSnapshotTooOld
	}
	return nil
}

func (w *weak) Commit(ctx context.Context, b *store.Batch) (store.Version, error) {
	if err := b.Check(w.limits); err != nil {
		return 0, err
	}
	w.applyLate()
	w.decide(b.ID)
	inner := w.opened(b)

	w.mu.Lock()
	w.counts.commits++
	x := w.r.Float64()
	due := 1 + w.r.IntN(6)
	w.mu.Unlock()
	switch r := w.rates; {
	case x < r.Applied:
		_, err := w.s.Commit(ctx, inner)
		if err != nil {
			return 0, err
		}
		w.count(func(c *weakCounts) { c.applied++ })
		return 0, &store.UnknownError{Err: errLost}

	case x < r.Applied+r.Lost+r.Late:
		// A conflict is always told: a batch whose conditions do not hold has an outcome.
		if err := w.holds(ctx, inner); err != nil {
			return 0, err
		}
		w.mu.Lock()
		if x < r.Applied+r.Lost {
			w.counts.lost++
		} else {
			w.counts.late++
			w.pending = append(w.pending, pending{inner, due})
		}
		w.mu.Unlock()
		return 0, &store.UnknownError{Err: errLost}
	}
	v, err := w.s.Commit(ctx, inner)
	return w.versions.seal(v), err
}

// opened returns a copy of b with the versions of the store inside. Keys and values are shared with b if b may be kept:
// a batch of which Commit returned ErrUnknown is never changed again.
func (w *weak) opened(b *store.Batch) *store.Batch {
	out := &store.Batch{ID: b.ID, Ops: make([]store.Op, len(b.Ops)), Checks: w.openedChecks(b.Checks), Fences: w.openedChecks(b.Fences)}
	for i, op := range b.Ops {
		if v, ok := op.Guard.Version(); ok {
			op.Guard = store.At(w.versions.open(v))
		}
		op.Decoded = nil // there are no hooks that it could be handed to
		out.Ops[i] = op
	}
	return out
}

func (w *weak) openedChecks(list []store.Check) []store.Check {
	out := make([]store.Check, len(list))
	for i, c := range list {
		out[i] = store.Check{Key: c.Key, Version: w.versions.open(c.Version)}
	}
	return out
}

// holds returns a conflict if a condition of b, which has the versions of the store inside, does not hold now.
func (w *weak) holds(ctx context.Context, b *store.Batch) error {
	conditions := append(append([]store.Check{}, b.Checks...), b.Fences...)
	for _, op := range b.Ops {
		if v, ok := op.Guard.Version(); ok {
			conditions = append(conditions, store.Check{Key: op.Key, Version: v})
		}
	}
	keys := make([][]byte, len(conditions))
	for i, c := range conditions {
		keys[i] = c.Key
	}
	items, err := w.s.Get(ctx, keys...)
	if err != nil {
		return err
	}
	for i, it := range items {
		if it.Version != conditions[i].Version {
			return &store.ConflictError{Key: bytes.Clone(it.Key)}
		}
	}
	return nil
}

// applyLate applies pending batches whose time has come. It does nothing while a snapshot is read: the caller may be the
// one that reads it, and must not commit.
func (w *weak) applyLate() {
	if w.reading.Load() > 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.applyWhere(func(p *pending) bool {
		p.calls--
		return p.calls < 0
	})
}

// decide decides about a pending batch that is committed again: it is applied now, or will never be. The caller's own
// Commit, which comes next, meets the one or the other.
func (w *weak) decide(id [8]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.applyWhere(func(p *pending) bool { return p.batch.ID == id })
}

// applyWhere takes the pending batches of which due says so, and applies two thirds of them, under w.mu so that nobody
// else can decide about one meanwhile.
func (w *weak) applyWhere(due func(p *pending) bool) {
	rest := w.pending[:0]
	for _, p := range w.pending {
		if !due(&p) {
			rest = append(rest, p)
			continue
		}
		if w.r.IntN(3) == 0 {
			continue
		}
		// No other error than a conflict can be told to anybody any more.
		if _, err := w.s.Commit(context.Background(), p.batch); err == nil {
			w.counts.lateApplied++
		} else if errors.Is(err, store.ErrConflict) {
			w.counts.lateConflicts++
		}
	}
	clear(w.pending[len(rest):])
	w.pending = rest
}

func (w *weak) Watch(ctx context.Context, from store.Token, prefix []byte) iter.Seq2[store.Event, error] {
	w.applyLate()
	inner := w.s.Watch(ctx, from, prefix)
	return func(yield func(store.Event, error) bool) {
		for e, err := range inner {
			if err != nil {
				yield(store.Event{}, err)
				return
			}
			resync, repeat := w.happens(w.rates.Resync), w.happens(w.rates.Repeat)
			if e.Kind == store.EventPut || e.Kind == store.EventDelete {
				e.Version = w.versions.seal(e.Version)
				if resync {
					// What this event would have told of is in what the watcher now reads.
					e = store.Event{Kind: store.EventResync, Token: e.Token}
				}
			}
			w.count(func(c *weakCounts) {
				c.events++
				if e.Kind == store.EventResync {
					c.resyncs++
				} else if repeat {
					c.repeats++
				}
			})
			if !yield(e, nil) || repeat && !yield(e, nil) {
				return
			}
		}
	}
}

// Close decides about the commits that are still pending, and closes the store inside.
func (w *weak) Close() error {
	w.mu.Lock()
	w.applyWhere(func(*pending) bool { return true })
	w.mu.Unlock()
	return w.s.Close()
}
