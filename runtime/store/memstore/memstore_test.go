package memstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ctx = context.Background()

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return New(store.Options{}) }, storetest.Options{})
}

func TestEachOpeningIsAStoreOfItsOwn(t *testing.T) {
	var open []store.Store
	for _, url := range []string{"mem:", "mem:", "mem:name", "mem:name"} {
		s, err := store.Open(ctx, url, store.Options{})
		if err != nil {
			t.Fatalf("Open(%q) = %v", url, err)
		}
		defer s.Close()
		for _, other := range open {
			if other == s {
				t.Errorf("Open(%q) returned a store that was opened before", url)
			}
		}
		open = append(open, s)
		items, err := s.Page(ctx, store.Page{Limit: 1})
		if err != nil || len(items) != 0 {
			t.Errorf("Open(%q) returned a store with %d keys, %v; want an empty one", url, len(items), err)
		}
		put(t, s, "k", nil)
	}
}

func put(t testing.TB, s store.Store, key string, value []byte) store.Version {
	t.Helper()
	v, err := s.Commit(ctx, &store.Batch{Ops: []store.Op{{Key: []byte(key), Value: value}}})
	if err != nil {
		t.Fatalf("Commit(put %q) = %v", key, err)
	}
	return v
}

func token(t testing.TB, s store.Store) (at store.Token) {
	t.Helper()
	if err := s.Snapshot(ctx, func(r store.SnapshotReader) error { at = r.Token(); return nil }); err != nil {
		t.Fatal(err)
	}
	return at
}

// holds reports whether the history from a token on is still there: for a range check, and for a watcher.
func holds(t *testing.T, s store.Store, from store.Token) bool {
	t.Helper()
	_, err := s.Commit(ctx, &store.Batch{
		Ops:    []store.Op{{Key: []byte("check"), Delete: true}},
		Ranges: []store.RangeCheck{{Lo: []byte("untouched"), Hi: []byte("v"), Token: from}},
	})
	if err != nil && !errors.Is(err, store.ErrConflict) {
		t.Fatalf("Commit = %v", err)
	}
	put(t, s, "after", nil) // so that the watcher has an event in any case
	for e, watchErr := range s.Watch(ctx, from, nil) {
		if watchErr != nil {
			t.Fatalf("Watch = %v", watchErr)
		}
		if resync := e.Kind == store.EventResync; resync == (err == nil) {
			t.Errorf("a watch from the token was told to resync: %v; a range check with it = %v", resync, err)
		}
		break
	}
	return err == nil
}

func TestHistoryIsKeptFor5SecondsOr16MiB(t *testing.T) {
	const mib = 1 << 20
	type step struct {
		wait time.Duration
		size int
	}
	for _, c := range []struct {
		name  string
		steps []step // what comes after the token
		want  bool
	}{
		{"young and small", []step{{0, 1}}, true},
		{"old and small", []step{{0, 1}, {time.Hour, 1}, {time.Hour, 15 * mib}}, true},
		{"young and large", []step{{0, 10 * mib}, {time.Second, 10 * mib}, {time.Second, 10 * mib}}, true},
		{"old and large", []step{{0, 10 * mib}, {4 * time.Second, 10 * mib}, {2 * time.Second, 10 * mib}}, false},
		{"exactly 5 seconds and large", []step{{0, 10 * mib}, {4 * time.Second, 10 * mib}, {time.Second, 10 * mib}}, true},
		{"clock turned back and large", []step{{0, 10 * mib}, {-time.Hour, 10 * mib}, {0, 10 * mib}}, true},
	} {
		now := time.Unix(1000, 0)
		s := New(store.Options{Now: func() time.Time { return now }})
		put(t, s, "before", nil)
		from := token(t, s)
		for i, st := range c.steps {
			now = now.Add(st.wait)
			put(t, s, fmt.Sprint("k", i%2), make([]byte, st.size))
		}
		if got := holds(t, s, from); got != c.want {
			t.Errorf("%s: the history since the token is there: %v, want %v", c.name, got, c.want)
		}
		if !holds(t, s, token(t, s)) && !c.want {
			t.Errorf("%s: the newest token does not hold", c.name)
		}
		s.Close()
	}
}

func TestHistoryNeverTakesMoreThan256MiB(t *testing.T) {
	if os.Getenv("KIXX_CI") == "" && os.Getenv("KIXX_LONG") == "" {
		t.Skip("writes 300 MiB; set KIXX_CI=1")
	}
	now := time.Unix(1000, 0)
	s := New(store.Options{Now: func() time.Time { return now }})
	defer s.Close()
	value := make([]byte, limits.Value)
	from := token(t, s)
	for range keepMost/limits.Value + 3 {
		put(t, s, "k", value)
	}
	if holds(t, s, from) {
		t.Error("the history of more than 256 MiB of the same second is there")
	}
	if s.size > keepMost+2*limits.Value {
		t.Errorf("the history has %d bytes", s.size)
	}
}

// TestLogIsInOrder checks invariant 3 of Store after many changes and much forgetting.
func TestLogIsInOrder(t *testing.T) {
	now := time.Unix(1000, 0)
	s := New(store.Options{Now: func() time.Time { return now }})
	defer s.Close()
	value := make([]byte, 1<<20)
	for i := range 200 {
		now = now.Add(time.Second)
		b := &store.Batch{Ops: []store.Op{{Key: []byte("a"), Delete: i%2 == 0}, {Key: []byte("b"), Value: value}, {Key: []byte("nothing"), Delete: true}}}
		if _, err := s.Commit(ctx, b); err != nil {
			t.Fatal(err)
		}
		size, last := 0, s.dropped
		for _, c := range s.log {
			size += len(c.key) + len(c.value)
			if c.pos <= last || c.pos > s.pos {
				t.Fatalf("after commit %d: position %d follows %d, the newest is %d", i, c.pos, last, s.pos)
			}
			last = c.pos
		}
		if size != s.size {
			t.Fatalf("after commit %d: the log has %d bytes, counted as %d", i, size, s.size)
		}
		if size > keepBytes+2<<20 {
			t.Fatalf("after commit %d: the log has %d bytes of changes older than 5 seconds", i, size)
		}
	}
	if s.dropped == 0 {
		t.Error("nothing was forgotten")
	}
}

