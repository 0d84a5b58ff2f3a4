package kixxtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/kixxgen/kixxgen/examples/inventory"
	kixx "github.com/kixxgen/kixxgen/runtime"
)

func TestConflictNextMeetsEveryVerb(t *testing.T) {
	dearer := func(it *inventory.Item) error { it.Price++; return nil }
	for _, test := range []struct {
		name string
		call func(ctx context.Context, items *inventory.ItemRepo, a *inventory.Item) error
		want error
		left string // of a afterwards
	}{
		{"Set", func(ctx context.Context, items *inventory.ItemRepo, a *inventory.Item) error {
			_, err := items.Set(ctx, a)
			return err
		}, kixx.ErrConflict, "revision 1, price 10"},
		{"UpdateIf", func(ctx context.Context, items *inventory.ItemRepo, a *inventory.Item) error {
			_, err := items.UpdateIf(ctx, "a", a.Rev, dearer)
			return err
		}, kixx.ErrConflict, "revision 1, price 10"},
		{"DeleteIf", func(ctx context.Context, items *inventory.ItemRepo, a *inventory.Item) error {
			return items.DeleteIf(ctx, "a", a.Rev)
		}, kixx.ErrConflict, "revision 1, price 10"},
		{"SetMany", func(ctx context.Context, items *inventory.ItemRepo, a *inventory.Item) error {
			_, err := items.SetMany(ctx, item("new"), a)
			return err
		}, kixx.ErrConflict, "revision 1, price 10"},
		{"Update", func(ctx context.Context, items *inventory.ItemRepo, a *inventory.Item) error {
			_, err := items.Update(ctx, "a", dearer)
			return err
		}, nil, "revision 2, price 11"},
		{"Overwrite", func(ctx context.Context, items *inventory.ItemRepo, a *inventory.Item) error {
			a.Price++
			_, err := items.Overwrite(ctx, a)
			return err
		}, nil, "revision 2, price 11"},
		{"Delete", func(ctx context.Context, items *inventory.ItemRepo, a *inventory.Item) error {
			return items.Delete(ctx, "a")
		}, nil, "gone"},
		{"Insert", func(ctx context.Context, items *inventory.ItemRepo, a *inventory.Item) error {
			_, err := items.Insert(ctx, item("new"))
			return err
		}, kixx.ErrExists, "revision 0, price 10"},
		{"Set of a new one", func(ctx context.Context, items *inventory.ItemRepo, a *inventory.Item) error {
			_, err := items.Set(ctx, item("new"))
			return err
		}, kixx.ErrConflict, "revision 0, price 10"},
	} {
		t.Run(test.name, func(t *testing.T) {
			kit := New(t)
			items := newItems(t, kit.DB)
			put(t, items, "a")
			a := must[*inventory.Item](t)(items.Get(t.Context(), "a"))
			kit.ConflictNext(1)
			if err := test.call(t.Context(), items, a); !errors.Is(err, test.want) {
				t.Fatalf("with another writer: %v, want %v", err, test.want)
			}
			left := "gone"
			if it, err := items.Get(t.Context(), "a"); err == nil {
				left = fmt.Sprintf("revision %v, price %v", it.Rev, it.Price)
			}
			if left != test.left {
				t.Errorf("of a is left: %s, want %s", left, test.left)
			}
			// That was all.
			must[*inventory.Item](t)(items.Upsert(t.Context(), "b", func(it *inventory.Item) error { *it = *item("b"); return nil }))
			if b := must[*inventory.Item](t)(items.Get(t.Context(), "b")); b.Rev.String() != "0" {
				t.Errorf("another item has revision %v, want 0", b.Rev)
			}
		})
	}
}

func TestConflictNextUntilTheTriesRunOut(t *testing.T) {
	kit := New(t, kixx.WithRetry(3))
	items := newItems(t, kit.DB)
	put(t, items, "a")
	tries := 0
	change := func(it *inventory.Item) error { tries++; return nil }
	kit.ConflictNext(2)
	if _, err := items.Update(t.Context(), "a", change); err != nil || tries != 3 {
		t.Errorf("with two conflicts: %v after %d tries, want success after 3", err, tries)
	}
	kit.ConflictNext(3)
	var busy *kixx.BusyError
	if _, err := items.Update(t.Context(), "a", change); !errors.As(err, &busy) {
		t.Errorf("with three conflicts: %v, want a BusyError", err)
	}
}

