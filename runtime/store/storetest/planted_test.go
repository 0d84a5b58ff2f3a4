package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// A faulty store is one with some of its methods replaced. A nil function is the store's own.
type faulty struct {
	store.Store
	get            func(ctx context.Context, keys [][]byte) ([]store.Item, error)
	page           func(ctx context.Context, p store.Page) ([]store.Item, error)
	pageAndVersion func(ctx context.Context, p store.Page, key []byte) ([]store.Item, store.Version, error)
	snapshot       func(ctx context.Context, f func(store.SnapshotReader) error) error
	commit         func(ctx context.Context, b *store.Batch) (store.Version, error)
	watch          func(ctx context.Context, from store.Token, prefix []byte) iter.Seq2[store.Event, error]
	hook           func(call func(*store.Batch, store.Version)) func()
	limits         func(l *store.Limits)
	close          func() error
}

func (f *faulty) Get(ctx context.Context, keys ...[]byte) ([]store.Item, error) {
	if f.get != nil {
		return f.get(ctx, keys)
	}
	return f.Store.Get(ctx, keys...)
}

func (f *faulty) Page(ctx context.Context, p store.Page) ([]store.Item, error) {
	if f.page != nil {
		return f.page(ctx, p)
	}
	return f.Store.Page(ctx, p)
}

// PageAndVersion makes every store here a store.PageVersioner.
func (f *faulty) PageAndVersion(ctx context.Context, p store.Page, key []byte) ([]store.Item, store.Version, error) {
	if f.pageAndVersion != nil {
		return f.pageAndVersion(ctx, p, key)
	}
	items, err := f.Page(ctx, p)
	if err != nil {
		return nil, 0, err
	}
	of, err := f.Get(ctx, key)
	if err != nil {
		return nil, 0, err
	}
	return items, of[0].Version, nil
}

func (f *faulty) Snapshot(ctx context.Context, do func(store.SnapshotReader) error) error {
	if f.snapshot != nil {
		return f.snapshot(ctx, do)
	}
	return f.Store.Snapshot(ctx, do)
}

func (f *faulty) Commit(ctx context.Context, b *store.Batch) (store.Version, error) {
	if f.commit != nil {
		return f.commit(ctx, b)
	}
	return f.Store.Commit(ctx, b)
}

func (f *faulty) Watch(ctx context.Context, from store.Token, prefix []byte) iter.Seq2[store.Event, error] {
	if f.watch != nil {
		return f.watch(ctx, from, prefix)
	}
	return f.Store.Watch(ctx, from, prefix)
}

func (f *faulty) OnPublish(call func(*store.Batch, store.Version)) func() {
	if f.hook != nil {
		return f.hook(call)
	}
	return f.Store.OnPublish(call)
}

func (f *faulty) Limits() store.Limits {
	l := f.Store.Limits()
	if f.limits != nil {
		f.limits(&l)
	}
	return l
}

func (f *faulty) Close() error {
	if f.close != nil {
		return f.close()
	}
	return f.Store.Close()
}

// clone returns a copy of b that can be changed.
func clone(b *store.Batch) *store.Batch {
	c := *b
	c.Ops = slices.Clone(b.Ops)
	return &c
}

// liveReader is a snapshot reader that reads the newest state.
type liveReader struct {
	store.Store
	token store.Token
}

func (r liveReader) Token() store.Token { return r.token }

// lateReader is a snapshot that begins with its first read.
type lateReader struct {
	s      store.Store
	once   *sync.Once
	reader chan store.SnapshotReader
	done   chan struct{} // closed when the snapshot ends
}

func (r lateReader) snapshot() store.SnapshotReader {
	r.once.Do(func() {
		go r.s.Snapshot(ctx, func(inner store.SnapshotReader) error {
			for {
				select {
				case r.reader <- inner:
				case <-r.done:
					return nil
				}
			}
		})
	})
	return <-r.reader
}

func (r lateReader) Token() store.Token { return r.snapshot().Token() }

func (r lateReader) Get(ctx context.Context, keys ...[]byte) ([]store.Item, error) {
	return r.snapshot().Get(ctx, keys...)
}

func (r lateReader) Page(ctx context.Context, p store.Page) ([]store.Item, error) {
	return r.snapshot().Page(ctx, p)
}

