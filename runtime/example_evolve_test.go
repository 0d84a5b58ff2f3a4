package kixx_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	yesterday "github.com/kixxgen/kixxgen/runtime/internal/kinds/v1"
	today "github.com/kixxgen/kixxgen/runtime/internal/kinds/v2"
)

// storedYesterday returns the URL of a database to which yesterday's version of a program wrote documents, and what removes it.
func storedYesterday(ctx context.Context) (url string, remove func()) {
	dir, err := os.MkdirTemp("", "kixx")
	if err != nil {
		log.Fatal(err)
	}
	url = "file:" + filepath.Join(dir, "data")
	db, err := kixx.Open(ctx, url)
	if err != nil {
		log.Fatal(err)
	}
	things, err := yesterday.NewThingRepo(ctx, db)
	if err != nil {
		log.Fatal(err)
	}
	for i := range 120 {
		if _, err := things.Insert(ctx, &yesterday.Thing{ID: fmt.Sprintf("thing-%03d", i), Label: "lamp"}); err != nil {
			log.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		log.Fatal(err)
	}
	return url, func() { os.RemoveAll(dir) }
}

// Today's version of a program calls the label of a thing its title, kixx:"was=label", and gives it a stock,
// kixx:"default=7". Documents of yesterday's version are read right; Migrate rewrites them.
func ExampleRepo_Migrate() {
	ctx := context.Background()
	url, remove := storedYesterday(ctx)
	defer remove()
	db, err := kixx.Open(ctx, url)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	things, err := today.NewThingRepo(ctx, db)
	if err != nil {
		log.Fatal(err)
	}
	th, err := things.Get(ctx, "thing-001")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(th.Title, th.Stock)

	report, err := things.Migrate(ctx, kixx.MigrateOptions{
		Progress: func(p kixx.MigrateProgress) { fmt.Println(p.Total, "documents") },
	})
	if err != nil {
		log.Fatal(err) // interrupted: call it again
	}
	fmt.Printf("%d migrated, %d unchanged\n", report.Migrated, report.Unchanged)
	for _, f := range report.Failed {
		fmt.Println(f.Key, f.Err)
	}
	// Output:
	// lamp 7
	// 50 documents
	// 100 documents
	// 120 documents
	// 120 migrated, 0 unchanged
}

// A server may answer requests while the new indexes are built: only queries that need them wait.
func ExampleDB_Ready() {
	ctx := context.Background()
	url, remove := storedYesterday(ctx)
	defer remove()
	db, err := kixx.Open(ctx, url, kixx.WithBuild(kixx.Background))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	things, err := today.NewThingRepo(ctx, db) // returns at once
	if err != nil {
		log.Fatal(err)
	}
	if _, err := things.Get(ctx, "thing-001"); err != nil {
		log.Fatal(err)
	}
	// Before this, things.QueryByStock may be kixx.ErrBuilding, with how far the build is.
	if err := db.Ready(ctx); err != nil {
		log.Fatal(err)
	}
	n, err := things.QueryByStock(7).Count(ctx)
	fmt.Println(n, err)
	// Output: 120 <nil>
}

// With the default, repositories wait for their indexes.
func ExampleWithBuild() {
	ctx := context.Background()
	for _, mode := range []kixx.BuildMode{kixx.Foreground, kixx.Background} {
		db, err := kixx.Open(ctx, "mem:", kixx.WithBuild(mode))
		if err != nil {
			log.Fatal(err)
		}
		things, err := today.NewThingRepo(ctx, db)
		if err != nil {
			log.Fatal(err)
		}
		n, err := things.QueryByStock(7).Count(ctx) // an empty database has nothing to build
		fmt.Println(n, err)
		if err := db.Close(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// 0 <nil>
	// 0 <nil>
}

// A migration works on the raw document, under stored names.
func ExampleFields() {
	priceToCents := func(doc *kixx.Fields) error { // //kixx:migrate 1 func=priceToCents
		price, ok := doc.Get("price").(float64)
		if !ok {
			return fmt.Errorf("price is %v, want a number", doc.Get("price"))
		}
		doc.Set("price", int64(price*100))
		doc.Rename("name", "title")
		if doc.Has("discount") {
			doc.Delete("discount")
		}
		return nil
	}
	var doc kixx.Fields
	doc.Set("name", "lamp")
	doc.Set("price", 12.5)
	doc.Set("discount", true)
	err := priceToCents(&doc)
	fmt.Println(doc.Names(), doc.Get("title"), doc.Get("price"), err)
	// Output: [title price] lamp 1250 <nil>
}

func ExampleDB_Compact() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "shop")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	db, err := kixx.Open(ctx, "file:"+dir+"?sync=none")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	items, err := kinds.NewItemRepo(ctx, db)
	if err != nil {
		log.Fatal(err)
	}
	lamp, err := items.Insert(ctx, &kinds.Item{ID: "lamp", Title: "Lamp", SKU: "L-1", Category: "light"})
	for range 1000 {
		lamp.Price++
		if lamp, err = items.Set(ctx, lamp); err != nil {
			log.Fatal(err)
		}
	}
	// After a night of imports and clean-up, say: give back now what would be given back in time.
	if err := db.Compact(ctx); err != nil {
		log.Fatal(err)
	}
	lamp, err = items.Get(ctx, "lamp")
	fmt.Println(lamp.Price, err)
	// Output: 1000 <nil>
}
