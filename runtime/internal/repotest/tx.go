package repotest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
)

func testTxIsAllOrNothing(t *testing.T, p Place) {
	ctx := t.Context()
	db := p.DB(t)
	items := NewItems(t, db)
	hooked := Must[*kinds.HookedRepo](t)(kinds.NewHookedRepo(ctx, db))
	var kept *kinds.Hooked
	err := db.Tx(ctx, func(ctx context.Context, tx *kixx.Tx) (err error) {
		if _, err := items.With(tx).Insert(ctx, Item("a")); err != nil {
			return err
		}
		kept, err = hooked.With(tx).Insert(ctx, &kinds.Hooked{Name: "h"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	Must[*kinds.Item](t)(items.Get(ctx, "a"))
	Must[*kinds.Hooked](t)(hooked.Get(ctx, kept.ID))

	err = db.Tx(ctx, func(ctx context.Context, tx *kixx.Tx) error {
		if _, err := items.With(tx).Update(ctx, "a", func(it *kinds.Item) error { it.Price = 99; return nil }); err != nil {
			return err
		}
		if err := hooked.With(tx).Delete(ctx, kept.ID); err != nil {
			return err
		}
		if has, err := hooked.With(tx).Has(ctx, kept.ID); has || err != nil {
			return fmt.Errorf("what was deleted in the transaction is there: %v, %v", has, err)
		}
		return errStop
	})
	if err != errStop {
		t.Fatalf("Tx = %v, want the error of its function as it is", err)
	}
	if it := Must[*kinds.Item](t)(items.Get(ctx, "a")); it.Price != 10 {
		t.Errorf("the price is %v after a transaction that gave up", it.Price)
	}
	Must[*kinds.Hooked](t)(hooked.Get(ctx, kept.ID))

	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic of the function was lost")
			}
		}()
		db.Tx(ctx, func(ctx context.Context, tx *kixx.Tx) error {
			items.With(tx).Insert(ctx, Item("b"))
			panic("oops")
		})
	}()
	if has := Must[bool](t)(items.Has(ctx, "b")); has {
		t.Error("a transaction that panicked has written")
	}
}

// A snapshot is one state, through queries of all kinds, while others write.
func testSnapshotIsOneState(t *testing.T, p Place) {
	if limits := p.limits(t); limits.Snapshot != 0 {
		t.Skip("a snapshot may be too old before it is read")
	}
	ctx := t.Context()
	db := p.DB(t)
	items := NewItems(t, db)
	for i := range 600 {
		Put(t, items, Item(fmt.Sprintf("i%03d", i)))
	}
	err := db.Snapshot(ctx, func(in context.Context, s *kixx.Snapshot) error {
		bound := items.With(s)
		n := 0
		for it, err := range bound.RangeByPrice().Everything().All(in) {
			if err != nil {
				return err
			}
			n++
			if _, err := items.Update(ctx, it.ID, func(it *kinds.Item) error { it.Price += 5; return nil }); err != nil {
				return err
			}
			if n%7 == 0 {
				if err := items.Delete(ctx, it.ID); err != nil {
					return err
				}
			}
		}
		if n != 600 {
			t.Errorf("the walk met %d documents, want 600", n)
		}
		if c := Must[int](t)(bound.QueryByCategory("toys").Count(in)); c != 600 {
			t.Errorf("Count in the snapshot = %d, want 600", c)
		}
		got := Must[[]*kinds.Item](t)(bound.GetMany(in, "i006", "i007", "none"))
		if got[0] == nil || got[0].Price != 10 || got[1] == nil || got[2] != nil {
			t.Errorf("GetMany in the snapshot = %v", got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if c := Must[int](t)(items.Count(ctx)); c != 600-600/7 {
		t.Errorf("Count afterwards = %d, want %d", c, 600-600/7)
	}
}

// A loop in a transaction may move what it walks over: it sees what was there when it began.
func testTxLoopMovesWhatItWalks(t *testing.T, p Place) {
	limits := p.limits(t)
	if !limits.RangeChecks {
		t.Skip("the store does not guard ranges")
	}
	docs := 300
	if limits.Ops > 0 {
		docs = min(docs, limits.Ops/12) // each is some operations, and some keys that were seen
	}
	ctx := t.Context()
	db := p.DB(t)
	items := NewItems(t, db)
	for i := range docs {
		Put(t, items, Item(fmt.Sprintf("i%03d", i)))
	}
	err := db.Tx(ctx, func(ctx context.Context, tx *kixx.Tx) error {
		items := items.With(tx)
		if _, err := items.Update(ctx, "i000", func(it *kinds.Item) error { it.Price = 1; return nil }); err != nil {
			return err
		}
		n := 0
		for it, err := range items.RangeByPrice().Everything().All(ctx) {
			if err != nil {
				return err
			}
			if n++; n > docs {
				return errors.New("the walk meets what it has moved")
			}
			if _, err := items.Update(ctx, it.ID, func(it *kinds.Item) error { it.Price += 100; return nil }); err != nil {
				return err
			}
		}
		if c := Must[int](t)(items.RangeByPrice().From(100).Count(ctx)); c != docs {
			t.Errorf("%d documents are moved, want %d", c, docs)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The anomalies that weaker transactions allow: each pair of transactions would be refused if one ran after the other.
func testTxLitmus(t *testing.T, p Place) {
	if !p.limits(t).RangeChecks {
		t.Skip("the store does not guard ranges")
	}
	type step = func(ctx context.Context, items *kinds.ItemRepo) error
	update := func(id string, change func(*kinds.Item)) step {
		return func(ctx context.Context, items *kinds.ItemRepo) error {
			_, err := items.Update(ctx, id, func(it *kinds.Item) error { change(it); return nil })
			return err
		}
	}
	insert := func(id, category string) step {
		return func(ctx context.Context, items *kinds.ItemRepo) error {
			it := Item(id)
			it.Category = category
			_, err := items.Insert(ctx, it)
			return err
		}
	}
	empty := func(category string) step {
		return func(ctx context.Context, items *kinds.ItemRepo) error {
			n, err := items.QueryByCategory(category).Count(ctx)
			if n > 0 && err == nil {
				err = errStop
			}
			return err
		}
	}
	price := func(id string, want float64) step {
		return func(ctx context.Context, items *kinds.ItemRepo) error {
			it, err := items.Get(ctx, id)
			if err == nil && it.Price != want {
				err = errStop
			}
			return err
		}
	}
	for _, c := range []struct {
		name        string
		first       []step // reads and then writes; the second commits in between
		second      []step
		wantSerial  bool // the first one, run again, goes through
		wantRunning int  // how often the first one runs
	}{
		{"lost update", []step{price("a", 10), update("a", func(it *kinds.Item) { it.Price++ })}, []step{update("a", func(it *kinds.Item) { it.Price = 50 })}, false, 2},
		{"write skew", []step{price("a", 10), update("b", func(it *kinds.Item) { it.Price = 0 })}, []step{price("b", 10), update("a", func(it *kinds.Item) { it.Price = 0 })}, false, 2},
		{"phantom in an index", []step{empty("games"), insert("x", "games")}, []step{empty("games"), insert("y", "games")}, false, 2},
		{"phantom that moves in", []step{empty("games"), insert("x", "games")}, []step{update("b", func(it *kinds.Item) { it.Category = "games" })}, false, 2},
		{"absent key", []step{func(ctx context.Context, items *kinds.ItemRepo) error {
			if has, err := items.Has(ctx, "new"); has || err != nil {
				return errors.Join(errStop, err)
			}
			return nil
		}, insert("x", "games")}, []step{insert("new", "books")}, false, 2},
		{"unique value that was free", []step{func(ctx context.Context, items *kinds.ItemRepo) error {
			if _, err := items.GetBySKU(ctx, "sku-new"); !errors.Is(err, kixx.ErrNotFound) {
				return errors.Join(errStop, err)
			}
			return nil
		}, insert("x", "games")}, []step{insert("new", "books")}, false, 2},
		{"elsewhere", []step{empty("games"), price("a", 10), insert("x", "games")}, []step{insert("y", "books"), update("b", func(it *kinds.Item) { it.Price = 7 })}, true, 1},
		{"page that ends before", []step{func(ctx context.Context, items *kinds.ItemRepo) error {
			_, err := items.Query().Limit(1).Page(ctx)
			return err
		}, insert("x", "games")}, []step{insert("zz", "books")}, true, 1},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			{
				ctx := t.Context()
				db := p.DB(t)
				items := emptied(t, db)
				Put(t, items, Item("a"), Item("b"))
				runs := 0
				err := db.Tx(ctx, func(in context.Context, tx *kixx.Tx) error {
					runs++
					for _, s := range c.first {
						if err := s(in, items.With(tx)); err != nil {
							return err
						}
					}
					if runs > 1 {
						return nil
					}
					return db.Tx(ctx, func(ctx context.Context, tx *kixx.Tx) error {
						for _, s := range c.second {
							if err := s(ctx, items.With(tx)); err != nil {
								return err
							}
						}
						return nil
					})
				})
				if runs != c.wantRunning || c.wantSerial != (err == nil) || err != nil && !errors.Is(err, errStop) {
					t.Errorf("the first transaction ran %d times, %v; want %d times, success %v", runs, err, c.wantRunning, c.wantSerial)
				}
			}
		})
	}
}

func testTxHooks(t *testing.T, p Place) {
	db := p.DB(t)
	hooked := Must[*kinds.HookedRepo](t)(kinds.NewHookedRepo(t.Context(), db))
	var calls []string
	outside := kinds.WithCalls(t.Context(), &calls)
	err := db.Tx(outside, func(ctx context.Context, tx *kixx.Tx) error {
		calls = nil // it may run again
		hooked := hooked.With(tx)
		for _, name := range []string{"one", "two", "three"} {
			if _, err := hooked.Insert(ctx, &kinds.Hooked{ID: name, Name: name}); err != nil {
				return err
			}
		}
		if _, err := hooked.Update(ctx, "one", func(h *kinds.Hooked) error { h.Name = "one again"; return nil }); err != nil {
			return err
		}
		if err := hooked.Delete(ctx, "two"); err != nil {
			return err
		}
		calls = append(calls, "end")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"before one", "before two", "before three", "before one again", "delete two", "end", "after three", "after one again"}
	if !slices.Equal(calls, want) {
		t.Errorf("hooks: %q, want %q", calls, want)
	}
	err = db.Tx(outside, func(ctx context.Context, tx *kixx.Tx) error {
		_, err := hooked.With(tx).Insert(ctx, &kinds.Hooked{ID: "p", Name: "panics in AfterSet"})
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "it is stored, but AfterSet panicked") {
		t.Errorf("a panic in AfterSet: %v", err)
	}
	Must[*kinds.Hooked](t)(hooked.Get(t.Context(), "p"))
	calls = nil
	err = db.Tx(outside, func(ctx context.Context, tx *kixx.Tx) error {
		hooked.With(tx).Insert(ctx, &kinds.Hooked{ID: "q", Name: "q"})
		return errStop
	})
	if err != errStop || slices.ContainsFunc(calls, func(c string) bool { return strings.HasPrefix(c, "after") }) {
		t.Errorf("hooks of a transaction that gave up: %q, %v", calls, err)
	}
}

// Several goroutines of one transaction update one document: none of the updates is lost.
func testTxOfSeveralGoroutines(t *testing.T, p Place) {
	ctx := t.Context()
	db := p.DB(t)
	items := NewItems(t, db)
	Put(t, items, Item("stored"))
	err := db.Tx(ctx, func(ctx context.Context, tx *kixx.Tx) error {
		items := items.With(tx)
		errs := make([]error, 8)
		var wg sync.WaitGroup
		for g := range errs {
			wg.Go(func() {
				for range 50 {
					for _, id := range []string{"stored", "new"} {
						_, err := items.Upsert(ctx, id, func(it *kinds.Item) error {
							it.Title, it.SKU, it.Category = id, id, "c"
							it.Price++
							return nil
						})
						errs[g] = errors.Join(errs[g], err)
					}
				}
			})
		}
		wg.Wait()
		return errors.Join(errs...)
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]float64{"stored": Item("stored").Price + 400, "new": 400} {
		if it := Must[*kinds.Item](t)(items.Get(ctx, id)); it.Price != want {
			t.Errorf("the price of %q is %v after 400 updates, want %v", id, it.Price, want)
		}
	}
}

// Money moves between accounts in transactions; nobody ever sees another sum.
func testTxTransfers(t *testing.T, p Place) {
	ctx := t.Context()
	db := p.DB(t, kixx.WithRetry(1000))
	items := NewItems(t, db)
	const accounts, total = 8, 800.0
	for i := range accounts {
		it := Item(fmt.Sprint("acc", i))
		it.Price = total / accounts
		Put(t, items, it)
	}
	var wg sync.WaitGroup
	n := p.less(Count(60, 600, 20_000))
	for w := range 8 {
		wg.Go(func() {
			for i := range n {
				from, to := fmt.Sprint("acc", (w+i)%accounts), fmt.Sprint("acc", (w*3+i*5+1)%accounts)
				if from == to {
					continue
				}
				err := db.Tx(ctx, func(ctx context.Context, tx *kixx.Tx) error {
					items := items.With(tx)
					a, err := items.Get(ctx, from)
					if err != nil {
						return err
					}
					b, err := items.Get(ctx, to)
					if err != nil {
						return err
					}
					if a.Price < 1 {
						return nil
					}
					a.Price--
					b.Price++
					_, err = items.SetMany(ctx, a, b)
					return err
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 20 {
		var sum float64
		err := db.Snapshot(ctx, func(ctx context.Context, s *kixx.Snapshot) error {
			sum = 0
			for it, err := range items.With(s).All(ctx) {
				if err != nil {
					return err
				}
				sum += it.Price
			}
			return nil
		})
		if errors.Is(err, kixx.ErrSnapshotTooOld) {
			continue // a weak store's
		}
		if err != nil || sum != total {
			t.Errorf("a snapshot's sum = %v, %v, want %v", sum, err, total)
		}
	}
	wg.Wait()
}
