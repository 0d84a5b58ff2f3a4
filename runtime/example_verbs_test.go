package kixx_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
)

// shelfOf returns the items of a new database in memory, with three of them.
func shelfOf(ctx context.Context) (*kixx.DB, *kinds.ItemRepo) {
	db, err := kixx.Open(ctx, "mem:")
	if err != nil {
		log.Fatal(err)
	}
	items, err := kinds.NewItemRepo(ctx, db)
	if err != nil {
		log.Fatal(err)
	}
	for i, title := range []string{"lamp", "chair", "table"} {
		it := &kinds.Item{ID: title, Title: title, SKU: fmt.Sprint("S-", i), Category: "home", Price: float64(10 * (i + 1)), Tags: []string{"new"}}
		if _, err := items.Insert(ctx, it); err != nil {
			log.Fatal(err)
		}
	}
	return db, items
}

func ExampleRepo_Get() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	it, err := items.Get(ctx, "lamp")
	fmt.Println(it.Title, it.Rev, err)
	_, err = items.Get(ctx, "sofa")
	fmt.Println(errors.Is(err, kixx.ErrNotFound), err)
	has, err := items.Has(ctx, "sofa")
	fmt.Println(has, err)
	two, err := items.GetMany(ctx, "table", "sofa")
	fmt.Println(two[0].Price, two[1] == nil, err)
	// Output:
	// lamp 0 <nil>
	// true kixx: item "sofa": there is no such document
	// false <nil>
	// 30 true <nil>
}

func ExampleRepo_Set() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	mine, _ := items.Get(ctx, "lamp")
	theirs, _ := items.Get(ctx, "lamp")
	theirs.Price = 12
	theirs, err := items.Set(ctx, theirs)
	fmt.Println(theirs.Rev, err)
	mine.Price = 9
	_, err = items.Set(ctx, mine)
	fmt.Println(err)
	mine, err = items.Overwrite(ctx, mine)
	fmt.Println(mine.Price, mine.Rev, err)
	// Output:
	// 1 <nil>
	// kixx: item "lamp": stored revision is 1, yours is 0; read it again or use Update
	// 9 2 <nil>
}

func ExampleRepo_Update() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	cheaper := func(it *kinds.Item) error { it.Price /= 2; return nil }
	it, err := items.Update(ctx, "lamp", cheaper)
	fmt.Println(it.Price, it.Rev, err)
	seen := it.Rev // the client of an HTTP API sends it back as If-Match
	it, err = items.UpdateIf(ctx, "lamp", seen, cheaper)
	fmt.Println(it.Price, err)
	_, err = items.UpdateIf(ctx, "lamp", seen, cheaper)
	fmt.Println(kixx.Code(err))
	it, err = items.Upsert(ctx, "sofa", func(it *kinds.Item) error {
		it.Title, it.SKU, it.Category = "sofa", "S-9", "home"
		return nil
	})
	fmt.Println(it.ID, it.Rev, err)
	// Output:
	// 5 1 <nil>
	// 2.5 <nil>
	// CONFLICT_ERROR
	// sofa 0 <nil>
}

func ExampleRepo_Delete() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	fmt.Println(items.DeleteIf(ctx, "lamp", kixx.RevOf(7)))
	fmt.Println(items.Delete(ctx, "lamp"))
	fmt.Println(items.Delete(ctx, "lamp"))
	// Output:
	// kixx: item "lamp": stored revision is 0, yours is 7; read it again or use Update
	// <nil>
	// kixx: item "lamp": there is no such document
}

func ExampleRepo_SetMany() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	lamp, _ := items.Get(ctx, "lamp")
	chair, _ := items.Get(ctx, "chair")
	lamp.SKU, chair.SKU = chair.SKU, lamp.SKU // unique values may change hands
	_, err := items.SetMany(ctx, lamp, chair)
	it, _ := items.GetBySKU(ctx, "S-0")
	fmt.Println(it.ID, err)
	// Output: chair <nil>
}

func ExampleRepo_Load() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	cups := func(yield func(*kinds.Item) bool) {
		for i := range 1000 {
			if !yield(&kinds.Item{ID: fmt.Sprint("cup-", i), Title: "cup", SKU: fmt.Sprint("C-", i), Category: "cup"}) {
				return
			}
		}
	}
	in, err := items.Load(ctx, cups, kixx.KeepExisting())
	fmt.Println(in, err)
	n, err := items.QueryByCategory("cup").Count(ctx)
	fmt.Println(n, err)
	// Output:
	// 1000 <nil>
	// 1000 <nil>
}