func TestConflictNextMeetsATransaction(t *testing.T) {
	kit := New(t)
	items := newItems(t, kit.DB)
	put(t, items, "a", "b")
	runs := 0
	kit.ConflictNext(2)
	err := kit.DB.Tx(t.Context(), func(ctx context.Context, tx *kixx.Tx) error {
		runs++
		return move(ctx, items.With(tx))
	})
	if err != nil || runs != 3 {
		t.Errorf("Tx = %v after %d runs, want success after 3", err, runs)
	}
	if a := must[*inventory.Item](t)(items.Get(t.Context(), "a")); a.Price != 9 {
		t.Errorf("the price of a is %v, want 9", a.Price)
	}
}

// move takes 1 off the price of a and adds it to that of b.
func move(ctx context.Context, items *inventory.ItemRepo) error {
	if _, err := items.Update(ctx, "a", func(it *inventory.Item) error { it.Price--; return nil }); err != nil {
		return err
	}
	_, err := items.Update(ctx, "b", func(it *inventory.Item) error { it.Price++; return nil })
	return err
}

// crashes runs f with one planned crash after the other, until none is met, and calls check with what each has left.
func crashes(t *testing.T, f func(ctx context.Context, kit *Kit, items *inventory.ItemRepo) error, check func(items *inventory.ItemRepo, n int, err error)) (met int) {
	for n := 0; ; n++ {
		kit := New(t)
		items := newItems(t, kit.DB)
		put(t, items, "a", "b")
		kit.CrashAfter(n)
		err := f(t.Context(), kit, items)
		if crashed := kit.Crashed(); crashed != errors.Is(err, ErrCrashed) || !crashed && err != nil {
			t.Fatalf("crash %d: met: %v, the error is %v", n, crashed, err)
		}
		crashed := kit.Crashed()
		check(newItems(t, kit.Reopen()), n, err)
		if !crashed {
			return met
		}
		met++
	}
}

func TestCrashAfterShowsWhatATransactionIsFor(t *testing.T) {
	total := func(items *inventory.ItemRepo) (a, sum float64) {
		x, y := must[*inventory.Item](t)(items.Get(t.Context(), "a")), must[*inventory.Item](t)(items.Get(t.Context(), "b"))
		return x.Price, x.Price + y.Price
	}
	torn := 0
	met := crashes(t, func(ctx context.Context, kit *Kit, items *inventory.ItemRepo) error {
		return move(ctx, items)
	}, func(items *inventory.ItemRepo, n int, err error) {
		if _, sum := total(items); sum != 20 {
			torn++
		}
	})
	if met < 8 || torn == 0 {
		t.Errorf("two updates met %d crashes, which left %d half done; want at least 8, and some", met, torn)
	}

	moved, not, unknown := 0, 0, 0
	met = crashes(t, func(ctx context.Context, kit *Kit, items *inventory.ItemRepo) error {
		return kit.DB.Tx(ctx, func(ctx context.Context, tx *kixx.Tx) error { return move(ctx, items.With(tx)) })
	}, func(items *inventory.ItemRepo, n int, err error) {
		a, sum := total(items)
		if sum != 20 {
			t.Errorf("crash %d: the prices sum up to %v, want 20", n, sum)
		}
		if errors.Is(err, kixx.ErrUnknown) {
			unknown++
		}
		switch {
		case a == 9:
			moved++
		case err == nil:
			t.Errorf("crash %d: the transaction was acknowledged, and is lost", n)
		default:
			not++
		}
	})
	if met < 4 || moved < 2 || not < 2 || unknown < 2 {
		t.Errorf("a transaction met %d crashes: %d times it was kept, %d times lost, %d times unknown; want each", met, moved, not, unknown)
	}
}

