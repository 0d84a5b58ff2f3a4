package kixx_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	"github.com/kixxgen/kixxgen/runtime/internal/repotest"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
	"github.com/kixxgen/kixxgen/runtime/store/filestore/simfs"
	"github.com/kixxgen/kixxgen/runtime/store/memstore"
)

// since returns what the cache has counted since before.
func since(db *kixx.DB, before kixx.CacheStats) string {
	now := db.Stats().Cache
	return fmt.Sprintf("%d hits, %d misses", now.Hits-before.Hits, now.Misses-before.Misses)
}

func TestStatsCountTheCache(t *testing.T) {
	ctx := t.Context()
	db := must[*kixx.DB](t)(kixx.Open(ctx, "mem:", kixx.WithCacheBytes(1<<20)))
	defer db.Close()
	items := newItems(t, db)
	shelf(t, items, 30)
	if c := db.Stats().Cache; c.Documents != 30 || c.Bytes < 30*200 || c.Budget != 1<<20 {
		t.Errorf("with 30 documents the cache has %+v", c)
	}
	snapshot := func(f func(*kinds.ItemRepo)) {
		if err := db.Snapshot(ctx, func(_ context.Context, s *kixx.Snapshot) error { f(items.With(s)); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	change := func(it *kinds.Item) error { it.Price++; return nil }
	for _, c := range []struct {
		name string
		do   func()
		want string
	}{
		{"three Gets", func() { items.Get(ctx, "item:001"); items.Get(ctx, "item:002"); items.Get(ctx, "item:001") }, "3 hits, 0 misses"},
		{"a Get of what is not there", func() { items.Get(ctx, "none") }, "0 hits, 1 misses"},
		{"a Peek", func() { items.Peek(ctx, "item:001") }, "1 hits, 0 misses"},
		{"Has", func() { items.Has(ctx, "item:001"); items.Has(ctx, "none") }, "1 hits, 1 misses"},
		{"a page", func() { items.QueryByCategory("c1").Limit(4).Page(ctx) }, "5 hits, 0 misses"}, // one more than the page shows
		{"keys", func() { items.QueryByCategory("c1").Limit(4).Keys(ctx) }, "0 hits, 0 misses"},
		{"an update", func() { items.Update(ctx, "item:003", change) }, "1 hits, 0 misses"},
		{"a Get in a snapshot", func() { snapshot(func(items *kinds.ItemRepo) { items.Get(ctx, "item:004") }) }, "1 hits, 0 misses"},
	} {
		before := db.Stats().Cache
		c.do()
		if got := since(db, before); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// A document that a page has to read is one miss, and is there the next time.
func TestStatsCountAPageOnce(t *testing.T) {
	ctx := t.Context()
	st := memstore.New(store.Options{})
	defer st.Close()
	db := must[*kixx.DB](t)(kixx.OpenStore(ctx, repotest.KeepOpen{Store: st}))
	shelf(t, newItems(t, db), 9)
	db.Close()
	db = must[*kixx.DB](t)(kixx.OpenStore(ctx, repotest.KeepOpen{Store: st}))
	defer db.Close()
	items := newItems(t, db)
	for _, want := range []string{"0 hits, 3 misses", "3 hits, 0 misses"} {
		before := db.Stats().Cache
		items.QueryByCategory("c1").Page(ctx)
		if got := since(db, before); got != want {
			t.Errorf("a page of 3 documents: %s, want %s", got, want)
		}
	}
}

// Hits are counted many at a time, when there are many.
func TestStatsLoseFewHits(t *testing.T) {
	db := must[*kixx.DB](t)(kixx.Open(t.Context(), "mem:"))
	defer db.Close()
	items := newItems(t, db)
	shelf(t, items, 1)
	before := db.Stats().Cache.Hits
	const n = 20_000
	for range n {
		items.Get(t.Context(), "item:000")
	}
	got := db.Stats().Cache.Hits - before
	// A pool forgets what it is given when memory is collected, and under the race detector now and then.
	if least := uint64(n - n/20); got > n || got < least && !raceEnabled {
		t.Errorf("%d Gets of cached documents were counted as %d hits", n, got)
	}
}

func TestStatsCountEvictions(t *testing.T) {
	db := must[*kixx.DB](t)(kixx.Open(t.Context(), "mem:", kixx.WithCacheBytes(64*2000)))
	defer db.Close()
	items := newItems(t, db)
	shelf(t, items, 500)
	c := db.Stats().Cache
	if c.Evictions == 0 || c.Documents+int(c.Evictions) < 450 || c.Bytes > c.Budget {
		t.Errorf("500 documents in a small cache: %+v", c)
	}
}

func TestStatsCountCommitsAndConflicts(t *testing.T) {
	ctx := t.Context()
	db := must[*kixx.DB](t)(kixx.Open(ctx, "mem:"))
	defer db.Close()
	items := newItems(t, db)
	shelf(t, items, 2)
	before := db.Stats()
	first := true
	must[*kinds.Item](t)(items.Update(ctx, "item:001", func(it *kinds.Item) error {
		if first {
			first = false
			must[*kinds.Item](t)(items.Update(ctx, "item:001", func(it *kinds.Item) error { it.Price = 7; return nil }))
		}
		it.Price++
		return nil
	}))
	now := db.Stats()
	if c, x, r := now.Commits-before.Commits, now.Conflicts-before.Conflicts, now.Retries-before.Retries; c != 2 || x != 1 || r != 1 {
		t.Errorf("an update that was beaten once: %d commits, %d conflicts, %d retries, want 2, 1 and 1", c, x, r)
	}
	before, first = now, true
	if err := db.Tx(ctx, func(_ context.Context, tx *kixx.Tx) error {
		it := must[*kinds.Item](t)(items.With(tx).Get(ctx, "item:000"))
		if first {
			first = false
			must[*kinds.Item](t)(items.Update(ctx, "item:000", func(it *kinds.Item) error { it.Price = 7; return nil }))
		}
		_, err := items.With(tx).Set(ctx, it)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	now = db.Stats()
	if c, x, r := now.Commits-before.Commits, now.Conflicts-before.Conflicts, now.Retries-before.Retries; c != 2 || x != 1 || r != 1 {
		t.Errorf("a transaction that was beaten once: %d commits, %d conflicts, %d retries, want 2, 1 and 1", c, x, r)
	}
}

func TestStatsCountWatchers(t *testing.T) {
	db := must[*kixx.DB](t)(kixx.Open(t.Context(), "mem:"))
	defer db.Close()
	items := newItems(t, db)
	changes := items.Watch(t.Context(), "")
	shelf(t, items, 1)
	for range changes {
		if n := db.Stats().Watchers; n != 1 {
			t.Errorf("in the loop of a watch there are %d watchers", n)
		}
		break
	}
	if n := db.Stats().Watchers; n != 0 {
		t.Errorf("after the loop of a watch there are %d watchers", n)
	}
}

// Stats can be asked for while everything else goes on.
func TestStatsAtAnyTime(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		db := p.DB(t)
		items := newItems(t, db)
		together(4, func(g int) {
			for i := range 20 {
				put(t, items, &kinds.Item{ID: fmt.Sprint(g, i), Title: "t", SKU: fmt.Sprint(g, i), Category: "c"})
				db.Stats()
				if err := db.Health(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
		if s := db.Stats(); s.Commits != 80 {
			t.Errorf("80 documents were written in %d commits", s.Commits)
		}
		db.Close()
		db.Stats()
		if err := db.Health(t.Context()); !errors.Is(err, kixx.ErrClosed) {
			t.Errorf("Health of a closed database = %v", err)
		}
	})
}

// trouble is a store whose reads fail, and that says nothing of its health.
type trouble struct {
	store.Store
	err error
}

func (s *trouble) Get(ctx context.Context, keys ...[]byte) ([]store.Item, error) {
	if s.err != nil {
		return nil, s.err
	}
	return s.Store.Get(ctx, keys...)
}

func TestHealthReadsWhereTheStoreDoesNotSay(t *testing.T) {
	st := &trouble{Store: memstore.New(store.Options{})}
	db := must[*kixx.DB](t)(kixx.OpenStore(t.Context(), st))
	defer db.Close()
	if err := db.Health(t.Context()); err != nil {
		t.Errorf("Health = %v, want nil", err)
	}
	st.err = store.ErrUnavailable
	if err := db.Health(t.Context()); !errors.Is(err, kixx.ErrUnavailable) {
		t.Errorf("Health of a store that cannot be read = %v, want ErrUnavailable", err)
	}
	if s := db.Stats().Store; s != (store.Stats{}) {
		t.Errorf("a store that counts nothing has %+v", s)
	}
}

func TestHealthOfAFullDiskAndAFailedOne(t *testing.T) {
	ctx := t.Context()
	sim := simfs.New()
	st := must[*filestore.Store](t)(filestore.Open(ctx, "sim", filestore.Options{FS: sim}))
	db := must[*kixx.DB](t)(kixx.OpenStore(ctx, st))
	defer db.Close()
	items := newItems(t, db)
	var fault error
	sim.Inject(func(op simfs.Op) *simfs.Fault {
		if fault != nil && (op.Kind == "reserve" || op.Kind == "write" && fault != syscall.ENOSPC) {
			return &simfs.Fault{Err: fault}
		}
		return nil
	})
	large := func(i int) error {
		_, err := items.Insert(ctx, &kinds.Item{ID: fmt.Sprint(i), SKU: fmt.Sprint(i), Title: "t", Category: "c", Tags: []string{strings.Repeat("x", 900)}})
		return err
	}
	if err := large(0); err != nil || db.Health(ctx) != nil {
		t.Fatal(err, db.Health(ctx))
	}
	fault = syscall.ENOSPC
	i := 1
	for ; i < 100_000 && large(i) == nil; i++ { // until what is reserved ahead is used up
	}
	if err := db.Health(ctx); !errors.Is(err, kixx.ErrFull) {
		t.Errorf("on a full disk Health = %v, want ErrFull", err)
	}
	fault = nil
	if err := large(i); err != nil {
		t.Fatal(err)
	}
	if err := db.Health(ctx); err != nil {
		t.Errorf("when there is room again Health = %v", err)
	}
	if s := db.Stats().Store; !strings.Contains(s.LastError, "no space left") {
		t.Errorf("afterwards the last error is %q", s.LastError)
	}
	fault = syscall.EIO
	large(i + 1)
	if err := db.Health(ctx); !errors.Is(err, kixx.ErrFailed) || !strings.Contains(err.Error(), "input/output error") {
		t.Errorf("after a failed write Health = %v, want ErrFailed and why", err)
	}
	fault = nil
}

func ExampleDB_Stats() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	items.Get(ctx, "lamp")
	items.Get(ctx, "sofa") // there is none
	s := db.Stats()
	fmt.Println(s.Cache.Documents, "documents in memory,", s.Cache.Misses > 0, s.Commits > 0, s.Store.MemoryKeys > 0)
	// Output: 3 documents in memory, true true true
}

func ExampleDB_Health() {
	ctx := context.Background()
	db, _ := shelfOf(ctx)
	fmt.Println(db.Health(ctx)) // for a handler of /healthz
	db.Close()
	fmt.Println(errors.Is(db.Health(ctx), kixx.ErrClosed))
	// Output:
	// <nil>
	// true
}
