// Package memstore keeps a [store.Store] in memory: for tests, and for data that need not outlive the process.
//
// It is the smallest store that keeps the whole contract, and the one to read first. All keys are in one tree under one
// lock. read.go reads it, commit.go changes it, history.go remembers the recent changes, and watch.go tells of them.
//
// Importing the package registers the URL scheme "mem". Each opening of "mem:" makes a store of its own; what follows
// the colon is a label and changes nothing.
package memstore

import (
	"context"
	"crypto/rand"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/btree"

	"github.com/kixxgen/kixxgen/runtime/store"
)

func init() {
	store.Register("mem", func(_ context.Context, _ string, o store.Options) (store.Store, error) {
		return New(o), nil
	})
}

// degree is that of the tree. 32 was the best of 16 to 128 for reads, and copies little after a Clone.
const degree = 32

var limits = store.Limits{
	Bytes: 64 << 20, Value: 16 << 20,
	Coherent: true, Ordered: true, RangeChecks: true, Watch: true, Settles: true,
}

// A Store is a [store.Store] in memory. Make one with [New]. It is safe for concurrent use.
//
// What it keeps true:
//
//  1. An item, its key and its value are never changed once they are in the tree, only replaced: they are handed out
//     without being copied.
//  2. All that a commit does, the calls of the hooks included, happens while mu is held exclusively, so that no read
//     can see a part of it.
//  3. log holds every change after the position dropped, in order.
type Store struct {
	id  string // in tokens, so that those of other stores are told apart
	now func() time.Time

	mu      sync.RWMutex
	view             // the newest state
	shared  *view    // a copy of it that is never changed; nil until a snapshot needs one
	log     []change // the recent changes, for watchers and range checks
	size    int      // bytes of keys and values in log
	dropped uint64   // position of the last change that was taken off log
	hooks   []*hook  // replaced, never changed in place
	wake    chan struct{}
	closed  bool

	waiting atomic.Bool // a watcher waits for wake to be closed
}

// A hook is a publish hook. It is a pointer because functions cannot be compared.
type hook struct {
	call func(*store.Batch, store.Version)
}

// New returns an empty store. Of the options only Now is used: it says how old a change is, see [Store.Watch].
func New(o store.Options) *Store {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Store{
		id:   rand.Text(),
		now:  o.Now,
		view: view{tree: btree.NewG(degree, func(a, b item) bool { return a.key < b.key })},
		wake: make(chan struct{}),
	}
}

// Limits returns what the store can do: all there is, with values of at most 16 MiB and commits of at most 64 MiB.
func (s *Store) Limits() store.Limits { return limits }

// Stats implements [store.StatsReporter]. A closed store has no keys.
func (s *Store) Stats() store.Stats {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return store.Stats{}
	}
	return store.Stats{MemoryKeys: s.tree.Len()}
}

// OnPublish implements [store.Store].
func (s *Store) OnPublish(call func(b *store.Batch, v store.Version)) (cancel func()) {
	h := &hook{call}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks = append(s.hooks[:len(s.hooks):len(s.hooks)], h)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		var rest []*hook
		for _, other := range s.hooks {
			if other != h {
				rest = append(rest, other)
			}
		}
		s.hooks = rest
	}
}

// Close frees the memory of the store and ends its watchers. Later calls of all methods return [store.ErrClosed], but
// of Close nil.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		s.view, s.shared, s.log, s.hooks = view{}, nil, nil, nil
		close(s.wake)
	}
	return nil
}

// ready reports whether a call may begin. s.mu is held.
func (s *Store) ready(ctx context.Context) error {
	if s.closed {
		return store.ErrClosed
	}
	return ctx.Err()
}
