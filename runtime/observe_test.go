package kixx_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	"github.com/kixxgen/kixxgen/runtime/internal/repotest"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/memstore"
)

// seen collects operations.
type seen struct {
	mu  sync.Mutex
	ops []kixx.Operation
}

func (s *seen) observe(_ context.Context, op kixx.Operation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ops = append(s.ops, op)
}

// take returns what was seen since the last call, without bytes and durations.
func (s *seen) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, op := range s.ops {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s/%s %d>%d %s", op.Name, op.Entity, op.Index, op.Examined, op.Returned, op.Code)))
	}
	s.ops = nil
	return strings.Join(out, "; ")
}

// The table has every method that is an operation: what is told of it, from which index, and how much was examined and
// returned.
func TestObserverIsToldOfEveryOperation(t *testing.T) {
	ctx := t.Context()
	var s seen
	db := must[*kixx.DB](t)(kixx.Open(ctx, "mem:", kixx.WithObserver(s.observe), kixx.WithCacheBytes(0)))
	defer db.Close()
	items := newItems(t, db)
	memos := must[*kinds.MemoRepo](t)(kinds.NewMemoRepo(ctx, db))
	shelf(t, items, 30) // ten of each category
	must[*kinds.Memo](t)(memos.Insert(ctx, &kinds.Memo{ID: "a", Title: "Title a"}))
	s.take()
	change := func(it *kinds.Item) error { it.Price++; return nil }
	get := func(id string) *kinds.Item { it, _ := items.Get(ctx, id); s.take(); return it }
	c1 := items.QueryByCategory("c1")
	fail := errors.New("no")
	for _, c := range []struct {
		do   func()
		want string
	}{
		{func() { items.Get(ctx, "item:001") }, "Get item/ 1>1"},
		{func() { items.Get(ctx, "none") }, "Get item/ 1>0 NOT_FOUND"},
		{func() { items.GetMany(ctx, "item:001", "none", "item:002") }, "GetMany item/ 3>2"},
		{func() { items.Has(ctx, "item:001") }, "Has item/ 1>1"},
		{func() { items.Has(ctx, "none") }, "Has item/ 1>0"},
		{func() { items.Peek(ctx, "item:001") }, "Peek item/ 1>1"},
		{func() { items.GetBySKU(ctx, "sku-item:001") }, "GetUnique item/SKU 1>1"},
		{func() { items.GetBySKU(ctx, "none") }, "GetUnique item/SKU 0>0 NOT_FOUND"},
		{func() { items.Insert(ctx, item("new")) }, "Insert item/ 1>1"},
		{func() { items.Insert(ctx, item("new")) }, "Insert item/ 1>0 ALREADY_EXISTS"},
		{func() { items.Insert(ctx, &kinds.Item{ID: "x"}) }, "Insert item/ 1>0 INVALID_DOCUMENT"},
		{func() { items.Set(ctx, get("new")) }, "Set item/ 1>1"},
		{func() { items.Set(ctx, item("new")) }, "Set item/ 1>0 CONFLICT_ERROR"},
		{func() { items.Overwrite(ctx, item("new")) }, "Overwrite item/ 1>1"},
		{func() { items.Update(ctx, "new", change) }, "Update item/ 1>1"},
		{func() { items.Update(ctx, "new", func(*kinds.Item) error { return fail }) }, "Update item/ 1>0 OTHER"},
		{func() { items.UpdateIf(ctx, "new", kixx.RevOf(99), change) }, "UpdateIf item/ 1>0 CONFLICT_ERROR"},
		{func() { items.Upsert(ctx, "new", change) }, "Upsert item/ 1>1"},
		{func() { base := get("new"); mine := *base; mine.Price = 3; items.Merge(ctx, base, &mine) }, "Merge item/ 1>1"},
		{func() { items.SetMany(ctx, item("n1"), item("n2")) }, "SetMany item/ 2>2"},
		{func() { items.DeleteIf(ctx, "n1", kixx.RevOf(99)) }, "DeleteIf item/ 1>0 CONFLICT_ERROR"},
		{func() { items.Delete(ctx, "n1") }, "Delete item/ 1>1"},
		{func() { items.Delete(ctx, "n2") }, "Delete item/ 1>1"},
		{func() { items.Delete(ctx, "new") }, "Delete item/ 1>1"},
		{func() { items.Load(ctx, slices.Values([]*kinds.Item{item("l1"), item("l2"), item("l1")})) }, "Load item/ 4>2 ALREADY_EXISTS"},
		{func() { items.Delete(ctx, "l1"); items.Delete(ctx, "l2") }, "Delete item/ 1>1; Delete item/ 1>1"},
		{func() { items.Migrate(ctx, kixx.MigrateOptions{}) }, "Migrate item/ 30>0"},

		{func() { c1.Limit(4).Page(ctx) }, "Page item/Category 5>4"}, // one more, to know whether there is more
		{func() { c1.Limit(4).Offset(3).Page(ctx) }, "Page item/Category 8>4"},
		{func() { c1.Page(ctx) }, "Page item/Category 10>10"},
		{func() { c1.After("?").Page(ctx) }, "Page item/Category 0>0 BAD_CURSOR"},
		{func() { items.Query().Limit(4).Page(ctx) }, "Page item/ 5>4"},
		{func() { c1.Limit(4).Keys(ctx) }, "Keys item/Category 5>4"},
		{func() { c1.First(ctx) }, "First item/Category 2>1"},
		{func() { items.QueryByCategory("none").First(ctx) }, "First item/Category 0>0 NOT_FOUND"},
		{func() { c1.Collect(ctx) }, "Collect item/Category 10>10"},
		{func() { c1.Count(ctx) }, "Count item/Category 10>10"},
		{func() { items.Count(ctx) }, "Count item/ 30>30"},
		{func() {
			for range c1.All(ctx) {
				break
			}
		}, "All item/Category 10>1"},
		{func() { items.RangeByPriceRange().Everything().WithDocs().Limit(3).Page(ctx) }, "Page item/ByPriceRange 7>3"},
		{func() { memos.Query().Page(ctx) }, "Page memo/ 1>1"}, // the index of the keys of live documents

		{func() { memos.Delete(ctx, "a") }, "Delete memo/ 1>1"},
		{func() { memos.WithDeleted().QueryByFolder("").Page(ctx) }, "Page memo/Folder 1>1"},
		{func() { memos.Restore(ctx, "a") }, "Restore memo/ 1>1"},
		{func() { memos.Purge(ctx, "a") }, "Purge memo/ 1>1"},
		{func() { memos.Purge(ctx, "a") }, "Purge memo/ 1>0 NOT_FOUND"},

		{func() {
			db.Tx(ctx, func(ctx context.Context, tx *kixx.Tx) error {
				items := items.With(tx)
				items.Update(ctx, "item:001", change)
				items.GetBySKU(ctx, "sku-item:002")
				items.QueryByCategory("c1").Page(ctx)
				return nil
			})
		}, "Update item/ 2>1; GetUnique item/SKU 2>1; Page item/Category 10>10; Tx / 0>1"},
		{func() { db.Tx(ctx, func(context.Context, *kixx.Tx) error { return fail }) }, "Tx / 0>0 OTHER"},
		{func() {
			db.Snapshot(ctx, func(ctx context.Context, sn *kixx.Snapshot) error {
				_, err := items.With(sn).Get(ctx, "item:001")
				return err
			})
		}, "Get item/ 1>1; Snapshot / 0>0"},
		{func() { db.Verify(ctx); db.Stats(); db.Health(ctx) }, ""},
	} {
		c.do()
		if got := s.take(); got != c.want {
			t.Errorf("told of %q, want %q", got, c.want)
		}
	}
}

