package repotest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
)

func testWritersOnAnyStore(t *testing.T, p Place) {
	items := p.Items(t, kixx.WithRetry(1000))
	Put(t, items, Item("a"))
	var applied, unknown atomic.Int64
	Together(4, func(int) {
		for range 25 {
			_, err := items.Update(t.Context(), "a", func(it *kinds.Item) error { it.Price++; return nil })
			switch {
			case err == nil:
				applied.Add(1)
			case errors.Is(err, kixx.ErrUnknown):
				unknown.Add(1) // another writer came between the commit and the reading back
			default:
				t.Error(err)
			}
		}
	})
	it := Must[*kinds.Item](t)(items.Get(t.Context(), "a"))
	n, _ := it.Rev.Number()
	if low, high := uint64(applied.Load()), uint64(applied.Load()+unknown.Load()); n < low || n > high {
		t.Errorf("%d updates were acknowledged, %d unknown, and the revision is %d", low, unknown.Load(), n)
	}
	if p.Coherent && unknown.Load() > 0 {
		t.Errorf("%d unknown outcomes on a store that knows them", unknown.Load())
	}
}

func testPagesMatchTheirQueryWhileDocumentsMove(t *testing.T, p Place) {
	items := p.Items(t, kixx.WithRetry(1000))
	const docs, categories = 30, 3
	for i := range docs {
		it := Item(fmt.Sprintf("%02d", i))
		it.Category, it.Price = "c0", 0
		Put(t, items, it)
	}
	rounds := Count(40, 2000, 20_000)
	if !p.Coherent {
		rounds /= 10
	}
	var left atomic.Int32
	left.Store(8)
	var pages atomic.Int64
	Together(10, func(g int) {
		if g < 8 { // a writer: moves documents to the next category, with a price that tells the category
			defer left.Add(-1)
			for n := range rounds {
				id := fmt.Sprintf("%02d", (n*7+g)%docs)
				_, err := items.Update(t.Context(), id, func(it *kinds.Item) error {
					next := (int(it.Price) + 1) % categories
					it.Category, it.Price = fmt.Sprintf("c%d", next), float64(next)
					return nil
				})
				if err != nil && !errors.Is(err, kixx.ErrUnknown) {
					t.Error(err)
					return
				}
			}
			return
		}
		for n := 0; left.Load() > 0; n++ {
			c := n % categories
			page, err := items.QueryByCategory(fmt.Sprintf("c%d", c)).Limit(docs).Page(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			pages.Add(1)
			for _, it := range page.Items {
				if it.Price != float64(c) || it.Category != fmt.Sprintf("c%d", c) {
					t.Errorf("a page of c%d has %s with category %s and price %v", c, it.ID, it.Category, it.Price)
					return
				}
			}
			// One snapshot: all documents are in exactly one category, so a page over all of them has each once.
			all, err := items.RangeByCategory().Everything().Limit(docs + 5).Page(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			seen := make(map[string]bool)
			for _, it := range all.Items {
				if seen[it.ID] {
					t.Errorf("a page has %s twice: it is not of one snapshot", it.ID)
					return
				}
				seen[it.ID] = true
			}
			if len(seen) != docs {
				t.Errorf("a page over all categories has %d documents, want %d", len(seen), docs)
				return
			}
		}
	})
	t.Logf("8 writers x %d moves, %d pages", rounds, pages.Load())
}
