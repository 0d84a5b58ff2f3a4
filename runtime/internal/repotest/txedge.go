package repotest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
)

// An update whose function writes the document itself comes to an end.
func testTxChangesWhatItChanges(t *testing.T, p Place) {
	if !p.Coherent {
		return // its snapshots may end at any read
	}
	db := p.DB(t, kixx.WithRetry(2))
	items := NewItems(t, db)
	Put(t, items, Item("a"))
	calls := 0
	err := db.Tx(t.Context(), func(ctx context.Context, tx *kixx.Tx) error {
		items := items.With(tx)
		_, err := items.Update(ctx, "a", func(it *kinds.Item) error {
			calls++
			_, err := items.Update(ctx, "a", func(it *kinds.Item) error { it.Price++; return nil })
			return err
		})
		var busy *kixx.BusyError
		if !errors.As(err, &busy) || busy.Key != "a" {
			t.Errorf("an update that updates its own document: %v, want a BusyError", err)
		}
		return nil
	})
	if err != nil || calls != 2 {
		t.Errorf("Tx = %v after %d calls, want nil after 2", err, calls)
	}
}

// What a goroutine writes after the function of the transaction has returned is refused.
func testTxHasEndedMeanwhile(t *testing.T, p Place) {
	if !p.Coherent {
		return // its snapshots may end at any read
	}
	db := p.DB(t)
	items := NewItems(t, db)
	Put(t, items, Item("a"))
	inside, ended, done := make(chan struct{}), make(chan struct{}), make(chan error)
	err := db.Tx(t.Context(), func(ctx context.Context, tx *kixx.Tx) error {
		items := items.With(tx)
		go func() {
			_, err := items.Update(ctx, "a", func(it *kinds.Item) error {
				close(inside)
				<-ended
				it.Price = 99
				return nil
			})
			done <- err
		}()
		<-inside
		return nil
	})
	close(ended)
	if e := <-done; err != nil || !errors.Is(e, kixx.ErrTxScope) {
		t.Errorf("Tx = %v, and what its goroutine wrote too late %v; want nil and ErrTxScope", err, e)
	}
	if it := Must[*kinds.Item](t)(items.Get(t.Context(), "a")); it.Price == 99 {
		t.Error("it was written")
	}
}

func testSetManyKnowsKeysAsTheyAreStored(t *testing.T, p Place) {
	db := p.DB(t)
	moments := Must[*kinds.MomentRepo](t)(kinds.NewMomentRepo(t.Context(), db))
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	_, err := moments.SetMany(t.Context(), &kinds.Moment{At: at, What: "here"}, &kinds.Moment{At: at.In(time.FixedZone("there", 3600)), What: "there"})
	if !errors.Is(err, kixx.ErrInvalid) {
		t.Errorf("SetMany with one instant in two time zones: %v, want ErrInvalid", err)
	}
}