// What a cache answers is not examined.
func TestObserverCountsWhatTheStoreDid(t *testing.T) {
	ctx := t.Context()
	st := memstore.New(store.Options{})
	defer st.Close()
	var s seen
	open := func() *kinds.ItemRepo {
		db := must[*kixx.DB](t)(kixx.OpenStore(ctx, repotest.KeepOpen{Store: st}, kixx.WithObserver(s.observe)))
		t.Cleanup(func() { db.Close() })
		return newItems(t, db)
	}
	must[*kinds.Item](t)(open().Insert(ctx, item("a")))
	written := s.ops[0].Bytes
	items := open()
	s.take()
	items.Get(ctx, "a")
	first := s.ops[0]
	s.take()
	items.Get(ctx, "a")
	again := s.ops[0]
	if first.Examined != 1 || first.Bytes < 50 || again.Examined != 0 || again.Bytes != 0 {
		t.Errorf("a Get examined %d and read %d bytes, and from the cache %d and %d; want 1, its size, 0 and 0", first.Examined, first.Bytes, again.Examined, again.Bytes)
	}
	if written < 2*first.Bytes { // the document, and keys and values of its index entries
		t.Errorf("Insert wrote %d bytes of a document that takes %d", written, first.Bytes)
	}
}

// On a store without cheap snapshots All reads pages, which are parts of it.
func TestObserverIsToldOfAllOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		var s seen
		db := must[*kixx.DB](t)(kixx.OpenStore(t.Context(), p.Open(t), kixx.WithObserver(s.observe), kixx.WithRetry(1000)))
		defer db.Close()
		items := newItems(t, db)
		shelf(t, items, 3)
		s.take()
		must[[]*kinds.Item](t)(items.Query().Collect(t.Context()))
		if got := s.take(); !strings.HasPrefix(got, "Collect item/ ") || !strings.HasSuffix(got, ">3") || strings.Contains(got, ";") {
			t.Errorf("told of %q, want one Collect of 3", got)
		}
	})
}

