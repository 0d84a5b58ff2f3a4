package repotest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
)

// manyItems yields items 0 to n-1, always in the same memory.
func manyItems(n int, change func(i int, it *kinds.Item)) func(yield func(*kinds.Item) bool) {
	return func(yield func(*kinds.Item) bool) {
		var it kinds.Item
		for i := range n {
			it = *Item(fmt.Sprintf("i%06d", i))
			if change != nil {
				change(i, &it)
			}
			if !yield(&it) {
				return
			}
			it = kinds.Item{Title: "used again by its owner"}
		}
	}
}

func testLoad(t *testing.T, p Place) {
	ctx := t.Context()
	items := p.Items(t)
	n := Count(1_000, 3_000, 100_000)
	var told []int
	in, err := items.Load(ctx, manyItems(n, nil), kixx.LoadProgress(func(in int) { told = append(told, in) }))
	if in != n || err != nil {
		t.Fatalf("Load = %d, %v, want %d", in, err, n)
	}
	if !slices.IsSorted(told) || len(told) < 2 || told[len(told)-1] != n {
		t.Errorf("progress: %v, want steps up to %d", told, n)
	}
	if c := Must[int](t)(items.Count(ctx)); c != n {
		t.Errorf("Count = %d, want %d", c, n)
	}
	if c := Must[int](t)(items.QueryByTags("sale").Count(ctx)); c != n {
		t.Errorf("Count of the index = %d, want %d", c, n)
	}
	it := Must[*kinds.Item](t)(items.GetBySKU(ctx, fmt.Sprintf("sku-i%06d", n-1)))
	if it.Rev.String() != "0" || it.CreatedAt.IsZero() {
		t.Errorf("a loaded document = %+v, want revision 0 and a time", it)
	}
	if in, err := items.Load(ctx, manyItems(n, nil)); in != 0 || !errors.Is(err, kixx.ErrExists) {
		t.Errorf("Load of what is there = %d, %v, want ErrExists", in, err)
	}
	in, err = items.Load(ctx, manyItems(n+5, func(_ int, it *kinds.Item) { it.Title = "second" }), kixx.KeepExisting())
	if in != n+5 || err != nil {
		t.Errorf("Load with KeepExisting = %d, %v, want %d", in, err, n+5)
	}
	if it := Must[*kinds.Item](t)(items.Get(ctx, "i000000")); it.Title == "second" || it.Rev.String() != "0" {
		t.Errorf("KeepExisting changed %+v", it)
	}
	in, err = items.Load(ctx, manyItems(20, func(_ int, it *kinds.Item) { it.Title = "third" }), kixx.ReplaceExisting())
	if in != 20 || err != nil {
		t.Errorf("Load with ReplaceExisting = %d, %v, want 20", in, err)
	}
	if it := Must[*kinds.Item](t)(items.Get(ctx, "i000007")); it.Title != "third" || it.Rev.String() != "1" {
		t.Errorf("ReplaceExisting left %+v", it)
	}
}

// What is refused ends a load: exactly the documents before it are in, and the error says which it was.
func testLoadStopsAtWhatIsRefused(t *testing.T, p Place) {
	places := []int{0, 1, 63, 64, 200}
	if p.Slow > 1 {
		places = []int{1, 64}
	}
	for _, bad := range places {
		for _, c := range []struct {
			name   string
			change func(it *kinds.Item)
			want   error
		}{
			{"invalid", func(it *kinds.Item) { it.Title = "" }, kixx.ErrInvalid},
			{"no key", func(it *kinds.Item) { it.ID = "" }, kixx.ErrBadKey},
			{"unique value taken before", func(it *kinds.Item) { it.SKU = "taken" }, kixx.ErrUnique},
			{"unique value taken in the load", func(it *kinds.Item) { it.SKU = "sku-i000300" }, nil}, // the later one is refused
			{"key twice", func(it *kinds.Item) { it.ID = "before" }, kixx.ErrExists},
		} {
			t.Run(fmt.Sprintf("%s/%d", c.name, bad), func(t *testing.T) {
				items := NewItems(t, p.DB(t))
				for it, err := range items.All(t.Context()) {
					if err != nil {
						t.Fatal(err)
					}
					if err := items.Delete(t.Context(), it.ID); err != nil {
						t.Fatal(err)
					}
				}
				before := Item("before")
				before.SKU = "taken"
				Put(t, items, before)
				in, err := items.Load(t.Context(), manyItems(301, func(i int, it *kinds.Item) {
					if i == bad {
						c.change(it)
					}
				}))
				want := bad
				if c.want == nil {
					want, c.want = 300, kixx.ErrUnique
				}
				if in != want || !errors.Is(err, c.want) {
					t.Errorf("Load = %d, %v, want %d and %v", in, err, want, c.want)
				}
				if n := Must[int](t)(items.Count(t.Context())); n != in+1 {
					t.Errorf("%d documents are in, Load said %d", n-1, in)
				}
			})
		}
	}
}

func testLoadInTransaction(t *testing.T, p Place) {
	db := p.DB(t, kixx.WithRetry(100))
	items := NewItems(t, db)
	err := db.Tx(t.Context(), func(ctx context.Context, tx *kixx.Tx) error {
		n, err := items.With(tx).Load(ctx, manyItems(5, nil))
		if n != 5 && err == nil {
			t.Errorf("Load = %d, want 5", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := Must[int](t)(items.Count(t.Context())); n != 5 {
		t.Errorf("Count = %d, want 5", n)
	}
}