func testMigrateIsNotForScopes(t *testing.T, p Place) {
	db := p.DB(t)
	items := NewItems(t, db)
	err := db.Tx(t.Context(), func(ctx context.Context, tx *kixx.Tx) error {
		for what, r := range map[string]*kinds.ItemRepo{"bound": items.With(tx), "not bound": items} {
			if _, err := r.Migrate(ctx, kixx.MigrateOptions{}); !errors.Is(err, kixx.ErrTxScope) {
				t.Errorf("Migrate of a repository that is %s: %v, want ErrTxScope", what, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// In a transaction each document of a load is there before the next one is asked for.
func testLoadInATransactionIsOneByOne(t *testing.T, p Place) {
	db := p.DB(t)
	items := NewItems(t, db)
	err := db.Tx(t.Context(), func(ctx context.Context, tx *kixx.Tx) error {
		items := items.With(tx)
		n, err := items.Load(ctx, func(yield func(*kinds.Item) bool) {
			for i := range 10 {
				id := fmt.Sprint("l", i)
				if !yield(Item(id)) {
					return
				}
				if has, err := items.Has(ctx, id); !has && err == nil {
					t.Errorf("%s is loaded and not there", id)
				}
			}
		})
		if err == nil && n != 10 {
			t.Errorf("%d documents are in, want 10", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if has := Must[bool](t)(items.Has(t.Context(), "l9")); !has {
		t.Error("the last one is not there after the commit")
	}
}

// One goroutine of a transaction lets a unique value change hands, another one asks who has it.
func testTxUniqueIsReadAtOnce(t *testing.T, p Place) {
	if !p.Coherent {
		return // its snapshots may end at any read
	}
	db := p.DB(t)
	items := NewItems(t, db)
	a, b := Item("a"), Item("b")
	a.SKU = "wanted"
	Put(t, items, a)
	Put(t, items, b)
	err := db.Tx(t.Context(), func(ctx context.Context, tx *kixx.Tx) error {
		items := items.With(tx)
		var wg sync.WaitGroup
		defer wg.Wait()
		rounds := p.less(Count(300, 3000, 20_000))
		wg.Go(func() {
			for i := range rounds {
				a, errA := items.Get(ctx, "a")
				b, errB := items.Get(ctx, "b")
				if err := errors.Join(errA, errB); err != nil {
					t.Error(err)
					return
				}
				a.SKU, b.SKU = fmt.Sprint("other ", i), "wanted"
				if i%2 == 0 {
					a.SKU, b.SKU = b.SKU, a.SKU
				}
				if _, err := items.SetMany(ctx, a, b); err != nil {
					t.Error(err)
					return
				}
			}
		})
		for range rounds {
			it, err := items.GetBySKU(ctx, "wanted")
			if err != nil || it.SKU != "wanted" {
				t.Errorf("GetBySKU = %+v, %v; one of the two has it at any time", it, err)
				return nil
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A document and one that is marked as deleted cannot take one unique value in one commit.
func testTxUniqueInBothHalves(t *testing.T, p Place) {
	ctx := t.Context()
	db := p.DB(t)
	memos := Must[*kinds.MemoRepo](t)(kinds.NewMemoRepo(ctx, db))
	both := func(purge bool) error {
		return db.Tx(ctx, func(ctx context.Context, tx *kixx.Tx) error {
			memos := memos.With(tx)
			if _, err := memos.Insert(ctx, &kinds.Memo{ID: "gone", Title: "one"}); err != nil {
				return err
			}
			if err := memos.Delete(ctx, "gone"); err != nil {
				return err
			}
			if purge {
				if err := memos.Purge(ctx, "gone"); err != nil {
					return err
				}
			}
			_, err := memos.Insert(ctx, &kinds.Memo{ID: "live", Title: "one"})
			return err
		})
	}
	if err := both(false); !errors.Is(err, kixx.ErrUnique) {
		t.Errorf("both take one title: %v, want ErrUnique", err)
	}
	if n := Must[int](t)(memos.WithDeleted().Count(ctx)); n != 0 {
		t.Errorf("%d documents are there", n)
	}
	if err := both(true); err != nil {
		t.Errorf("the one that was deleted is purged: %v", err)
	}
}

// A transaction that has seen that a unique value is free, and is beaten to it, sees that it is not.
func testTxIsBeatenToAUniqueValue(t *testing.T, p Place) {
	db := p.DB(t)
	items := NewItems(t, db)
	outside, tries := t.Context(), 0
	err := db.Tx(outside, func(ctx context.Context, tx *kixx.Tx) error {
		bound := items.With(tx)
		_, err := bound.GetBySKU(ctx, "wanted")
		if tries++; err == nil {
			return nil
		}
		if !errors.Is(err, kixx.ErrNotFound) {
			return err
		}
		if tries == 1 {
			other := Item("other")
			other.SKU = "wanted"
			Put(t, items, other)
		}
		mine := Item("mine")
		mine.SKU = "wanted"
		_, err = bound.Insert(ctx, mine)
		return err
	})
	if err != nil || tries != 2 {
		t.Errorf("Tx = %v after %d tries, want nil after 2", err, tries)
	}
}