// tokenReader is a snapshot reader with another token.
type tokenReader struct {
	store.SnapshotReader
	token store.Token
}

func (r tokenReader) Token() store.Token { return r.token }

// events returns inner with each event changed, or left out.
func events(inner iter.Seq2[store.Event, error], change func(e *store.Event) (keep bool)) iter.Seq2[store.Event, error] {
	return func(yield func(store.Event, error) bool) {
		for e, err := range inner {
			if (err != nil || change(&e)) && !yield(e, err) {
				return
			}
		}
	}
}

// planted are mistakes of stores, each with the clause that must find it.
var planted = []struct {
	name, clause string
	plant        func(f *faulty)
}{
	{"absent keys have no item", "GetReturnsAnItemForEachKey", func(f *faulty) {
		f.get = func(ctx context.Context, keys [][]byte) ([]store.Item, error) {
			items, err := f.Store.Get(ctx, keys...)
			return slices.DeleteFunc(items, func(it store.Item) bool { return it.Version == 0 }), err
		}
	}},
	{"a put of nil deletes", "GetReturnsAnItemForEachKey", func(f *faulty) {
		f.commit = func(ctx context.Context, b *store.Batch) (store.Version, error) {
			b = clone(b)
			for i := range b.Ops {
				b.Ops[i].Delete = b.Ops[i].Delete || b.Ops[i].Value == nil
			}
			return f.Store.Commit(ctx, b)
		}
	}},
	{"an empty value is nil", "GetReturnsAnItemForEachKey", func(f *faulty) {
		f.get = func(ctx context.Context, keys [][]byte) ([]store.Item, error) {
			items, err := f.Store.Get(ctx, keys...)
			for i := range items {
				if len(items[i].Value) == 0 {
					items[i].Value = nil
				}
			}
			return items, err
		}
	}},
	{"keys are compared without case", "KeysAreComparedAsBytes", func(f *faulty) {
		f.page = func(ctx context.Context, p store.Page) ([]store.Item, error) {
			items, err := f.Store.Page(ctx, p)
			slices.SortStableFunc(items, func(a, b store.Item) int {
				return strings.Compare(strings.ToLower(string(a.Key)), strings.ToLower(string(b.Key)))
			})
			return items, err
		}
	}},
	{"a page has its upper bound", "PageReadsARange", func(f *faulty) {
		f.page = func(ctx context.Context, p store.Page) ([]store.Item, error) {
			if p.Hi != nil {
				p.Hi = append(slices.Clone(p.Hi), 0)
			}
			return f.Store.Page(ctx, p)
		}
	}},
	{"values of a page stand in Room", "PageReadsARange", func(f *faulty) {
		f.page = func(ctx context.Context, p store.Page) ([]store.Item, error) {
			items, err := f.Store.Page(ctx, p)
			for i := range items[len(p.Into):] {
				if it := &items[len(p.Into)+i]; len(it.Value) <= cap(p.Room)-len(p.Room) {
					p.Room = append(p.Room, it.Value...)
					it.Value = p.Room[len(p.Room)-len(it.Value):]
				}
			}
			return items, err
		}
	}},
	{"a page does not look at Into", "PageReadsARange", func(f *faulty) {
		f.page = func(ctx context.Context, p store.Page) ([]store.Item, error) {
			p.Into = nil
			return f.Store.Page(ctx, p)
		}
	}},
	{"a reverse page is the first page turned round", "PageReadsARange", func(f *faulty) {
		f.page = func(ctx context.Context, p store.Page) ([]store.Item, error) {
			reverse := p.Reverse
			p.Reverse = false
			items, err := f.Store.Page(ctx, p)
			if reverse {
				slices.Reverse(items)
			}
			return items, err
		}
	}},
	{"a page of keys only has values", "PageReadsARange", func(f *faulty) {
		f.page = func(ctx context.Context, p store.Page) ([]store.Item, error) {
			p.KeysOnly = false
			return f.Store.Page(ctx, p)
		}
	}},
	{"the version is read before the page", "PageAndVersionIsPageWithAVersion", func(f *faulty) {
		f.pageAndVersion = func(ctx context.Context, p store.Page, key []byte) ([]store.Item, store.Version, error) {
			of, err := f.Get(ctx, key)
			if err != nil {
				return nil, 0, err
			}
			runtime.Gosched()
			items, err := f.Page(ctx, p)
			return items, of[0].Version, err
		}
	}},
	{"an entry without a document is left out", "PageFollowsEntriesToDocuments", func(f *faulty) {
		f.page = func(ctx context.Context, p store.Page) ([]store.Item, error) {
			items, err := f.Store.Page(ctx, p)
			return slices.DeleteFunc(items, func(it store.Item) bool { return it.Version == 0 }), err
		}
	}},
	{"keys that come out are those that went in", "BytesThatGoInAreTheCallersAgain", func(f *faulty) {
		f.get = func(ctx context.Context, keys [][]byte) ([]store.Item, error) {
			items, err := f.Store.Get(ctx, keys...)
			for i := range items {
				items[i].Key = keys[i]
			}
			return items, err
		}
	}},
	{"values are handed out in a buffer that is used again", "BytesThatComeOutStayAsTheyAre", func(f *faulty) {
		buffer := make([]byte, 0, 1000)
		f.get = func(ctx context.Context, keys [][]byte) ([]store.Item, error) {
			items, err := f.Store.Get(ctx, keys...)
			for i, it := range items {
				if it.Value != nil {
					items[i].Value = append(buffer[:0], it.Value...)
				}
			}
			return items, err
		}
	}},
	{"a key that is made anew begins at its first version", "VersionsAreNeverGivenTwice", func(f *faulty) {
		f.commit = func(ctx context.Context, b *store.Batch) (store.Version, error) {
			v, err := f.Store.Commit(ctx, b)
			return v%3 + 1, err
		}
	}},
	{"versions count down", "VersionsAreNeverGivenTwice", func(f *faulty) {
		f.commit = func(ctx context.Context, b *store.Batch) (store.Version, error) {
			v, err := f.Store.Commit(ctx, b)
			return 1<<40 - v, err
		}
		f.get = func(ctx context.Context, keys [][]byte) ([]store.Item, error) {
			items, err := f.Store.Get(ctx, keys...)
			for i, it := range items {
				if it.Version != 0 {
					items[i].Version = 1<<40 - it.Version
				}
			}
			return items, err
		}
	}},
	{"reads are one commit behind", "ReadsSeeEveryAcknowledgedCommit", func(f *faulty) {
		last := []store.Item{{Key: []byte("k")}}
		f.get = func(ctx context.Context, keys [][]byte) (items []store.Item, err error) {
			items = last
			last, err = f.Store.Get(ctx, keys...)
			return items, err
		}
	}},
	{"a snapshot reads the newest state", "SnapshotIsOneState", func(f *faulty) {
		f.snapshot = func(_ context.Context, do func(store.SnapshotReader) error) error {
			return do(liveReader{f.Store, "token"})
		}
	}},
	{"a snapshot is taken when it is read for the first time", "SnapshotIsOneState", func(f *faulty) {
		f.snapshot = func(ctx context.Context, do func(store.SnapshotReader) error) error {
			lazy := lateReader{f.Store, new(sync.Once), make(chan store.SnapshotReader), make(chan struct{})}
			defer close(lazy.done)
			return do(lazy)
		}
	}},
	{"commits wait for snapshots", "SnapshotIsOneState", func(f *faulty) {
		var mu sync.Mutex
		f.snapshot = func(ctx context.Context, do func(store.SnapshotReader) error) error {
			mu.Lock()
			defer mu.Unlock()
			return f.Store.Snapshot(ctx, do)
		}
		f.commit = func(ctx context.Context, b *store.Batch) (store.Version, error) {
			mu.Lock()
			defer mu.Unlock()
			return f.Store.Commit(ctx, b)
		}
	}},
	{"a snapshot reads the newest state", "CommitsAreAtomicForReaders", func(f *faulty) {
		f.snapshot = func(_ context.Context, do func(store.SnapshotReader) error) error {
			return do(liveReader{f.Store, "token"})
		}
	}},
	{"a snapshot wraps the error", "SnapshotReturnsTheErrorOfItsFunction", func(f *faulty) {
		f.snapshot = func(ctx context.Context, do func(store.SnapshotReader) error) error {
			if err := f.Store.Snapshot(ctx, do); err != nil {
				return fmt.Errorf("snapshot: %w", err)
			}
			return nil
		}
	}},
	{"guards are not looked at", "GuardsDecide", func(f *faulty) {
		f.commit = func(ctx context.Context, b *store.Batch) (store.Version, error) {
			b = clone(b)
			for i := range b.Ops {
				b.Ops[i].Guard = store.Guard{}
			}
			return f.Store.Commit(ctx, b)
		}
	}},
	{"guards of deletes are not looked at", "GuardsDecide", func(f *faulty) {
		f.commit = func(ctx context.Context, b *store.Batch) (store.Version, error) {
			b = clone(b)
			for i := range b.Ops {
				if b.Ops[i].Delete {
					b.Ops[i].Guard = store.Guard{}
				}
			}
			return f.Store.Commit(ctx, b)
		}
	}},
	{"operations are applied one by one", "ConflictChangesNothing", oneByOne},
	{"operations are applied one by one", "CommitsAreAtomicForReaders", oneByOne},
	{"checks are not looked at", "ChecksAndFencesDecide", func(f *faulty) {
		f.commit = func(ctx context.Context, b *store.Batch) (store.Version, error) {
			b = clone(b)
			b.Checks = nil
			return f.Store.Commit(ctx, b)
		}
	}},
	{"fences are not looked at", "ChecksAndFencesDecide", func(f *faulty) {
		f.commit = func(ctx context.Context, b *store.Batch) (store.Version, error) {
			b = clone(b)
			b.Fences = nil
			return f.Store.Commit(ctx, b)
		}
	}},
	{"checks are made before the commit", "ChecksRefuseWriteSkew", early(func(b *store.Batch) *[]store.Check { return &b.Checks })},
	{"fences are checked before the commit", "FencesStopWhatCameBefore", early(func(b *store.Batch) *[]store.Check { return &b.Fences })},
	{"range checks are not looked at", "RangeChecksDecide", noRanges},
	{"range checks are not looked at", "RangeChecksRefusePhantoms", noRanges},
	{"range checks are taken and not declared", "RangeChecksDecide", func(f *faulty) {
		f.limits = func(l *store.Limits) { l.RangeChecks = false }
	}},
	{"batches are put in order", "BadBatchesAreRefused", func(f *faulty) {
		f.commit = func(ctx context.Context, b *store.Batch) (store.Version, error) {
			b = clone(b)
			slices.SortFunc(b.Ops, func(a, b store.Op) int { return strings.Compare(string(a.Key), string(b.Key)) })
			return f.Store.Commit(ctx, b)
		}
	}},
	{"more operations are taken than declared", "LimitsAreKept", func(f *faulty) {
		f.limits = func(l *store.Limits) { l.Ops = 100 }
	}},
	{"longer values are taken than declared", "LimitsAreKept", func(f *faulty) {
		f.limits = func(l *store.Limits) { l.Value = 64 << 10 }
	}},
	{"values of 64 KiB are not taken", "LimitsAreKept", func(f *faulty) {
		f.limits = func(l *store.Limits) { l.Value = 1000 }
	}},
	{"the end of the context is told after the commit was applied", "EndOfContextEndsTheWait", func(f *faulty) {
		f.commit = func(c context.Context, b *store.Batch) (store.Version, error) {
			v, err := f.Store.Commit(ctx, b)
			return v, errors.Join(err, c.Err())
		}
	}},
	{"the end of the context has an error of its own", "EndOfContextEndsTheWait", func(f *faulty) {
		f.commit = func(c context.Context, b *store.Batch) (store.Version, error) {
			if c.Err() != nil {
				return 0, errors.New("too late")
			}
			return f.Store.Commit(c, b)
		}
	}},
	{"hooks are called twice", "HooksSeeEveryCommitInOrder", func(f *faulty) {
		f.hook = func(call func(*store.Batch, store.Version)) func() {
			return f.Store.OnPublish(func(b *store.Batch, v store.Version) { call(b, v); call(b, v) })
		}
	}},
	{"hooks are not taken away", "HooksSeeEveryCommitInOrder", func(f *faulty) {
		f.hook = func(call func(*store.Batch, store.Version)) func() {
			f.Store.OnPublish(call)
			return func() {}
		}
	}},
	{"hooks are called and not declared", "HooksSeeEveryCommitInOrder", func(f *faulty) {
		f.limits = func(l *store.Limits) { l.Coherent = false }
	}},
	{"hooks are called after the commit", "HooksRunAtTheMomentOfPublishing", func(f *faulty) {
		var mu sync.Mutex
		var hooks []func(*store.Batch, store.Version)
		f.hook = func(call func(*store.Batch, store.Version)) func() {
			hooks = append(hooks, call)
			return func() {}
		}
		f.commit = func(ctx context.Context, b *store.Batch) (store.Version, error) {
			mu.Lock()
			defer mu.Unlock()
			v, err := f.Store.Commit(ctx, b)
			for _, h := range hooks {
				h(b, v)
			}
			return v, err
		}
	}},
	{"Cached is asked and not declared", "CachedReplacesReading", func(f *faulty) {
		f.limits = func(l *store.Limits) { l.Coherent = false }
	}},
	{"Cached is not asked", "CachedReplacesReading", func(f *faulty) {
		f.page = func(ctx context.Context, p store.Page) ([]store.Item, error) {
			p.Cached = nil
			return f.Store.Page(ctx, p)
		}
	}},
	{"a snapshot takes what is newer from the cache", "CachedReplacesReading", func(f *faulty) {
		f.snapshot = func(ctx context.Context, do func(store.SnapshotReader) error) error {
			return f.Store.Snapshot(ctx, func(r store.SnapshotReader) error { return do(cachingReader{r}) })
		}
	}},
	{"Cached is asked after the page was read", "CachedPagesAgreeWithTheirEntries", func(f *faulty) {
		f.page = func(ctx context.Context, p store.Page) ([]store.Item, error) { return lateCached(f.Store, ctx, p) }
	}},
	{"every tenth event is left out", "WatchTellsOfEveryChange", func(f *faulty) {
		f.watch = func(ctx context.Context, from store.Token, prefix []byte) iter.Seq2[store.Event, error] {
			n := 0
			return events(f.Store.Watch(ctx, from, prefix), func(*store.Event) bool { n++; return n%10 != 0 })
		}
	}},
	{"deletes are told as puts", "WatchTellsOfEveryChange", func(f *faulty) {
		f.watch = func(ctx context.Context, from store.Token, prefix []byte) iter.Seq2[store.Event, error] {
			return events(f.Store.Watch(ctx, from, prefix), func(e *store.Event) bool { e.Kind = store.EventPut; return true })
		}
	}},
	{"the prefix is not looked at", "WatchTellsOfEveryChange", func(f *faulty) {
		f.watch = func(ctx context.Context, from store.Token, prefix []byte) iter.Seq2[store.Event, error] {
			return f.Store.Watch(ctx, from, nil)
		}
	}},
	{"an event has the token after the next one", "WatchGoesOnFromAToken", func(f *faulty) {
		f.watch = func(ctx context.Context, from store.Token, prefix []byte) iter.Seq2[store.Event, error] {
			return events(f.Store.Watch(ctx, from, prefix), func(e *store.Event) bool {
				err := f.Store.Snapshot(ctx, func(r store.SnapshotReader) error { e.Token = r.Token(); return nil })
				return err == nil
			})
		}
	}},
	{"a snapshot has the token of the store's beginning", "WatchGoesOnFromAToken", func(f *faulty) {
		var first store.Token
		f.snapshot = func(ctx context.Context, do func(store.SnapshotReader) error) error {
			return f.Store.Snapshot(ctx, func(r store.SnapshotReader) error {
				if first == "" {
					first = r.Token()
				}
				return do(tokenReader{r, first})
			})
		}
	}},
	{"a foreign token means from now", "WatchResyncsInsteadOfLeavingAGap", func(f *faulty) {
		f.watch = func(ctx context.Context, from store.Token, prefix []byte) iter.Seq2[store.Event, error] {
			first := true
			return events(f.Store.Watch(ctx, from, prefix), func(e *store.Event) bool {
				keep := !first || e.Kind != store.EventResync
				first = false
				return keep
			})
		}
	}},
	{"the end of the context is the end, without an error", "WatchEndsWithItsContext", func(f *faulty) {
		f.watch = func(ctx context.Context, from store.Token, prefix []byte) iter.Seq2[store.Event, error] {
			return func(yield func(store.Event, error) bool) {
				for e, err := range f.Store.Watch(ctx, from, prefix) {
					if err != nil || !yield(e, nil) {
						return
					}
				}
			}
		}
	}},
	{"watchers are told while commits wait", "SlowWatcherHoldsUpNobody", func(f *faulty) {
		var mu sync.Mutex
		f.watch = func(ctx context.Context, from store.Token, prefix []byte) iter.Seq2[store.Event, error] {
			return func(yield func(store.Event, error) bool) {
				for e, err := range f.Store.Watch(ctx, from, prefix) {
					mu.Lock()
					more := yield(e, err)
					mu.Unlock()
					if !more {
						return
					}
				}
			}
		}
		f.commit = func(ctx context.Context, b *store.Batch) (store.Version, error) {
			mu.Lock()
			defer mu.Unlock()
			return f.Store.Commit(ctx, b)
		}
	}},
	{"the last event of a burst is lost", "WatchersEndWithTheStoresPicture", func(f *faulty) {
		f.watch = func(ctx context.Context, from store.Token, prefix []byte) iter.Seq2[store.Event, error] {
			last := make(map[string]bool)
			return events(f.Store.Watch(ctx, from, prefix), func(e *store.Event) bool {
				seen := last[string(e.Key)]
				last[string(e.Key)] = true
				return !seen || !strings.HasPrefix(string(e.Key), "w/1/")
			})
		}
	}},
	{"a closed store reads on", "CloseEndsEverything", func(f *faulty) {
		f.get = func(ctx context.Context, keys [][]byte) ([]store.Item, error) {
			items, err := f.Store.Get(ctx, keys...)
			if errors.Is(err, store.ErrClosed) {
				return make([]store.Item, len(keys)), nil
			}
			return items, err
		}
	}},
	{"the second Close is an error", "CloseEndsEverything", func(f *faulty) {
		var closed atomic.Bool
		f.close = func() error {
			if closed.Swap(true) {
				return store.ErrClosed
			}
			return f.Store.Close()
		}
	}},
	{"one guard in ten is overlooked", "CountersLoseNothing", func(f *faulty) {
		var n atomic.Int64
		f.commit = func(ctx context.Context, b *store.Batch) (store.Version, error) {
			if n.Add(1)%10 == 0 {
				b = clone(b)
				for i := range b.Ops {
					b.Ops[i].Guard = store.Guard{}
				}
			}
			return f.Store.Commit(ctx, b)
		}
	}},
	{"commits with the same fence wait for none and conflict", "FencesAreShared", func(f *faulty) {
		var busy atomic.Bool
		f.commit = func(ctx context.Context, b *store.Batch) (store.Version, error) {
			if len(b.Fences) > 0 {
				if busy.Swap(true) {
					return 0, &store.ConflictError{Key: b.Fences[0].Key}
				}
				defer busy.Store(false)
				time.Sleep(50 * time.Microsecond) // a commit that takes its time
			}
			return f.Store.Commit(ctx, b)
		}
	}},
	{"deletes of long keys are forgotten", "RandomOperationsMatchAMap", func(f *faulty) {
		f.commit = func(ctx context.Context, b *store.Batch) (store.Version, error) {
			b = clone(b)
			b.Ops = slices.DeleteFunc(b.Ops, func(op store.Op) bool { return op.Delete && len(op.Key) > 15 })
			return f.Store.Commit(ctx, b)
		}
	}},
	{"a reopened store has lost a key", "ReopenedStoreHasEverything", func(*faulty) {}},
}