// A hook that uses repositories does operations of its own.
func TestObserverIsToldOfWhatFunctionsDo(t *testing.T) {
	ctx := t.Context()
	var s seen
	db := must[*kixx.DB](t)(kixx.Open(ctx, "mem:", kixx.WithObserver(s.observe)))
	defer db.Close()
	items := newItems(t, db)
	shelf(t, items, 2)
	s.take()
	items.Update(ctx, "item:000", func(*kinds.Item) error {
		_, err := items.Get(ctx, "item:001")
		return err
	})
	if got, want := s.take(), "Get item/ 0>1; Update item/ 0>1"; got != want {
		t.Errorf("told of %q, want %q", got, want)
	}
}

// hand is a clock that tests move.
type hand struct {
	mu sync.Mutex
	at time.Time
}

func (h *hand) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at
}

func (h *hand) move(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = h.at.Add(d)
}

func TestDurationsLeaveOutTheLoop(t *testing.T) {
	ctx := t.Context()
	clock := &hand{at: time.Unix(1e9, 0)}
	var s seen
	db := must[*kixx.DB](t)(kixx.Open(ctx, "mem:", kixx.WithObserver(s.observe), kixx.WithClock(clock.now)))
	defer db.Close()
	items := newItems(t, db)
	shelf(t, items, 600) // more than two chunks
	s.take()
	for range items.All(ctx) {
		clock.move(time.Second)
	}
	for range items.All(ctx) {
		clock.move(time.Second)
		break
	}
	items.Update(ctx, "item:000", func(*kinds.Item) error { clock.move(time.Minute); return nil })
	for i, want := range []time.Duration{0, 0, time.Minute} {
		if got := s.ops[i].Duration; got != want {
			t.Errorf("%s took %v, want %v", s.ops[i].Name, got, want)
		}
	}
}

// lines collects what is logged.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.buf.String()
	l.buf.Reset()
	return s
}

func (l *lines) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

