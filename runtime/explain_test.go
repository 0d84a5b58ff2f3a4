package kixx_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/memstore"
)

func TestExplain(t *testing.T) {
	ctx := t.Context()
	db := must[*kixx.DB](t)(kixx.Open(ctx, "mem:"))
	defer db.Close()
	items := newItems(t, db)
	shelf(t, items, 5)
	posts := must[*kinds.PostRepo](t)(kinds.NewPostRepo(ctx, db))
	memos := must[*kinds.MemoRepo](t)(kinds.NewMemoRepo(ctx, db))
	every := must[*kinds.EveryRepo](t)(kinds.NewEveryRepo(ctx, db))
	first := must[kixx.Page[*kinds.Item]](t)(items.Query().Limit(1).Page(ctx))
	byPrice := items.RangeByCategoryPrice("toys")
	day := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		got  kixx.Explanation
		want string
	}{
		{items.Query().Explain(), `item by key (id string), everything, at most 100 a page, documents: range, ready`},
		{items.Query().Limit(1).Offset(2).Reverse().After(first.Next).Explain(), `item by key (id string), everything, backwards, behind a cursor, 2 are skipped, at most 1 a page, documents: range, ready`},
		{items.RangeByKey().Prefix("item:").Explain(), `item by key (id string), ("item:"…), at most 100 a page, documents: range, ready`},
		{items.QueryByCategory("toys").Explain(), `item by index Category (category string), ("toys"), at most 100 a page, documents: entries, ready`},
		{items.QueryByCategory("0x").Explain(), `item by index Category (category string), ("0x"), at most 100 a page, documents: entries, ready`},
		{items.RangeByCategory().Explain(), `item by index Category (category string), everything, at most 100 a page, documents: entries, ready`},
		{items.RangeBySKU().FromBelow("a", "b").Explain(), `item by index SKU (sku string), >= ("a") < ("b"), at most 100 a page, documents: entries, ready`},
		{byPrice.Explain(), `item by index CategoryPrice (category string, price float64 desc), ("toys"), at most 100 a page, documents: entries, ready`},
		{byPrice.Between(10, 20).Explain(), `item by index CategoryPrice (category string, price float64 desc), >= ("toys", 20) <= ("toys", 10), at most 100 a page, documents: entries, ready`},
		{byPrice.AboveTo(10, 20).Explain(), `item by index CategoryPrice (category string, price float64 desc), >= ("toys", 20) < ("toys", 10), at most 100 a page, documents: entries, ready`},
		{items.RangeByCreatedAt().Above(day).Explain(), `item by index CreatedAt (createdAt time desc), < (2026-01-02T00:00:00Z), at most 100 a page, documents: entries, ready`},
		{items.QueryByPriceRange("x").Explain(), `item by index ByPriceRange (key string), ("x"), at most 100 a page, documents: none, ready`},
		{items.RangeByPriceRange().Prefix("00").WithDocs().Explain(), `item by index ByPriceRange (key string), ("00"…), at most 100 a page, documents: lookup, ready`},
		{posts.RangeByKey("acme").Prefix("he").Explain(), `post by key (tenant string, slug string), ("acme", "he"…), at most 100 a page, documents: range, ready`},
		{posts.RangeByTags().Prefix("n").Explain(), `post by index Tags (tags string each desc), ("n"…), at most 100 a page, documents: entries, ready`},
		{memos.RangeByKey().Is("a").Explain(), `memo by key (id string), ("a"), at most 100 a page, documents: entries, ready`},
		{memos.WithDeleted().QueryByFolder("f").Explain(), `memo by index Folder (folder string), ("f"), at most 100 a page, documents: entries, deleted ones too, ready`},
		{every.QueryByInt(-3).Explain(), `every by index Int (Int int desc), (-3), at most 100 a page, documents: entries, ready`},
		{every.QueryByFloat32(1.5).Explain(), `every by index Float32 (Float32 float32), (1.5), at most 100 a page, documents: entries, ready`},
		{every.QueryByBytes([]byte("ab")).Explain(), `every by index Bytes (Bytes bytes), (x"6162"), at most 100 a page, documents: entries, ready`},
		{every.QueryByBool(true).Explain(), `every by index Bool (Bool bool), (true), at most 100 a page, documents: entries, ready`},
		{kixx.FixedQuery[*kinds.Item, string](nil, nil, nil).Explain(), `a fake by key (), everything, at most 100 a page, documents: range, ready`},
	} {
		if got := c.got.String(); got != c.want {
			t.Errorf("explained as\n%s\nwant\n%s", got, c.want)
		}
	}
}

// An old version of an application leaves an index of the new one stale; the new one knows when it has looked.
func TestExplainSaysThatAnIndexIsStale(t *testing.T) {
	ctx := t.Context()
	st := memstore.New(store.Options{})
	db := must[*kixx.DB](t)(kixx.OpenStore(ctx, st))
	defer db.Close()
	items := newItems(t, db)
	shelf(t, items, 1)
	q := items.QueryByCategory("c0")
	kixx.MarkStale(&items.Repo, "Category")
	if got := q.Explain().State; got != "stale" {
		t.Errorf("the index is %q, want stale", got)
	}
}

// Explain asks nobody: it works when the database is closed.
func TestExplainReadsNothing(t *testing.T) {
	db := must[*kixx.DB](t)(kixx.Open(t.Context(), "mem:"))
	items := newItems(t, db)
	db.Close()
	if got := items.QueryByPrice(3).Explain(); got.Index != "Price" || got.Lower != ">= (3)" || got.Upper != "<= (3)" {
		t.Errorf("of a closed database: %+v", got)
	}
}

func ExampleQuery_Explain() {
	db, items := shelfOf(context.Background())
	defer db.Close()
	fmt.Println(items.RangeByCategoryPrice("home").To(20).Limit(10).Explain())
	// Output:
	// item by index CategoryPrice (category string, price float64 desc), >= ("home", 20) <= ("home"), at most 10 a page, documents: entries, ready
}

func ExampleRange_Explain() {
	db, items := shelfOf(context.Background())
	defer db.Close()
	fmt.Println(items.RangeByTags().Explain())
	// Output:
	// item by index Tags (tags string each), everything, at most 100 a page, documents: entries, ready
}
