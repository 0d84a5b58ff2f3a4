package repotest

import (
	"context"
	"errors"
	"testing"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
)

func testPeek(t *testing.T, p Place) {
	ctx := t.Context()
	db := p.DB(t)
	items := NewItems(t, db)
	it := Item("a")
	it.Tags = []string{"x", "y"}
	it = Must[*kinds.Item](t)(items.Insert(ctx, it))
	peek := Must[kinds.ItemPeek](t)(items.Peek(ctx, "a"))
	if peek.ID() != "a" || peek.Rev() != it.Rev || peek.Price() != 10 || !peek.CreatedAt().Equal(it.CreatedAt) || peek.Tags().Len() != 2 || peek.Tags().At(1) != "y" {
		t.Errorf("Peek sees %v %v %v %v", peek.ID(), peek.Rev(), peek.Price(), peek.Tags())
	}
	Must[*kinds.Item](t)(items.Update(ctx, "a", func(it *kinds.Item) error { it.Price, it.Tags = 20, nil; return nil }))
	if peek.Price() != 10 || peek.Tags().Len() != 2 {
		t.Error("what was peeked at has changed")
	}
	if _, err := items.Peek(ctx, "none"); !errors.Is(err, kixx.ErrNotFound) {
		t.Errorf("Peek of nothing: %v", err)
	}
	Put(t, items, Item("b"))
	page, err := items.Peeks(items.RangeByPrice().Everything().Reverse()).Limit(1).Page(ctx)
	if err != nil || len(page.Items) != 1 || page.Items[0].ID() != "a" || page.Next == "" {
		t.Errorf("a page of Peeks = %v, %v", page, err)
	}
	if keys, err := items.Peeks(items.Query()).Keys(ctx); err != nil || len(keys.Items) != 2 {
		t.Errorf("keys of Peeks = %v, %v", keys, err)
	}
	err = db.Snapshot(ctx, func(ctx context.Context, s *kixx.Snapshot) error {
		peek, err := items.With(s).Peek(ctx, "a")
		if err == nil && peek.Price() != 20 {
			t.Errorf("Peek in a snapshot sees %v", peek.Price())
		}
		return err
	})
	if err != nil && !errors.Is(err, kixx.ErrSnapshotTooOld) {
		t.Error(err)
	}
}