func TestSlowLogSaysWhatWasSlow(t *testing.T) {
	ctx := t.Context()
	clock := &hand{at: time.Unix(1e9, 0)}
	var l lines
	db := must[*kixx.DB](t)(kixx.Open(ctx, "mem:", kixx.SlowLog(time.Second), kixx.WithClock(clock.now), kixx.WithLogger(l.logger()), kixx.WithCacheBytes(0)))
	defer db.Close()
	items := newItems(t, db)
	shelf(t, items, 1)
	wait := func(d time.Duration) {
		items.Update(ctx, "item:000", func(*kinds.Item) error { clock.move(d); return errors.New("no") })
	}
	l.take()
	if wait(time.Second - 1); l.take() != "" {
		t.Error("an operation that was fast enough is logged")
	}
	wait(time.Second)
	want := `level=WARN msg="kixx: slow operation" event=operation.slow operation=Update entity=item index="" examined=1 returned=0 bytes=`
	if got := l.take(); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, " code=OTHER duration=1s\n") || strings.Count(got, "\n") != 1 {
		t.Errorf("logged %q, want %q", got, want)
	}
}

// A panic of an observer breaks nothing, and is logged once.
func TestPanicOfAnObserver(t *testing.T) {
	ctx := t.Context()
	var l lines
	var s seen
	db := must[*kixx.DB](t)(kixx.Open(ctx, "mem:", kixx.WithLogger(l.logger()),
		kixx.WithObserver(func(context.Context, kixx.Operation) { panic("a bad day") }), kixx.WithObserver(s.observe)))
	defer db.Close()
	items := newItems(t, db)
	l.take()
	shelf(t, items, 3)
	if it, err := items.Get(ctx, "item:001"); err != nil || it.Price != 1 {
		t.Errorf("Get = %v, %v", it, err)
	}
	if got := l.take(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "event=observer.panic") || !strings.Contains(got, `panic="a bad day"`) {
		t.Errorf("logged %q, want one line about the panic", got)
	}
	if got := s.take(); strings.Count(got, ";") != 3 {
		t.Errorf("the other observer was told of %q", got)
	}
}

// traced is a key of a context.
type traced struct{}

func TestObserverGetsTheContext(t *testing.T) {
	var got any
	db := must[*kixx.DB](t)(kixx.Open(t.Context(), "mem:", kixx.WithObserver(func(ctx context.Context, _ kixx.Operation) { got = ctx.Value(traced{}) })))
	defer db.Close()
	newItems(t, db).Count(context.WithValue(t.Context(), traced{}, "span"))
	if got != "span" {
		t.Errorf("the observer found %v in the context", got)
	}
}

func TestAllocationsOfAnObserver(t *testing.T) {
	ctx := t.Context()
	n := 0
	db := must[*kixx.DB](t)(kixx.Open(ctx, "mem:", kixx.WithObserver(func(context.Context, kixx.Operation) { n++ })))
	defer db.Close()
	items := newItems(t, db)
	shelf(t, items, 1)
	if got := testing.AllocsPerRun(200, func() { items.Get(ctx, "item:000") }); got > 5 && !raceEnabled {
		t.Errorf("an observed Get allocates %v times, want at most 5", got)
	}
}

func ExampleWithObserver() {
	ctx := context.Background()
	db, err := kixx.Open(ctx, "mem:", kixx.WithObserver(func(_ context.Context, op kixx.Operation) {
		fmt.Printf("%s %s/%s %d %q\n", op.Name, op.Entity, op.Index, op.Returned, op.Code) // op.Duration goes into a histogram
	}))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	items, err := kinds.NewItemRepo(ctx, db)
	if err != nil {
		log.Fatal(err)
	}
	items.Insert(ctx, &kinds.Item{ID: "lamp", Title: "lamp", SKU: "S-1", Category: "home"})
	items.QueryByCategory("home").Page(ctx)
	items.Get(ctx, "sofa")
	// Output:
	// Insert item/ 1 ""
	// Page item/Category 1 ""
	// Get item/ 0 "NOT_FOUND"
}