func oneByOne(f *faulty) {
	f.commit = func(ctx context.Context, b *store.Batch) (v store.Version, err error) {
		for _, op := range b.Ops {
			c := *b
			c.Ops = []store.Op{op}
			if v, err = f.Store.Commit(ctx, &c); err != nil {
				return 0, err
			}
		}
		return v, nil
	}
}

// early checks a list of conditions before the commit, and then commits without them.
func early(list func(b *store.Batch) *[]store.Check) func(f *faulty) {
	return func(f *faulty) {
		f.commit = func(ctx context.Context, b *store.Batch) (store.Version, error) {
			b = clone(b)
			conditions := list(b)
			if _, err := f.Store.Commit(ctx, &store.Batch{Checks: *conditions}); err != nil {
				return 0, err
			}
			time.Sleep(50 * time.Microsecond) // the moment in which something else is committed
			*conditions = nil
			return f.Store.Commit(ctx, b)
		}
	}
}

func noRanges(f *faulty) {
	f.commit = func(ctx context.Context, b *store.Batch) (store.Version, error) {
		b = clone(b)
		b.Ranges = nil
		return f.Store.Commit(ctx, b)
	}
}

// A cachingReader takes whatever Cached answers.
type cachingReader struct{ store.SnapshotReader }

func (r cachingReader) Page(ctx context.Context, p store.Page) ([]store.Item, error) {
	return lateCached(r.SnapshotReader, ctx, p)
}

