package kixxtest_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kixxgen/kixxgen/examples/inventory"
	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/kixxtest"
)

func Example() {
	t, end := kixxtest.FakeT() // in a test: its *testing.T, and no end
	defer end()

	db := kixxtest.Open(t)
	items, err := inventory.NewItemRepo(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	kixxtest.Load(t, items, "testdata/items.jsonl")

	list, err := items.QueryByCategory("electronics").Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range list {
		fmt.Println(it.ID, it.Title, it.CreatedAt.Format(time.TimeOnly))
	}
	// Output:
	// item:lamp Desk lamp 03:04:05
	// item:radio Radio 03:04:09
}

// Does the code under test try again when another writer is faster?
func ExampleKit_ConflictNext() {
	t, end := kixxtest.FakeT()
	defer end()
	kit := kixxtest.New(t)
	items, err := inventory.NewItemRepo(t.Context(), kit.DB)
	if err != nil {
		t.Fatal(err)
	}
	kixxtest.Load(t, items, "testdata/items.jsonl")

	lamp, err := items.Get(t.Context(), "item:lamp")
	if err != nil {
		t.Fatal(err)
	}
	kit.ConflictNext(1)
	_, err = items.Set(t.Context(), lamp)
	fmt.Println(err)

	kit.ConflictNext(3)
	lamp, err = items.Update(t.Context(), "item:lamp", func(it *inventory.Item) error { it.Price++; return nil })
	fmt.Println(lamp.Price, err)
	// Output:
	// kixx: item "item:lamp": stored revision is 1, yours is 0; read it again or use Update
	// 30.99 <nil>
}

// Does what several steps do survive a power cut between any two of them?
func ExampleKit_CrashAfter() {
	t, end := kixxtest.FakeT()
	defer end()

	sellLamp := func(ctx context.Context, db *kixx.DB, items *inventory.ItemRepo) error {
		return db.Tx(ctx, func(ctx context.Context, tx *kixx.Tx) error {
			items := items.With(tx)
			if err := items.Delete(ctx, "item:lamp"); err != nil {
				return err
			}
			_, err := items.Insert(ctx, &inventory.Item{ID: "receipt", Title: "A lamp was sold", SKU: "1", Category: "receipts"})
			return err
		})
	}
	for n, met := 0, true; met; n++ {
		kit := kixxtest.New(t)
		items, err := inventory.NewItemRepo(t.Context(), kit.DB)
		if err != nil {
			t.Fatal(err)
		}
		kixxtest.Load(t, items, "testdata/items.jsonl")

		kit.CrashAfter(n)
		sold := sellLamp(t.Context(), kit.DB, items)
		met = kit.Crashed()

		if items, err = inventory.NewItemRepo(t.Context(), kit.Reopen()); err != nil {
			t.Fatal(err)
		}
		lamp, _ := items.Has(t.Context(), "item:lamp")
		receipt, _ := items.Has(t.Context(), "receipt")
		if lamp == receipt {
			fmt.Printf("crash %d: lamp %v, receipt %v\n", n, lamp, receipt)
		}
		if sold == nil && lamp {
			fmt.Printf("crash %d: it was sold, and is still there\n", n)
		}
		if sold != nil && !errors.Is(sold, kixxtest.ErrCrashed) {
			t.Fatal(sold)
		}
	}
	fmt.Println("there is always a lamp or a receipt")
	// Output: there is always a lamp or a receipt
}

func ExampleNewClock() {
	clock := kixxtest.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), time.Minute) // kixxtest.Open(t, kixx.WithClock(clock.Now))
	fmt.Println(clock.Now().Format(time.TimeOnly))
	fmt.Println(clock.Now().Format(time.TimeOnly))
	clock.Advance(24 * time.Hour)
	fmt.Println(clock.Now().Format(time.DateTime))
	// Output:
	// 12:00:00
	// 12:01:00
	// 2026-03-02 12:02:00
}
