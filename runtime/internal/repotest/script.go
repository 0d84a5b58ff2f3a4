package repotest

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/memstore"
)

// Script runs a script of n random operations on a store in memory and on the one that open returns, and compares what
// each step gives byte for byte: documents as JSON, pages with their cursors, codes of errors. Cursors of one are handed
// to the other. The script is the same for all stores.
func Script(t *testing.T, open func(t testing.TB) store.Store, n int) {
	ctx := t.Context()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	clock := func() time.Time { return now }
	var dbs [2]*kixx.DB
	var repos [2]*kinds.ItemRepo
	for i, st := range []store.Store{memstore.New(store.Options{}), open(t)} {
		dbs[i] = Must[*kixx.DB](t)(kixx.OpenStore(ctx, st, kixx.WithClock(clock)))
		defer dbs[i].Close()
		repos[i] = NewItems(t, dbs[i])
	}
	s := script{r: rand.New(rand.NewPCG(12, 12))}
	pages := 0
	for i := range n {
		now = now.Add(time.Second)
		what, do := s.step()
		var got [2]string
		for k := range repos {
			got[k] = do(ctx, repos[k])
		}
		if got[0] != got[1] {
			t.Fatalf("step %d, %s:\nin memory: %s\nhere:      %s", i, what, got[0], got[1])
		}
		if s.paged {
			pages++
		}
	}
	for _, db := range dbs {
		if err := db.Verify(ctx); err != nil {
			t.Error(err)
		}
	}
	t.Logf(`{"row":12,"test":%q,"operations":%d,"pages":%d,"wrong":0}`, t.Name(), n, pages)
}

// A script makes the steps. What it makes them of is the same for every store, cursors included.
type script struct {
	r     *rand.Rand
	paged bool
	next  kixx.Cursor // of the last page
}

// step returns the next step: a name, and what it does, which returns all that it gave.
func (s *script) step() (what string, do func(ctx context.Context, items *kinds.ItemRepo) string) {
	id := fmt.Sprintf("item:%03d", s.r.IntN(400))
	price, category := float64(s.r.IntN(60))-5, fmt.Sprintf("c%d", s.r.IntN(6))
	sku := "sku-" + id
	if s.r.IntN(20) == 0 {
		sku = fmt.Sprint("sku-item:", s.r.IntN(400)) // somebody else's
	}
	tags := []string{"all", fmt.Sprint("t", s.r.IntN(8))}
	change := func(it *kinds.Item) error {
		it.Price, it.Category, it.SKU, it.Tags = price, category, sku, tags
		return nil
	}
	fresh := func() *kinds.Item {
		it := Item(id)
		change(it)
		return it
	}
	s.paged = false
	switch k := s.r.IntN(20); {
	case k < 4:
		return "Insert " + id, func(ctx context.Context, items *kinds.ItemRepo) string { return told(items.Insert(ctx, fresh())) }
	case k < 8:
		return "Update " + id, func(ctx context.Context, items *kinds.ItemRepo) string {
			return told(items.Update(ctx, id, change))
		}
	case k == 8:
		return "Upsert " + id, func(ctx context.Context, items *kinds.ItemRepo) string {
			return told(items.Upsert(ctx, id, change))
		}
	case k == 9:
		return "Overwrite " + id, func(ctx context.Context, items *kinds.ItemRepo) string {
			return told(items.Overwrite(ctx, fresh()))
		}
	case k == 10:
		return "Set " + id, func(ctx context.Context, items *kinds.ItemRepo) string {
			it, err := items.Get(ctx, id)
			if err != nil {
				return told(it, err)
			}
			change(it)
			return told(items.Set(ctx, it))
		}
	case k < 13:
		return "Delete " + id, func(ctx context.Context, items *kinds.ItemRepo) string { return told("", items.Delete(ctx, id)) }
	case k == 13:
		return "Get " + id, func(ctx context.Context, items *kinds.ItemRepo) string { return told(items.Get(ctx, id)) }
	case k == 14:
		return "GetBySKU " + sku, func(ctx context.Context, items *kinds.ItemRepo) string { return told(items.GetBySKU(ctx, sku)) }
	case k == 15:
		return "Count of " + category, func(ctx context.Context, items *kinds.ItemRepo) string {
			return told(items.QueryByCategory(category).Count(ctx))
		}
	}
	return s.page(category, price)
}

// page returns a step that reads a page, from the beginning or where the last one ended.
func (s *script) page(category string, price float64) (what string, do func(ctx context.Context, items *kinds.ItemRepo) string) {
	s.paged = true
	limit, offset, which := 1+s.r.IntN(12), 0, s.r.IntN(7)
	if s.r.IntN(5) == 0 {
		offset = s.r.IntN(6)
	}
	reverse := s.r.IntN(2) == 0
	after := s.next
	if s.r.IntN(3) == 0 {
		after = ""
	}
	what = fmt.Sprintf("page %d of %s, %v, limit %d, offset %d, reverse %v, after %q", which, category, price, limit, offset, reverse, after)
	return what, func(ctx context.Context, items *kinds.ItemRepo) string {
		var q kixx.Query[*kinds.Item, string]
		switch which {
		case 0:
			q = items.QueryByCategory(category)
		case 1:
			q = items.RangeByPrice().Between(price, price+10)
		case 2:
			q = items.QueryByTags("t3")
		case 3:
			q = items.RangeByCategoryPrice(category).From(price)
		case 4:
			q = items.RangeByCreatedAt().Everything()
		case 5:
			q = items.RangeByKey().Prefix("item:1")
		case 6:
			lines := items.RangeByPriceRange().From(fmt.Sprintf("%06.0f", price)).Limit(limit)
			if reverse {
				lines = lines.Reverse()
			}
			return told(lines.Page(ctx))
		}
		if reverse {
			q = q.Reverse()
		}
		// A cursor of another query is refused, in the same way everywhere.
		page, err := q.Limit(limit).Offset(offset).After(after).Page(ctx)
		if err == nil {
			s.next = page.Next
		}
		return told(page, err)
	}
}

// told is all that a call has given, as text.
func told[T any](got T, err error) string {
	if err != nil {
		return kixx.Code(err)
	}
	b, err := json.Marshal(got)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