func ExampleQuery() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	q := items.RangeByPrice().From(10).Limit(2)
	page, err := q.Page(ctx)
	fmt.Println(len(page.Items), page.Items[0].ID, err)
	page, err = q.After(page.Next).Page(ctx) // the cursor may have been with a client
	fmt.Println(len(page.Items), page.Items[0].ID, page.Next == "", err)
	keys, err := items.QueryByTags("new").Reverse().Keys(ctx)
	fmt.Println(keys.Items, err)
	dearest, err := items.RangeByPrice().Everything().Reverse().First(ctx)
	fmt.Println(dearest.ID, err)
	// Output:
	// 2 lamp <nil>
	// 1 table true <nil>
	// [table lamp chair] <nil>
	// table <nil>
}

func ExampleDB_Tx() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	move := func(amount float64) error {
		return db.Tx(ctx, func(ctx context.Context, tx *kixx.Tx) error {
			items := items.With(tx)
			if _, err := items.Update(ctx, "lamp", func(it *kinds.Item) error { it.Price -= amount; return nil }); err != nil {
				return err
			}
			_, err := items.Update(ctx, "chair", func(it *kinds.Item) error { it.Price += amount; return nil })
			return err
		})
	}
	fmt.Println(move(4))
	fmt.Println(errors.Is(move(100), kixx.ErrInvalid)) // a price below zero: nothing is written
	lamp, _ := items.Get(ctx, "lamp")
	chair, _ := items.Get(ctx, "chair")
	fmt.Println(lamp.Price, chair.Price)
	// Output:
	// <nil>
	// true
	// 6 24
}

func ExampleDB_Snapshot() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	err := db.Snapshot(ctx, func(in context.Context, s *kixx.Snapshot) error {
		if err := items.Delete(ctx, "lamp"); err != nil { // outside
			return err
		}
		n, err := items.With(s).Count(in)
		fmt.Println("in the snapshot:", n)
		return err
	})
	n, _ := items.Count(ctx)
	fmt.Println("now:", n, err)
	// Output:
	// in the snapshot: 3
	// now: 2 <nil>
}

func ExampleRepo_Watch() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	var token kixx.Token
	err := db.Snapshot(ctx, func(ctx context.Context, s *kixx.Snapshot) error {
		token = s.Token()
		n, err := items.With(s).Count(ctx)
		fmt.Println(n, "items to begin with")
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	items.Update(ctx, "lamp", func(it *kinds.Item) error { it.Price = 5; return nil })
	items.Delete(ctx, "chair")
	told := 0
	for change, err := range items.Watch(ctx, token) {
		if err != nil {
			log.Fatal(err)
		}
		if change.Doc != nil {
			fmt.Println(change.Key, "costs", change.Doc.Price)
		} else {
			fmt.Println(change.Key, "is gone")
		}
		if told++; told == 2 {
			break
		}
	}
	// Output:
	// 3 items to begin with
	// lamp costs 5
	// chair is gone
}

// An entity with a field of the option deleted has a [kixx.SoftRepo].
func ExampleSoftRepo() {
	ctx := context.Background()
	db, err := kixx.Open(ctx, "mem:")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	memos, err := kinds.NewMemoRepo(ctx, db)
	if err != nil {
		log.Fatal(err)
	}
	memos.Insert(ctx, &kinds.Memo{ID: "m", Title: "to do"})
	fmt.Println(memos.Delete(ctx, "m"))
	_, err = memos.Get(ctx, "m")
	fmt.Println(err)
	n, err := memos.WithDeleted().Count(ctx)
	fmt.Println(n, err)
	m, err := memos.Restore(ctx, "m")
	fmt.Println(m.Title, m.Rev, err)
	fmt.Println(memos.Purge(ctx, "m"))
	// Output:
	// <nil>
	// kixx: memo "m": it is marked as deleted
	// 1 <nil>
	// to do 2 <nil>
	// <nil>
}

// With the option peek, an entity has methods that read documents without a copy.
func ExampleListView() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	peek, err := items.Peek(ctx, "lamp")
	fmt.Println(peek.Title(), peek.Tags().Len(), peek.Tags().At(0), err)
	// Output: lamp 1 new <nil>
}

func ExampleDB_Namespace() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	acme, err := db.Namespace(ctx, "acme")
	if err != nil {
		log.Fatal(err)
	}
	theirs, err := kinds.NewItemRepo(ctx, acme)
	if err != nil {
		log.Fatal(err)
	}
	ours, _ := items.Count(ctx)
	n, _ := theirs.Count(ctx)
	fmt.Println(ours, n)
	// Output: 3 0
}

func ExampleScopeOf() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	// A helper that works in a transaction and outside.
	count := func(ctx context.Context) (int, error) { return items.With(kixx.ScopeOf(ctx)).Count(ctx) }
	fmt.Println(count(ctx))
	err := db.Tx(ctx, func(ctx context.Context, tx *kixx.Tx) error {
		if err := items.With(tx).Delete(ctx, "lamp"); err != nil {
			return err
		}
		fmt.Println(count(ctx))
		return nil
	})
	fmt.Println(err)
	// Output:
	// 3 <nil>
	// 2 <nil>
	// <nil>
}