func TestDeletingAnAbsentKeyIsNoChange(t *testing.T) {
	s := New(store.Options{})
	defer s.Close()
	from := token(t, s)
	if _, err := s.Commit(ctx, &store.Batch{Ops: []store.Op{{Key: []byte("untouched"), Delete: true}}}); err != nil {
		t.Fatal(err)
	}
	put(t, s, "other", nil)
	if !holds(t, s, from) {
		t.Error("a range check conflicts with the deletion of a key that was absent")
	}
}

func TestSnapshotIsRefusedAfterItsEnd(t *testing.T) {
	s := New(store.Options{})
	defer s.Close()
	var kept store.SnapshotReader
	if err := s.Snapshot(ctx, func(r store.SnapshotReader) error { kept = r; return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := kept.Get(ctx, []byte("k")); err == nil {
		t.Error("Get of a snapshot that has ended is no error")
	}
	if _, err := kept.Page(ctx, store.Page{Limit: 1}); err == nil {
		t.Error("Page of a snapshot that has ended is no error")
	}
}

func TestSnapshotsBetweenTwoCommitsShareACopy(t *testing.T) {
	s := New(store.Options{})
	defer s.Close()
	put(t, s, "k", nil)
	a, err := s.snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := s.snapshot(ctx); a != b {
		t.Error("two snapshots with no commit between them made two copies")
	}
	put(t, s, "k", nil)
	if b, _ := s.snapshot(ctx); a == b {
		t.Error("a snapshot after a commit is the one from before it")
	}
}

func TestHookThatPanicsLeavesTheStoreUsable(t *testing.T) {
	s := New(store.Options{})
	defer s.Close()
	cancel := s.OnPublish(func(*store.Batch, store.Version) { panic("a mistake in a hook") })
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic of a hook got lost")
			}
		}()
		put(t, s, "k", nil)
	}()
	cancel()
	put(t, s, "k", nil)
}

// filled returns a store of n documents d/… and as many entries e/… that lead to them in another order.
func filled(t testing.TB, n int) *Store {
	s := New(store.Options{})
	for i := range n {
		key := fmt.Appendf(nil, "d/%07d", i)
		_, err := s.Commit(ctx, &store.Batch{Ops: []store.Op{
			{Key: key, Value: make([]byte, 300)},
			{Key: fmt.Appendf(nil, "e/%07d", i*7919%n), Value: key},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestPageAllocatesNothingForAnItem(t *testing.T) {
	s := filled(t, 2000)
	defer s.Close()
	decoded := any("decoded")
	cached := func([]byte) (any, store.Version, bool) { return decoded, 1, true }
	into := make([]store.Item, 0, 2000)
	lo, hi := []byte("e/"), []byte("e0")
	for _, c := range []struct {
		name string
		page store.Page
	}{
		{"", store.Page{}},
		{"deref", store.Page{Deref: true}},
		{"deref, cached", store.Page{Deref: true, Cached: cached}},
		{"deref, reverse", store.Page{Deref: true, Reverse: true}},
	} {
		measure := func(limit int) float64 {
			p := c.page
			p.Lo, p.Hi, p.Limit, p.Into = lo, hi, limit, into
			return testing.AllocsPerRun(50, func() {
				if items, err := s.Page(ctx, p); err != nil || len(items) != limit {
					t.Fatalf("Page = %d items, %v", len(items), err)
				}
			})
		}
		few, many := measure(1), measure(1000)
		if few != many || few > 4 {
			t.Errorf("page %s: %v allocations for 1 item, %v for 1000; want the same, and at most 4", c.name, few, many)
		}
		t.Logf("page %s: %v allocations", c.name, many)
	}
}

func BenchmarkGet(b *testing.B) {
	s := filled(b, 100_000)
	defer s.Close()
	key := make([]byte, 9)
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		i = (i + 7919) % 100_000
		key = fmt.Appendf(key[:0], "d/%07d", i)
		if _, err := s.Get(ctx, key); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPage20(b *testing.B) {
	s := filled(b, 100_000)
	defer s.Close()
	decoded := any("decoded")
	cached := func([]byte) (any, store.Version, bool) { return decoded, 1, true }
	for _, c := range []struct {
		name string
		page store.Page
	}{{"read", store.Page{Deref: true}}, {"cached", store.Page{Deref: true, Cached: cached}}} {
		b.Run(c.name, func(b *testing.B) {
			p := c.page
			p.Hi, p.Limit, p.Into = []byte("e0"), 20, make([]store.Item, 0, 20)
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				i = (i + 7919) % 99_000
				p.Lo = fmt.Appendf(p.Lo[:0], "e/%07d", i)
				if items, err := s.Page(ctx, p); err != nil || len(items) != 20 {
					b.Fatal(len(items), err)
				}
			}
		})
	}
}

func BenchmarkCommit(b *testing.B) {
	s := filled(b, 100_000)
	defer s.Close()
	value := make([]byte, 300)
	batch := &store.Batch{Ops: []store.Op{{Value: value}}}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		i = (i + 7919) % 100_000
		batch.Ops[0].Key = fmt.Appendf(batch.Ops[0].Key[:0], "d/%07d", i)
		if _, err := s.Commit(ctx, batch); err != nil {
			b.Fatal(err)
		}
	}
}
