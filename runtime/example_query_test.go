package kixx_test

import (
	"context"
	"fmt"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
)

// show prints the keys of items in one line.
func show(items []*kinds.Item, err error) {
	for _, it := range items {
		fmt.Print(it.ID, " ")
	}
	fmt.Println(err)
}

func ExampleQuery_Page() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	page, err := items.QueryByCategory("home").Limit(2).Page(ctx)
	fmt.Println(len(page.Items), page.Next != "", err)
	// Output: 2 true <nil>
}

func ExampleQuery_After() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	q := items.RangeByPrice().Everything().Limit(2)
	first, _ := q.Page(ctx)
	second, err := q.After(first.Next).Page(ctx)
	show(second.Items, err)
	// Output: table <nil>
}

func ExampleQuery_Limit() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	show(items.RangeByPrice().Everything().Limit(2).Collect(ctx))
	// Output: lamp chair <nil>
}

func ExampleQuery_Offset() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	show(items.RangeByPrice().Everything().Offset(1).Collect(ctx))
	// Output: chair table <nil>
}

func ExampleQuery_Reverse() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	show(items.RangeByPrice().Everything().Reverse().Collect(ctx))
	// Output: table chair lamp <nil>
}

func ExampleQuery_Keys() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	keys, err := items.QueryByTags("new").Keys(ctx) // reads no documents
	fmt.Println(keys.Items, err)
	// Output: [chair lamp table] <nil>
}

func ExampleQuery_First() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	cheapest, err := items.RangeByPrice().Everything().First(ctx)
	fmt.Println(cheapest.ID, err)
	_, err = items.QueryByCategory("garden").First(ctx)
	fmt.Println(err)
	// Output:
	// lamp <nil>
	// kixx: query of item: not found
}

func ExampleQuery_All() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	for it, err := range items.RangeByPrice().From(20).All(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		it.Price++ // the loop is over one snapshot: what moves is not met again
		if _, err := items.Set(ctx, it); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(it.ID, it.Price)
	}
	// Output:
	// chair 21
	// table 31
}

func ExampleQuery_Collect() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	show(items.QueryByCategory("home").Collect(ctx))
	// Output: chair lamp table <nil>
}

func ExampleQuery_Count() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	n, err := items.RangeByPrice().Above(10).Count(ctx)
	fmt.Println(n, err)
	// Output: 2 <nil>
}

func ExampleQuery_WithDocs() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	entries, err := items.RangeByPriceRange().Everything().Limit(1).WithDocs().Collect(ctx)
	for _, e := range entries {
		fmt.Println(e.Key, e.ID, e.Value.Price, e.Doc.Category, err)
	}
	// Output: 000010-000019 lamp 10 home <nil>
}

func ExampleRange() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	price := items.RangeByPrice() // lamp 10, chair 20, table 30
	show(price.Everything().Collect(ctx))
	show(price.Is(20).Collect(ctx))
	show(price.From(20).Collect(ctx))
	show(price.Above(20).Collect(ctx))
	show(price.To(20).Collect(ctx))
	show(price.Below(20).Collect(ctx))
	show(price.Between(10, 20).Collect(ctx))
	show(price.FromBelow(10, 20).Collect(ctx))
	show(price.AboveTo(10, 20).Collect(ctx))
	least := 15.0
	show(price.Within(&least, nil).Collect(ctx)) // bounds that a form may have left open
	// Output:
	// lamp chair table <nil>
	// chair <nil>
	// chair table <nil>
	// table <nil>
	// lamp chair <nil>
	// lamp <nil>
	// lamp chair <nil>
	// lamp <nil>
	// chair <nil>
	// chair table <nil>
}

func ExampleRange_Between() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	// The fields of the index before the last one are given.
	show(items.RangeByCategoryPrice("home").Between(15, 30).Collect(ctx))
	// Output: table chair <nil>
}

func ExampleTextRange_Prefix() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	show(items.RangeByKey().Prefix("ta").Collect(ctx))
	// Output: table <nil>
}

func ExampleAllKeys() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	for key, err := range kixx.AllKeys(ctx, items.Query()) {
		fmt.Println(key, err, items.Delete(ctx, key))
	}
	// Output:
	// chair <nil> <nil>
	// lamp <nil> <nil>
	// table <nil> <nil>
}

func ExampleFixedQuery() {
	// In a hand-written fake of a repository.
	list := []*kinds.Item{{ID: "lamp"}, {ID: "chair"}}
	q := kixx.FixedQuery(list, func(it *kinds.Item) string { return it.ID }, nil)
	show(q.Limit(1).Collect(context.Background()))
	// Output: lamp <nil>
}
