package inventory_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/examples/inventory"
	"github.com/kixxgen/kixxgen/examples/inventory/before"
	kixx "github.com/kixxgen/kixxgen/runtime"
)

// The tests of this file are the examples of the datastore that kixxgen grew out of, one after the other, on files.

var day = time.Date(2024, 1, 15, 12, 0, 0, 0, time.UTC)

// open opens a database in dir whose clock goes one second with every look.
func open(t *testing.T, dir string) (*kixx.DB, *inventory.ItemRepo) {
	t.Helper()
	var seconds atomic.Int64
	db, err := kixx.Open(t.Context(), "file:"+dir, kixx.WithClock(func() time.Time { return day.Add(time.Duration(seconds.Add(1)) * time.Second) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	items, err := inventory.NewItemRepo(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	return db, items
}

func sample(id string) *inventory.Item {
	return &inventory.Item{ID: id, Title: "Sample Item", Description: "This is a sample item", SKU: "sku of " + id, Price: 29.99, Category: "electronics"}
}

func TestCreateReadUpdateDelete(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	db, items := open(t, dir)

	// Create a new document: its revision is managed, and begins with 0.
	item, err := items.Set(ctx, sample("item:123"))
	if err != nil || item.Rev.String() != "0" {
		t.Fatalf("Set = %v, %v, want revision 0", item, err)
	}
	text, err := json.Marshal(item)
	if err != nil || !strings.Contains(string(text), `"_rev":0`) {
		t.Errorf("JSON = %s, %v, want _rev 0 in it", text, err)
	}

	// Generate a unique id.
	made, err := items.Insert(ctx, &inventory.Item{Title: "Made", SKU: "made", Category: "electronics"})
	if err != nil || len(made.ID) != 36 {
		t.Errorf("Insert without an ID = %+v, %v, want a UUID", made, err)
	}

	// Get a single document: a copy, or an error that says it is not there.
	got, err := items.Get(ctx, "item:123")
	if err != nil {
		t.Fatal(err)
	}
	got.Title = "changed outside"
	if again, _ := items.Get(ctx, "item:123"); again.Title != "Sample Item" {
		t.Error("Get did not return a copy")
	}
	if _, err := items.Get(ctx, "item:none"); !errors.Is(err, kixx.ErrNotFound) {
		t.Errorf("Get of a missing one: %v, want ErrNotFound", err)
	}

	// Update with optimistic concurrency control.
	item, err = items.Update(ctx, "item:123", func(it *inventory.Item) error { it.Title = "Updated Title"; return nil })
	if err != nil || item.Rev.String() != "1" || !item.UpdatedAt.After(item.CreatedAt) {
		t.Errorf("Update = %+v, %v, want revision 1 and a later updatedAt", item, err)
	}
	if _, err := items.Update(ctx, "item:none", func(*inventory.Item) error { return nil }); !errors.Is(err, kixx.ErrNotFound) {
		t.Errorf("Update of a missing one: %v, want ErrNotFound", err)
	}

	// A copy that is out of date is refused, with the code of the original.
	if _, err := items.Set(ctx, got); kixx.Code(err) != "CONFLICT_ERROR" {
		t.Errorf("Set of an old copy: %v, want CONFLICT_ERROR", err)
	}
	// Consistency check disabled: the last write wins.
	if over, err := items.Overwrite(ctx, got); err != nil || over.Rev.String() != "2" {
		t.Errorf("Overwrite = %v, %v, want revision 2", over, err)
	}

	// Soft delete as a mark of one's own.
	at := day
	if _, err := items.Update(ctx, "item:123", func(it *inventory.Item) error { it.DeletedAt = &at; return nil }); err != nil {
		t.Error(err)
	}

	// Closed and opened again, everything is there.
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, items = open(t, dir)
	if item, err := items.Get(ctx, "item:123"); err != nil || item.Rev.String() != "3" || !item.DeletedAt.Equal(at) {
		t.Errorf("after opening again: %+v, %v", item, err)
	}
	if err := items.Delete(ctx, "item:123"); err != nil {
		t.Error(err)
	}
	if _, err := items.Get(ctx, "item:123"); !errors.Is(err, kixx.ErrNotFound) {
		t.Errorf("Get of a deleted one: %v, want ErrNotFound", err)
	}
}

func TestQueryByKeys(t *testing.T) {
	ctx := t.Context()
	_, items := open(t, t.TempDir())
	for i := range 65 {
		if _, err := items.Set(ctx, sample(fmt.Sprintf("item:2024-%02d-%02d", 1+i/31, 1+i%31))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := items.Set(ctx, sample("other:1")); err != nil {
		t.Fatal(err)
	}

	// By prefix, where the original asked for a range up to \uffff.
	all, err := items.RangeByKey().Prefix("item:").Collect(ctx)
	if err != nil || len(all) != 65 {
		t.Errorf("Prefix(item:) finds %d, %v, want 65", len(all), err)
	}
	page, err := items.RangeByKey().Prefix("item:").Limit(50).Page(ctx)
	if err != nil || len(page.Items) != 50 || page.Next == "" {
		t.Errorf("a page of 50 = %d items, next %q, %v", len(page.Items), page.Next, err)
	}
	// Keys alone.
	keys, err := items.RangeByKey().Prefix("item:").Limit(10).Keys(ctx)
	if err != nil || len(keys.Items) != 10 || keys.Items[0] != "item:2024-01-01" {
		t.Errorf("Keys = %v, %v", keys.Items, err)
	}
	// A range of keys.
	january, err := items.RangeByKey().Between("item:2024-01-01", "item:2024-01-31").Collect(ctx)
	if err != nil || len(january) != 31 {
		t.Errorf("January has %d items, %v, want 31", len(january), err)
	}
	// The original's inclusiveStartIndex and exclusiveEndIndex: skip 40, most recent first.
	q := items.RangeByKey().Prefix("item:").Reverse().Offset(40).Limit(20)
	page, err = q.Page(ctx)
	if err != nil || len(page.Items) != 20 || page.Items[0].ID != "item:2024-01-25" {
		t.Fatalf("20 from 40, descending: %d items from %v, %v", len(page.Items), page.Items[0].ID, err)
	}
	if end := 40 + len(page.Items); page.Next == "" || end != 60 {
		t.Errorf("exclusiveEndIndex = %d, next %q; want 60 and a next page", end, page.Next)
	}
	page, err = q.Offset(0).After(page.Next).Page(ctx)
	if err != nil || len(page.Items) != 5 || page.Next != "" {
		t.Errorf("the last page = %d items, next %q, %v; want 5 and no next", len(page.Items), page.Next, err)
	}
}

func TestViews(t *testing.T) {
	ctx := t.Context()
	_, items := open(t, t.TempDir())
	for i := range 30 {
		it := sample(fmt.Sprintf("item:%02d", i))
		it.Price, it.Category = float64(i), []string{"electronics", "books"}[i%2]
		if _, err := items.Set(ctx, it); err != nil {
			t.Fatal(err)
		}
	}
	// Items by category.
	page, err := items.QueryByCategory("electronics").Limit(20).Page(ctx)
	if err != nil || len(page.Items) != 15 {
		t.Errorf("electronics: %d items, %v, want 15", len(page.Items), err)
	}
	if prefixed, err := items.RangeByCategory().Prefix("electr").Count(ctx); err != nil || prefixed != 15 {
		t.Errorf("categories that begin with electr: %d, %v, want 15", prefixed, err)
	}
	// Items by price range: key, value, and the document if it is asked for.
	lines, err := items.QueryByPriceRange("0010-0019").WithDocs().Collect(ctx)
	if err != nil || len(lines) != 10 {
		t.Fatalf("0010-0019: %d entries, %v, want 10", len(lines), err)
	}
	for _, e := range lines {
		if low := math.Floor(e.Value.Price/10) * 10; low != 10 || e.Doc.ID != e.ID || e.Doc.Price != e.Value.Price {
			t.Errorf("entry of %s: key %s, value %+v, document %+v", e.ID, e.Key, e.Value, e.Doc)
		}
	}
	// Items by date.
	if n, err := items.QueryByDate("2024-01-15").Count(ctx); err != nil || n != 30 {
		t.Errorf("items of 2024-01-15: %d, %v, want 30", n, err)
	}
}

// The retry strategy of the original, written by hand there, is Update itself.
func TestConcurrentUpdates(t *testing.T) {
	ctx := context.Background()
	_, items := open(t, t.TempDir())
	if _, err := items.Set(ctx, sample("item:1")); err != nil {
		t.Fatal(err)
	}
	const writers, each = 4, 25
	done := make(chan error)
	for range writers {
		go func() {
			for range each {
				if _, err := items.Update(ctx, "item:1", func(it *inventory.Item) error { it.Price++; return nil }); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	it, err := items.Get(ctx, "item:1")
	if err != nil || it.Rev.String() != fmt.Sprint(writers*each) || it.Price != 29.99+writers*each {
		t.Errorf("after %d updates: revision %v, price %v, %v", writers*each, it.Rev, it.Price, err)
	}
}

// openNotes opens a database in dir with the notes of the present version.
func openNotes(t *testing.T, dir string) (*kixx.DB, *inventory.NoteRepo) {
	t.Helper()
	db, _ := open(t, dir)
	notes, err := inventory.NewNoteRepo(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	return db, notes
}

// The original marks a document as deleted by hand, and every query finds it all the same.
func TestSoftDelete(t *testing.T) {
	ctx := t.Context()
	_, notes := openNotes(t, t.TempDir())
	for _, id := range []string{"note:1", "note:2"} {
		if _, err := notes.Insert(ctx, &inventory.Note{ID: id, ItemID: "item:1", Title: "On the lamp"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := notes.Delete(ctx, "note:1"); err != nil {
		t.Fatal(err)
	}
	if found, err := notes.QueryByItemID("item:1").Collect(ctx); err != nil || len(found) != 1 || found[0].ID != "note:2" {
		t.Errorf("a query finds %v, %v, want note:2 alone", found, err)
	}
	if _, err := notes.Get(ctx, "note:1"); !errors.Is(err, kixx.ErrNotFound) {
		t.Errorf("Get of a deleted note: %v, want ErrNotFound", err)
	}
	gone, err := notes.WithDeleted().Get(ctx, "note:1")
	if err != nil || gone.DeletedAt == nil || gone.Rev.String() != "1" {
		t.Errorf("WithDeleted = %+v, %v, want a mark and revision 1", gone, err)
	}
	if _, err := notes.Restore(ctx, "note:1"); err != nil {
		t.Error(err)
	}
	if n, err := notes.Count(ctx); n != 2 || err != nil {
		t.Errorf("%d notes, %v, want 2", n, err)
	}
}

// The original's strategies do not do what they are called: retry looks for an error with a name that none has, merge is
// left to the reader, and last-wins can conflict, since it reads a revision and stores it.
func TestConflictResolution(t *testing.T) {
	ctx := t.Context()
	_, notes := openNotes(t, t.TempDir())
	base, err := notes.Insert(ctx, &inventory.Note{ID: "n", ItemID: "item:1", Title: "T", Labels: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}

	// Retry: another writer is first, twice, and the update goes through.
	tries := 0
	retried, err := notes.Update(ctx, "n", func(n *inventory.Note) error {
		if tries++; tries <= 2 {
			if _, err := notes.Overwrite(ctx, &inventory.Note{ID: "n", ItemID: "item:1", Title: fmt.Sprint("other ", tries), Labels: []string{"a"}}); err != nil {
				return err
			}
		}
		n.Text = "mine"
		return nil
	})
	if err != nil || tries != 3 || retried.Title != "other 2" || retried.Text != "mine" {
		t.Errorf("Update = %+v, %v after %d tries, want the third one on top of the other writer's", retried, err, tries)
	}

	// Merge: both sides count.
	mine := *base
	mine.Stars, mine.Labels = 5, []string{"a", "b"}
	merged, err := notes.Merge(ctx, base, &mine)
	if err != nil || merged.Stars != 5 || merged.Title != "other 2" || merged.Text != "mine" || len(merged.Labels) != 2 {
		t.Errorf("Merge = %+v, %v, want what both sides have changed", merged, err)
	}
	mine.Text = "yours"
	var conflict *kixx.MergeError
	if _, err := notes.Merge(ctx, base, &mine); !errors.As(err, &conflict) || len(conflict.Fields) != 1 || conflict.Fields[0] != "Text" {
		t.Errorf("Merge of two texts: %v, want a MergeError for Text", err)
	}

	// Last wins: it cannot conflict, however many do it at once.
	done := make(chan error)
	for i := range 8 {
		go func() {
			for range 20 {
				if _, err := notes.Overwrite(ctx, &inventory.Note{ID: "n", Title: fmt.Sprint(i)}); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Errorf("Overwrite: %v", err)
		}
	}
	last, err := notes.Get(ctx, "n")
	if n, _ := last.Rev.Number(); err != nil || n != 164 {
		t.Errorf("revision %v, %v, want 164: every write counts", last.Rev, err)
	}
}

// A callback that throws while it has the lock stops the original for ever.
func TestACallbackThatPanicsHoldsUpNobody(t *testing.T) {
	ctx := t.Context()
	_, items := open(t, t.TempDir())
	if _, err := items.Set(ctx, sample("item:1")); err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic did not come back")
			}
		}()
		items.Update(ctx, "item:1", func(*inventory.Item) error { panic("oops") })
	}()
	it, err := items.Update(ctx, "item:1", func(it *inventory.Item) error { it.Price = 1; return nil })
	if err != nil || it.Rev.String() != "1" {
		t.Errorf("the next update = %v, %v, want revision 1", it, err)
	}
}

// A migration of the original ends with its first page of a hundred, counts a total that is undefined, and loses what was
// written while it ran.
func TestMigration(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	const total = 10_000
	db, err := kixx.Open(ctx, "file:"+dir)
	if err != nil {
		t.Fatal(err)
	}
	old, err := before.NewNoteRepo(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	in, err := old.Load(ctx, func(yield func(*before.Note) bool) {
		for i := range total {
			if !yield(&before.Note{ID: fmt.Sprintf("note:%05d", i), ItemID: fmt.Sprint("item:", i%10), Name: fmt.Sprint("Name ", i)}) {
				return
			}
		}
	})
	if in != total || err != nil {
		t.Fatalf("Load = %d, %v", in, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	// The new version reads old documents at once, and writes some before the migration.
	_, notes := openNotes(t, dir)
	n, err := notes.Get(ctx, "note:00042")
	if err != nil || n.Title != "Name 42" || n.Stars != 3 {
		t.Errorf("an old document = %+v, %v, want its name as the title, and 3 stars", n, err)
	}
	for i := range 25 {
		if _, err := notes.Update(ctx, fmt.Sprintf("note:%05d", i), func(n *inventory.Note) error { n.Stars = 0; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	dry, err := notes.Migrate(ctx, kixx.MigrateOptions{DryRun: true})
	if err != nil || dry.Total != total || dry.Migrated != total-25 {
		t.Errorf("dry run: %+v, %v", dry, err)
	}
	report, err := notes.Migrate(ctx, kixx.MigrateOptions{})
	if err != nil || report.Total != total || report.Migrated != total-25 || report.Unchanged != 25 || len(report.Failed) != 0 {
		t.Errorf("Migrate = %+v, %v, want %d migrated and 25 unchanged of %d", report, err, total-25, total)
	}
	again, err := notes.Migrate(ctx, kixx.MigrateOptions{})
	if err != nil || again.Migrated != 0 || again.Unchanged != total {
		t.Errorf("the second Migrate = %+v, %v, want nothing left", again, err)
	}
	if c, err := notes.QueryByItemID("item:7").Count(ctx); err != nil || c != total/10 {
		t.Errorf("%d notes of an item, %v, want %d", c, err, total/10)
	}
	count := 0
	for n, err := range notes.All(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		want := 3
		if count < 25 {
			want = 0
		}
		if n.Title != fmt.Sprint("Name ", count) || n.Stars != want {
			t.Fatalf("note %d = %+v, want its title and %d stars", count, n, want)
		}
		count++
	}
	if count != total {
		t.Errorf("%d notes are left of %d", count, total)
	}
}

// A range up to \uffff leaves out what lies behind U+FFFF, and pages by offset skip or repeat what others move.
func TestTrapsOfPaging(t *testing.T) {
	ctx := t.Context()
	_, items := open(t, t.TempDir())
	for _, id := range []string{"item:a", "item:\uffff", "item:\U0001F600", "item:\U0010FFFF", "itemize"} {
		if _, err := items.Set(ctx, sample(id)); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := items.RangeByKey().Prefix("item:").Count(ctx); n != 4 || err != nil {
		t.Errorf("%d keys begin with item:, %v, want 4", n, err)
	}

	for i := range 40 {
		if _, err := items.Set(ctx, sample(fmt.Sprintf("page:%02d", i))); err != nil {
			t.Fatal(err)
		}
	}
	q := items.RangeByKey().Prefix("page:").Limit(10)
	var met []string
	for first := true; ; first = false {
		page, err := q.Page(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range page.Items {
			met = append(met, it.ID)
		}
		if first { // by offset, the next page would begin three too late
			for i := range 3 {
				if err := items.Delete(ctx, fmt.Sprintf("page:%02d", i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if page.Next == "" {
			break
		}
		q = q.After(page.Next)
	}
	for i, id := range met {
		if want := fmt.Sprintf("page:%02d", i); id != want {
			t.Fatalf("element %d is %s, want %s: each once, though others wrote", i, id, want)
		}
	}
	if len(met) != 40 {
		t.Errorf("%d elements, want 40", len(met))
	}
}
