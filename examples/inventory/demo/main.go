// Command demo stores a few items in files, asks for them in every way, and finds them again when it is run anew.
//
//	go run ./examples/inventory/demo [-db file:./data]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"github.com/kixxgen/kixxgen/examples/inventory"
	kixx "github.com/kixxgen/kixxgen/runtime"
)

func main() {
	url := flag.String("db", "file:"+filepath.Join(os.TempDir(), "kixx-inventory"), "what to open: file:DIR or mem:")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, *url); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, w io.Writer, url string) (err error) {
	db, err := kixx.Open(ctx, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	items, err := inventory.NewItemRepo(ctx, db)
	if err != nil {
		return err
	}
	found, err := items.Count(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s holds %d items\n\n", url, found)

	// The documents of the first run are still there in the second: Upsert takes either.
	for _, it := range stock {
		stored, err := items.Upsert(ctx, it.ID, func(stored *inventory.Item) error {
			rev := stored.Rev
			*stored = it
			stored.Rev = rev
			return nil
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "stored  %-10s revision %v\n", stored.ID, stored.Rev)
	}

	// An update reads, changes and writes; nobody's change in between is lost.
	lamp, err := items.Update(ctx, "item:lamp", func(it *inventory.Item) error {
		it.Price = 39.99
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "updated %-10s revision %v, price %.2f\n", lamp.ID, lamp.Rev, lamp.Price)

	// A copy that was read before somebody else wrote is refused.
	stale, err := items.Get(ctx, "item:chair")
	if err != nil {
		return err
	}
	if _, err := items.Update(ctx, "item:chair", func(it *inventory.Item) error { it.Price++; return nil }); err != nil {
		return err
	}
	_, err = items.Set(ctx, stale)
	fmt.Fprintf(w, "refused %-10s %s: %v\n", stale.ID, kixx.Code(err), err)

	// What breaks a rule is refused with every field that does.
	_, err = items.Insert(ctx, &inventory.Item{Title: "No SKU", Price: -1})
	fmt.Fprintf(w, "refused            %s: %v\n\n", kixx.Code(err), err)

	fmt.Fprintln(w, "electronics, two at a time, the dearest first:")
	q := items.RangeByCategoryPrice("electronics").Everything().Limit(2)
	for n := 1; ; n++ {
		page, err := q.Page(ctx)
		if err != nil {
			return err
		}
		for _, it := range page.Items {
			fmt.Fprintf(w, "  page %d  %-22s %7.2f\n", n, it.Title, it.Price)
		}
		if page.Next == "" {
			break
		}
		q = q.After(page.Next)
	}

	fmt.Fprintln(w, "on sale:")
	for it, err := range items.QueryByTags("sale").All(ctx) {
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "  %-30s %7.2f\n", it.Title, it.Price)
	}

	fmt.Fprintln(w, "the view ByPriceRange, from 10 to 49:")
	for e, err := range items.RangeByPriceRange().FromBelow("0010", "0050").All(ctx) {
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "  %s  %s\n", e.Key, e.Value.Title)
	}
	count, err := items.Count(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%d items are stored; run it again, and they are found.\n", count)
	return nil
}

var stock = []inventory.Item{
	{ID: "item:lamp", Title: "Desk lamp", SKU: "L-100", Category: "electronics", Price: 29.99, Tags: []string{"sale", "light"}},
	{ID: "item:radio", Title: "Radio", SKU: "R-200", Category: "electronics", Price: 59, Tags: []string{"sound"}},
	{ID: "item:phone", Title: "Telephone", SKU: "P-300", Category: "electronics", Price: 199.5, Tags: []string{"sale"}},
	{ID: "item:chair", Title: "Chair", SKU: "C-400", Category: "furniture", Price: 45, Tags: []string{"wood"}},
	{ID: "item:table", Title: "Table", SKU: "T-500", Category: "furniture", Price: 120, Tags: []string{"wood", "sale"}},
	{ID: "item:rug", Title: "Rug", SKU: "G-600", Category: "furniture", Price: 18, Tags: []string{}},
}