func lateCached(r store.Reader, ctx context.Context, p store.Page) ([]store.Item, error) {
	cached := p.Cached
	p.Cached = nil
	items, err := r.Page(ctx, p)
	if cached == nil {
		return items, err
	}
	for i := range items[len(p.Into):] {
		it := &items[len(p.Into)+i]
		if decoded, v, ok := cached(it.Key); ok {
			it.Decoded, it.Version, it.Value = decoded, v, nil
		}
	}
	return items, err
}

// plantedEnv makes a process of this test run the suite on a store with the mistake of that number.
const plantedEnv = "KIXX_STORETEST_PLANTED"

// TestPlanted is run by TestSuiteFindsPlantedMistakes, in processes of its own, and must fail there.
func TestPlanted(t *testing.T) {
	var n int
	if _, err := fmt.Sscan(os.Getenv(plantedEnv), &n); err != nil {
		t.Skip("run by TestSuiteFindsPlantedMistakes")
	}
	patience = time.Second
	open := func(*testing.T) store.Store {
		f := &faulty{Store: memory()}
		planted[n].plant(f)
		return f
	}
	Run(t, open, Options{Reopen: func(t *testing.T, s store.Store) store.Store {
		items, err := s.Page(ctx, store.Page{Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range items {
			if _, err := s.Commit(ctx, &store.Batch{Ops: []store.Op{{Key: it.Key, Delete: true}}}); err != nil {
				t.Fatal(err)
			}
		}
		return s
	}})
}

// TestSuiteFindsPlantedMistakes shows that each clause can fail: it is what stands between a store and its mistakes.
func TestSuiteFindsPlantedMistakes(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	found := make(map[string]int)
	var next atomic.Int64
	together(2, func(int) {
		for n := int(next.Add(1)) - 1; n < len(planted); n = int(next.Add(1)) - 1 {
			p := planted[n]
			// Some of them need a coincidence, which a busy machine may take away: a second try is allowed, and a third.
			for try := 1; ; try++ {
				c, cancel := context.WithTimeout(ctx, time.Minute)
				cmd := exec.CommandContext(c, self, "-test.run=^TestPlanted$/^"+p.clause+"$", "-test.timeout=50s")
				cmd.Env = append(os.Environ(), fmt.Sprint(plantedEnv, "=", n))
				out, err := cmd.CombinedOutput()
				cancel()
				if err == nil && try < 3 {
					continue
				}
				if err == nil {
					t.Errorf("%q is not found by %s", p.name, p.clause)
				} else if !strings.Contains(string(out), "--- FAIL: TestPlanted/"+p.clause) {
					t.Errorf("%q: the process failed otherwise: %v\n%.2000s", p.name, err, out)
				} else {
					mu.Lock()
					found[p.clause]++
					mu.Unlock()
				}
				break
			}
		}
	})
	t.Logf("%d of %d planted mistakes found", sum(found), len(planted))
	for _, c := range clauses {
		if found[c.name] == 0 {
			t.Errorf("no mistake is planted for %s", c.name)
		}
	}
}

func sum(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

// TestReopenedStore runs the suite on a store that lives on over Reopen.
func TestReopenedStore(t *testing.T) {
	reopened := 0
	Run(t, func(*testing.T) store.Store { return memory() }, Options{Seed: 7, Reopen: func(_ *testing.T, s store.Store) store.Store {
		reopened++
		return s
	}})
	if reopened == 0 {
		t.Error("the suite never reopened the store")
	}
}