func TestNothingCanBeDoneAfterACrash(t *testing.T) {
	r := &recorder{TB: t}
	kit := New(r)
	items := newItems(t, kit.DB)
	put(t, items, "a")
	ctx := t.Context()
	kit.CrashAfter(0)
	if kit.Crashed() {
		t.Error("Crashed before anything was done")
	}
	if _, err := items.Insert(ctx, item("b")); !errors.Is(err, ErrCrashed) {
		t.Errorf("Insert = %v, want ErrCrashed", err)
	}
	for name, call := range map[string]func() error{
		"Get":  func() error { _, err := items.Get(ctx, "a"); return err },
		"Page": func() error { _, err := items.QueryByCategory("toys").Page(ctx); return err },
		"All":  func() error { _, err := items.Query().Collect(ctx); return err },
		"Set":  func() error { _, err := items.Set(ctx, item("c")); return err },
	} {
		if err := call(); !errors.Is(err, ErrCrashed) {
			t.Errorf("%s = %v, want ErrCrashed", name, err)
		}
	}
	r.end()
	if len(r.says) != 0 {
		t.Errorf("the test was told %q, of a database that has crashed", r.says)
	}
}

func TestASnapshotEndsWithTheCrash(t *testing.T) {
	kit := New(t)
	items := newItems(t, kit.DB)
	put(t, items, "a")
	err := kit.DB.Snapshot(t.Context(), func(ctx context.Context, s *kixx.Snapshot) error {
		kit.CrashAfter(0)
		items.Insert(t.Context(), item("b"))
		_, err := items.With(s).Get(ctx, "a")
		return err
	})
	if !errors.Is(err, ErrCrashed) {
		t.Errorf("reading the snapshot after the crash: %v, want ErrCrashed", err)
	}
	kit.Reopen()
}

func TestReopenWithoutACrashKeepsAll(t *testing.T) {
	kit := New(t, kixx.Durability(kixx.NoSync()))
	put(t, newItems(t, kit.DB), "a", "b")
	kit.CrashAfter(100)
	kit.ConflictNext(100)
	items := newItems(t, kit.Reopen())
	if n := must[int](t)(items.Count(t.Context())); n != 2 {
		t.Errorf("%d items are left, want 2", n)
	}
	put(t, items, "c")
	if c := must[*inventory.Item](t)(items.Get(t.Context(), "c")); c.CreatedAt.Sub(Start) <= 0 || kit.Crashed() {
		t.Errorf("c was created at %v, want the clock to go on, and no crash", c.CreatedAt)
	}
}

// Without syncs, a power cut takes the newest of what was acknowledged: the option reaches the store.
func TestCrashTakesWhatWasNotSynced(t *testing.T) {
	left := make(map[int]bool)
	for n := range 12 {
		kit := New(t, kixx.Durability(kixx.NoSync()))
		items := newItems(t, kit.DB)
		put(t, items, "0", "1", "2")
		kit.CrashAfter(n)
		for i := 3; !kit.Crashed(); i++ {
			items.Insert(t.Context(), item(fmt.Sprint(i)))
		}
		ids := must[[]string](t)(idsOf(t.Context(), newItems(t, kit.Reopen())))
		for i, id := range ids {
			if id != fmt.Sprint(i) {
				t.Errorf("crash %d leaves %q, which is no beginning of what was stored", n, ids)
			}
		}
		left[len(ids)] = true
	}
	if !left[0] || len(left) < 3 {
		t.Errorf("12 crashes have left %v items, want none, and other numbers", left)
	}
}

func idsOf(ctx context.Context, items *inventory.ItemRepo) (ids []string, err error) {
	list, err := items.Query().Collect(ctx)
	for _, it := range list {
		ids = append(ids, it.ID)
	}
	return ids, err
}

func TestOneCrashIsAlwaysTheSame(t *testing.T) {
	run := func(n int) string {
		kit := New(t, kixx.Durability(kixx.NoSync()))
		items := newItems(t, kit.DB)
		kit.CrashAfter(n)
		for i := 0; !kit.Crashed(); i++ {
			items.Insert(t.Context(), item(fmt.Sprint(i)))
		}
		return fmt.Sprint(must[[]string](t)(idsOf(t.Context(), newItems(t, kit.Reopen()))))
	}
	for n := 3; n < 100; n += 6 { // those that lose some of it
		if one, two := run(n), run(n); one != two {
			t.Errorf("crash %d left %s, and then %s", n, one, two)
		}
	}
}

func TestOnlyAKitHasItsURL(t *testing.T) {
	if _, err := kixx.Open(t.Context(), "kixxtest:x"); err == nil || !strings.Contains(err.Error(), "use kixxtest.New") {
		t.Errorf("Open = %v, want an error that names kixxtest.New", err)
	}
}
