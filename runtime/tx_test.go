package kixx_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/memstore"
)

var errStop = errors.New("stop")

func TestTxScopes(t *testing.T) {
	ctx := t.Context()
	st := memstore.New(store.Options{})
	db := must[*kixx.DB](t)(kixx.OpenStore(ctx, st))
	t.Cleanup(func() { db.Close() })
	items := newItems(t, db)
	tenant := newItems(t, must[*kixx.DB](t)(db.Namespace(ctx, "tenant")))
	put(t, items, item("a"))
	var late *kinds.ItemRepo
	wrong := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, kixx.ErrTxScope) || kixx.Code(err) != "WRONG_SCOPE" {
			t.Errorf("%s: %v, want ErrTxScope", what, err)
		}
	}
	look := func(ctx context.Context, bound, unbound *kinds.ItemRepo) {
		if _, err := bound.Get(ctx, "a"); err != nil {
			t.Error(err)
		}
		_, err := unbound.Get(ctx, "a")
		wrong("Get", err)
		_, err = unbound.GetMany(ctx, "a")
		wrong("GetMany", err)
		_, err = unbound.GetBySKU(ctx, "x")
		wrong("GetBySKU", err)
		_, err = unbound.Insert(ctx, item("b"))
		wrong("Insert", err)
		_, err = unbound.SetMany(ctx, item("b"))
		wrong("SetMany", err)
		_, err = unbound.Query().Page(ctx)
		wrong("Page", err)
		_, err = unbound.Count(ctx)
		wrong("Count", err)
		_, err = unbound.Query().Collect(ctx)
		wrong("Collect", err)
	}
	err := db.Tx(ctx, func(in context.Context, tx *kixx.Tx) error {
		late = items.With(tx)
		look(in, late, items)
		_, err := tenant.With(tx).Get(in, "a")
		wrong("a repository of another namespace", err)
		wrong("a transaction in a transaction", db.Tx(in, func(context.Context, *kixx.Tx) error { return nil }))
		wrong("a snapshot in a transaction", db.Snapshot(in, func(context.Context, *kixx.Snapshot) error { return nil }))
		if kixx.ScopeOf(in) != kixx.Scope(tx) || kixx.ScopeOf(ctx) != nil {
			t.Error("ScopeOf does not tell the scope")
		}
		_, err = items.Get(ctx, "a") // the context from outside
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = late.Get(ctx, "a")
	wrong("Get after the end", err)
	_, err = late.Insert(ctx, item("b"))
	wrong("Insert after the end", err)
	_, err = late.Query().Page(ctx)
	wrong("Page after the end", err)

	err = db.Snapshot(ctx, func(in context.Context, s *kixx.Snapshot) error {
		bound := items.With(s)
		look(in, bound, items)
		if _, err := bound.Insert(in, item("b")); !errors.Is(err, kixx.ErrReadOnly) || kixx.Code(err) != "READ_ONLY" {
			t.Errorf("Insert in a snapshot: %v, want ErrReadOnly", err)
		}
		put(t, items, item("c")) // with a context from outside
		if has := must[bool](t)(bound.Has(in, "c")); has {
			t.Error("the snapshot sees what was written after it was taken")
		}
		return errStop
	})
	if err != errStop {
		t.Errorf("Snapshot = %v, want the error of its function", err)
	}
	if _, err := items.With(nil).Get(ctx, "c"); err != nil {
		t.Errorf("With(nil): %v", err)
	}
}

func TestTxNeedsRangeGuards(t *testing.T) {
	p := places[2].make(t)
	sum := func(db *kixx.DB) error {
		items := newItems(t, db)
		return db.Tx(t.Context(), func(ctx context.Context, tx *kixx.Tx) error {
			items := items.With(tx)
			page, err := items.QueryByCategory("toys").Page(ctx)
			if err != nil {
				return err
			}
			_, err = items.Insert(ctx, item(fmt.Sprint("n", len(page.Items))))
			return err
		})
	}
	db := p.DB(t)
	err := sum(db)
	if !errors.Is(err, kixx.ErrNotSupported) || !strings.Contains(err.Error(), "storetest.") || !strings.Contains(err.Error(), "PointGuards") {
		t.Errorf("a range and a write on a store without range checks: %v, want ErrNotSupported with the store and the option", err)
	}
	if n := must[int](t)(newItems(t, db).Count(t.Context())); n != 0 {
		t.Errorf("it has written %d documents", n)
	}
	if err := sum(p.DB(t, kixx.PointGuards())); err != nil {
		t.Errorf("with PointGuards: %v", err)
	}
}

// With point guards alone a transaction still fails if a document that it met was changed.
func TestPointGuardsCheckDocuments(t *testing.T) {
	p := places[2].make(t)
	ctx := t.Context()
	db := p.DB(t, kixx.PointGuards(), kixx.WithRetry(100))
	items := newItems(t, db)
	put(t, items, item("a"))
	changed := false // a run can end before it, with a snapshot that is too old
	err := db.Tx(ctx, func(in context.Context, tx *kixx.Tx) error {
		page, err := items.With(tx).QueryByCategory("toys").Page(in)
		if err != nil {
			return err
		}
		if !changed {
			if _, err := items.Update(ctx, "a", func(it *kinds.Item) error { it.Price = 77; return nil }); err != nil {
				return err
			}
			changed = true
		}
		copied := item("copy")
		copied.Price = page.Items[0].Price
		_, err = items.With(tx).Insert(in, copied)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if it := must[*kinds.Item](t)(items.Get(ctx, "copy")); it.Price != 77 {
		t.Errorf("the copy has the price %v, want that of the changed document", it.Price)
	}
}

func TestTxGivesUpAfterItsTries(t *testing.T) {
	ctx := t.Context()
	db := places[0].make(t).DB(t, kixx.WithRetry(3))
	items := newItems(t, db)
	put(t, items, item("a"))
	runs := 0
	err := db.Tx(ctx, func(in context.Context, tx *kixx.Tx) error {
		runs++
		if _, err := items.With(tx).Update(in, "a", func(it *kinds.Item) error { return nil }); err != nil {
			return err
		}
		_, err := items.Update(ctx, "a", func(it *kinds.Item) error { return nil })
		return err
	})
	var be *kixx.BusyError
	if !errors.As(err, &be) || !errors.Is(err, kixx.ErrConflict) || runs != 3 || be.Tries != 3 {
		t.Errorf("Tx = %v after %d runs, want a BusyError after 3", err, runs)
	}
}

// A document that another goroutine of the transaction has deleted right after it was written gets no AfterSet.
func TestNoAfterSetOfWhatWasDeletedMeanwhile(t *testing.T) {
	ctx := t.Context()
	db := memory(t).DB(t)
	s := *kixx.SchemaOf(&must[*kinds.HookedRepo](t)(kinds.NewHookedRepo(ctx, memory(t).DB(t))).Repo)
	clones, last := 0, 0
	var between func() // before the last clone of an Insert, which is the one for AfterSet
	clone := s.Clone
	s.Clone = func(h *kinds.Hooked) *kinds.Hooked {
		if clones++; between != nil && clones == last {
			between()
		}
		return clone(h)
	}
	hooked := must[kixx.Repo[*kinds.Hooked, string]](t)(kixx.NewRepo(ctx, db, &s))
	var calls []string
	err := db.Tx(kinds.WithCalls(ctx, &calls), func(ctx context.Context, tx *kixx.Tx) error {
		bound := kixx.Bind(&hooked, tx)
		if _, err := bound.Insert(ctx, &kinds.Hooked{ID: "other", Name: "other"}); err != nil {
			return err
		}
		clones, last = 0, clones
		between = func() { // in the place of another goroutine
			between = nil
			if err := bound.Delete(ctx, "h"); err != nil {
				t.Error(err)
			}
		}
		_, err := bound.Insert(ctx, &kinds.Hooked{ID: "h", Name: "h"})
		return err
	})
	if err != nil || between != nil || !slices.Contains(calls, "after other") || slices.Contains(calls, "after h") {
		t.Errorf("Tx = %v, hooks %q; want no AfterSet of a document that is not there", err, calls)
	}
}
