package repotest

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
)

func testSetGivesRevisionsFromZeroUp(t *testing.T, p Place) {
	items := p.Items(t)
	it := Must[*kinds.Item](t)(items.Set(t.Context(), Item("a")))
	if s := it.Rev.String(); s != "0" {
		t.Fatalf("Rev after the first Set = %s, want 0", s)
	}
	it.Title = "Second"
	it = Must[*kinds.Item](t)(items.Set(t.Context(), it))
	if s := it.Rev.String(); s != "1" {
		t.Fatalf("Rev after the second Set = %s, want 1", s)
	}
	got := Must[*kinds.Item](t)(items.Get(t.Context(), "a"))
	if !reflect.DeepEqual(got, it) {
		t.Errorf("Get = %+v, want what Set returned: %+v", got, it)
	}
}

func testSetRefusesAnotherRevision(t *testing.T, p Place) {
	items := p.Items(t)
	first := Must[*kinds.Item](t)(items.Set(t.Context(), Item("a")))
	Must[*kinds.Item](t)(items.Set(t.Context(), first))
	_, err := items.Set(t.Context(), first)
	var ce *kixx.ConflictError
	if !errors.As(err, &ce) || !errors.Is(err, kixx.ErrConflict) || kixx.Code(err) != "CONFLICT_ERROR" {
		t.Fatalf("Set with an old Rev: %v, want a ConflictError", err)
	}
	if ce.Key != "a" || ce.Given.String() != "0" || ce.Stored.String() != "1" {
		t.Errorf("ConflictError = %+v, want key a, given 0, stored 1", ce)
	}
	if _, err := items.Set(t.Context(), Item("a")); !errors.Is(err, kixx.ErrConflict) {
		t.Errorf("Set with a zero Rev over a document: %v, want ErrConflict", err)
	}
	gone := Item("gone")
	gone.Rev = kixx.RevOf(3)
	if _, err := items.Set(t.Context(), gone); !errors.Is(err, kixx.ErrConflict) {
		t.Errorf("Set with a Rev where there is no document: %v, want ErrConflict", err)
	}
	bare := Item("a")
	bare.Rev = kixx.RevOf(1)
	if _, err := items.Set(t.Context(), bare); err != nil {
		t.Errorf("Set with the right bare number: %v", err)
	}
}

func testInsertOverwriteUpsertDelete(t *testing.T, p Place) {
	ctx := t.Context()
	items := p.Items(t)
	Must[*kinds.Item](t)(items.Insert(ctx, Item("a")))
	_, err := items.Insert(ctx, Item("a"))
	var ke *kixx.KeyError
	if !errors.Is(err, kixx.ErrExists) || !errors.As(err, &ke) || ke.Key != "a" {
		t.Errorf("second Insert: %v, want ErrExists with the key", err)
	}
	over := Item("a")
	over.Title = "Over"
	if it := Must[*kinds.Item](t)(items.Overwrite(ctx, over)); it.Rev.String() != "1" {
		t.Errorf("Rev after Overwrite = %v, want 1", it.Rev)
	}
	change := func(it *kinds.Item) error {
		if it.Rev.IsZero() {
			it.Title, it.SKU, it.Category = "Fresh", "sku-"+it.ID, "new"
			return nil
		}
		it.Title += "!"
		return nil
	}
	if it := Must[*kinds.Item](t)(items.Upsert(ctx, "a", change)); it.Title != "Over!" {
		t.Errorf("Upsert of a stored one: Title %q, want Over!", it.Title)
	}
	if it := Must[*kinds.Item](t)(items.Upsert(ctx, "b", change)); it.Title != "Fresh" || it.ID != "b" || it.Rev.String() != "0" {
		t.Errorf("Upsert of a new one = %+v", it)
	}
	if err := items.Delete(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if err := items.Delete(ctx, "a"); !errors.Is(err, kixx.ErrNotFound) {
		t.Errorf("second Delete: %v, want ErrNotFound", err)
	}
	if _, err := items.Get(ctx, "a"); !errors.Is(err, kixx.ErrNotFound) {
		t.Errorf("Get of a deleted one: %v, want ErrNotFound", err)
	}
	if has := Must[bool](t)(items.Has(ctx, "b")); !has {
		t.Error("Has(b) = false")
	}
	if has := Must[bool](t)(items.Has(ctx, "a")); has {
		t.Error("Has(a) = true after Delete")
	}
	if n := Must[int](t)(items.Count(ctx)); n != 1 {
		t.Errorf("Count = %d, want 1", n)
	}
	if _, err := items.GetBySKU(ctx, "sku-a"); !errors.Is(err, kixx.ErrNotFound) {
		t.Errorf("GetBySKU of a deleted one: %v, want ErrNotFound", err)
	}
}

func testADocumentMadeAnewIsAnotherOne(t *testing.T, p Place) {
	ctx := t.Context()
	items := p.Items(t)
	old := Must[*kinds.Item](t)(items.Insert(ctx, Item("a")))
	if err := items.Delete(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	now := Must[*kinds.Item](t)(items.Insert(ctx, Item("a")))
	if old.Rev.String() != now.Rev.String() {
		t.Fatalf("revisions %v and %v: the test wants the same number", old.Rev, now.Rev)
	}
	tag, err := kixx.ParseETag(old.Rev.ETag())
	if err != nil {
		t.Fatal(err)
	}
	nothing := func(*kinds.Item) error { return nil }
	for name, err := range map[string]error{
		"Set":      second(items.Set(ctx, old)),
		"UpdateIf": second(items.UpdateIf(ctx, "a", tag, nothing)),
		"DeleteIf": items.DeleteIf(ctx, "a", old.Rev),
		"no ETag":  second(items.UpdateIf(ctx, "a", kixx.Rev{}, nothing)),
	} {
		if !errors.Is(err, kixx.ErrConflict) {
			t.Errorf("%s with the Rev of the deleted document: %v, want ErrConflict", name, err)
		}
	}
	tag, _ = kixx.ParseETag(now.Rev.ETag())
	if _, err := items.UpdateIf(ctx, "a", tag, nothing); err != nil {
		t.Errorf("UpdateIf with the right ETag: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func testUpdateKeepsDocumentWhenCallbackFails(t *testing.T, p Place) {
	ctx := t.Context()
	items := p.Items(t)
	want := Must[*kinds.Item](t)(items.Insert(ctx, Item("a")))
	mine := errors.New("mine")
	if _, err := items.Update(ctx, "a", func(it *kinds.Item) error { it.Title = "x"; it.Tags[0] = "x"; return mine }); err != mine {
		t.Errorf("Update = %v, want the callback's error as it is", err)
	}
	tries := 0
	own := &kixx.ConflictError{Entity: "other"}
	if _, err := items.Update(ctx, "a", func(*kinds.Item) error { tries++; return own }); err != own || tries > 2 {
		// Where the cache is a guess, an error counts only after a second look at the stored document.
		t.Errorf("a callback's own conflict: error %v after %d tries, want it back at once", err, tries)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a panic of the callback did not come through")
			}
		}()
		items.Update(ctx, "a", func(it *kinds.Item) error { it.Title = "x"; panic("in the callback") })
	}()
	if _, err := items.Update(ctx, "a", func(it *kinds.Item) error { it.ID = "b"; return nil }); !errors.Is(err, kixx.ErrBadKey) {
		t.Errorf("Update that changes the key: %v, want ErrBadKey", err)
	}
	if got := Must[*kinds.Item](t)(items.Get(ctx, "a")); !reflect.DeepEqual(got, want) {
		t.Errorf("after failed updates Get = %+v, want %+v", got, want)
	}
	if _, err := items.Update(ctx, "a", func(it *kinds.Item) error { *it = *Item("a"); it.Title = "other"; return nil }); err != nil {
		t.Errorf("Update that replaces the struct: %v", err)
	}
	if _, err := items.Update(ctx, "none", func(*kinds.Item) error { return nil }); !errors.Is(err, kixx.ErrNotFound) {
		t.Errorf("Update of a missing one: %v, want ErrNotFound", err)
	}
}

func testDocumentsAreTheCallersOwn(t *testing.T, p Place) {
	ctx := t.Context()
	items := p.Items(t)
	in := Item("a")
	out := Must[*kinds.Item](t)(items.Set(ctx, in))
	if !in.Rev.IsZero() || !in.CreatedAt.IsZero() {
		t.Error("Set changed its argument")
	}
	var kept *kinds.Item
	tags := []string{"mine"}
	Must[*kinds.Item](t)(items.Update(ctx, "a", func(it *kinds.Item) error { kept = it; it.Tags = tags; return nil }))
	in.Tags[0], out.Tags[0], kept.Title, tags[0] = "x", "x", "x", "x"
	got := Must[*kinds.Item](t)(items.Get(ctx, "a"))
	got.Tags[0] = "x"
	page := Must[kixx.Page[*kinds.Item]](t)(items.QueryByCategory("toys").Page(ctx))
	page.Items[0].Tags[0] = "x"
	many := Must[[]*kinds.Item](t)(items.GetMany(ctx, "a", "none"))
	if many[1] != nil || many[0].Tags[0] != "mine" || many[0].Title != "Title of a" {
		t.Errorf("the stored document was changed from outside: %+v", many[0])
	}
}

func testClockSetsCreatedAndUpdated(t *testing.T, p Place) {
	ctx := t.Context()
	now := time.Date(2026, 1, 1, 12, 0, 0, 5, time.FixedZone("east", 3600))
	items := p.Items(t, kixx.WithClock(func() time.Time { return now }))
	in := Item("a")
	in.CreatedAt, in.UpdatedAt = time.Unix(1, 0), time.Unix(2, 0)
	first := Must[*kinds.Item](t)(items.Set(ctx, in))
	if !first.CreatedAt.Equal(now) || !first.UpdatedAt.Equal(now) || first.CreatedAt.Location() != time.UTC {
		t.Errorf("created %v, updated %v, want %v in UTC", first.CreatedAt, first.UpdatedAt, now)
	}
	created := now
	now = now.Add(time.Hour)
	first.CreatedAt = time.Unix(1, 0)
	next := Must[*kinds.Item](t)(items.Set(ctx, first))
	if !next.CreatedAt.Equal(created) || !next.UpdatedAt.Equal(now) {
		t.Errorf("created %v, updated %v; want %v kept and %v", next.CreatedAt, next.UpdatedAt, created, now)
	}
	now = now.Add(-24 * time.Hour)
	back := Must[*kinds.Item](t)(items.Update(ctx, "a", func(*kinds.Item) error { return nil }))
	if !back.UpdatedAt.Equal(next.UpdatedAt) {
		t.Errorf("with a clock that was put back, updated = %v, want %v", back.UpdatedAt, next.UpdatedAt)
	}
}

func testInvalidDocumentsAreRefusedWithEveryField(t *testing.T, p Place) {
	ctx := t.Context()
	items := p.Items(t)
	_, err := items.Set(ctx, &kinds.Item{ID: "a", Category: "secret value", Price: -1})
	var ie *kixx.InvalidError
	if !errors.As(err, &ie) || !errors.Is(err, kixx.ErrInvalid) {
		t.Fatalf("Set of an invalid one: %v, want an InvalidError", err)
	}
	want := []kixx.FieldError{{Field: "Title", Rule: "required"}, {Field: "SKU", Rule: "required"}, {Field: "Price", Rule: "gte=0"}}
	if !reflect.DeepEqual(ie.Fields, want) {
		t.Errorf("Fields = %v, want %v", ie.Fields, want)
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the message has a value in it: %v", err)
	}
	if has := Must[bool](t)(items.Has(ctx, "a")); has {
		t.Error("an invalid document was stored")
	}
	if _, err := items.Set(ctx, nil); !errors.Is(err, kixx.ErrInvalid) {
		t.Errorf("Set(nil): %v, want ErrInvalid", err)
	}
	if _, err := items.Set(ctx, Item("")); !errors.Is(err, kixx.ErrBadKey) {
		t.Errorf("Set with an empty key: %v, want ErrBadKey", err)
	}
	long := Item(strings.Repeat("k", 1100))
	var le *kixx.KeyLengthError
	if _, err := items.Set(ctx, long); !errors.As(err, &le) || !errors.Is(err, kixx.ErrTooLarge) || le.Index != "" {
		t.Errorf("Set with a long key: %v, want ErrTooLarge", err)
	}
	if _, err := items.Get(ctx, long.ID); !errors.Is(err, kixx.ErrNotFound) {
		t.Errorf("Get with a long key: %v, want ErrNotFound", err)
	}
	deep := Item("deep")
	deep.Category = strings.Repeat("c", 1100)
	if _, err := items.Set(ctx, deep); !errors.As(err, &le) || le.Index != "Category" && le.Index != "CategoryPrice" || le.Key != "deep" || le.Length < 1100 {
		t.Errorf("Set with a long index value: %v, want a KeyLengthError with the index", err)
	}
}

func testUniqueValuesHaveOneHolder(t *testing.T, p Place) {
	ctx := t.Context()
	items := p.Items(t)
	Put(t, items, Item("a"), Item("b"))
	b := Must[*kinds.Item](t)(items.Get(ctx, "b"))
	b.SKU = "sku-a"
	_, err := items.Set(ctx, b)
	var ue *kixx.UniqueError
	if !errors.As(err, &ue) || !errors.Is(err, kixx.ErrUnique) || ue.Index != "SKU" || ue.Holder != "a" || ue.Key != "b" {
		t.Fatalf("Set with a taken SKU: %v, want a UniqueError with index SKU and holder a", err)
	}
	a := Must[*kinds.Item](t)(items.GetBySKU(ctx, "sku-a"))
	a.SKU, b.SKU = "sku-b", "sku-a"
	if _, err := items.SetMany(ctx, a, b); err != nil {
		t.Fatalf("SetMany that swaps two unique values: %v", err)
	}
	if it := Must[*kinds.Item](t)(items.GetBySKU(ctx, "sku-a")); it.ID != "b" {
		t.Errorf("after the swap sku-a is of %s, want b", it.ID)
	}
	if it := Must[*kinds.Item](t)(items.GetBySKU(ctx, "sku-b")); it.ID != "a" {
		t.Errorf("after the swap sku-b is of %s, want a", it.ID)
	}
	c, d := Item("c"), Item("d")
	c.SKU, d.SKU = "same", "same"
	if _, err := items.SetMany(ctx, c, d); !errors.Is(err, kixx.ErrUnique) {
		t.Errorf("SetMany of two with one SKU: %v, want ErrUnique", err)
	}
	if _, err := items.SetMany(ctx, Item("e"), Item("e")); !errors.Is(err, kixx.ErrInvalid) {
		t.Errorf("SetMany of one key twice: %v, want ErrInvalid", err)
	}
	if err := items.Delete(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	c.SKU = "sku-b"
	if _, err := items.Set(ctx, c); err != nil {
		t.Errorf("Set with a SKU that became free: %v", err)
	}
}

func testSetManyIsAllOrNone(t *testing.T, p Place) {
	ctx := t.Context()
	items := p.Items(t)
	Put(t, items, Item("a"))
	if _, err := items.SetMany(ctx, Item("x"), Item("a"), Item("y")); !errors.Is(err, kixx.ErrConflict) {
		t.Fatalf("SetMany with one that is stored: %v, want ErrConflict", err)
	}
	if n := Must[int](t)(items.Count(ctx)); n != 1 {
		t.Errorf("after it there are %d documents, want 1", n)
	}
	out := Must[[]*kinds.Item](t)(items.SetMany(ctx, Item("x"), Item("y")))
	if len(out) != 2 || out[0].ID != "x" || out[1].Rev.String() != "0" {
		t.Errorf("SetMany = %v", out)
	}
	if out := Must[[]*kinds.Item](t)(items.SetMany(ctx)); len(out) != 0 {
		t.Errorf("SetMany of nothing = %v", out)
	}
}

func testHooksRunInTheirOrder(t *testing.T, p Place) {
	repo, err := kinds.NewHookedRepo(t.Context(), p.DB(t))
	if err != nil {
		t.Fatal(err)
	}
	var calls []string
	ctx := kinds.WithCalls(t.Context(), &calls)
	in := &kinds.Hooked{Name: "n"}
	h, err := repo.Insert(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	if len(h.ID) != 36 || h.ID[14] != '7' {
		t.Errorf("ID made by auto = %q, want the text of a UUID of version 7", h.ID)
	}
	if h.Name != "n" || len(h.Steps) != 1 || in.Steps != nil || in.ID != "" {
		t.Errorf("Insert = %+v, argument then %+v; want one step from BeforeSet, and AfterSet's change on a copy", h, in)
	}
	for _, name := range []string{"refused by BeforeSet", "refused by Validate"} {
		if _, err := repo.Insert(ctx, &kinds.Hooked{Name: name}); !errors.Is(err, kixx.ErrInvalid) {
			t.Errorf("Insert %s: %v, want ErrInvalid", name, err)
		}
	}
	if h, err := repo.Insert(ctx, &kinds.Hooked{ID: "p", Name: "panics in AfterSet"}); err == nil || h == nil {
		t.Errorf("a panic in AfterSet: document %v, error %v; want both", h, err)
	}
	if has := Must[bool](t)(repo.Has(ctx, "p")); !has {
		t.Error("the write does not stand after a panic in AfterSet")
	}
	kept := Must[*kinds.Hooked](t)(repo.Insert(ctx, &kinds.Hooked{Name: "kept"}))
	if err := repo.Delete(ctx, kept.ID); err == nil {
		t.Error("Delete went on although BeforeDelete refused")
	}
	if !kixxHas(ctx, t, repo, kept.ID) {
		t.Error("BeforeDelete refused, and it is gone")
	}
	want := "before n,after n,before refused by BeforeSet,before refused by Validate,before panics in AfterSet,after panics in AfterSet,before kept,after kept,delete kept"
	if got := strings.Join(calls, ","); p.Coherent && got != want {
		t.Errorf("calls = %s, want %s", got, want)
	}
}

func kixxHas(ctx context.Context, t *testing.T, repo *kinds.HookedRepo, id string) bool {
	t.Helper()
	return Must[bool](t)(repo.Has(ctx, id))
}

func testClosedDatabase(t *testing.T, p Place) {
	ctx := t.Context()
	db := p.DB(t)
	items := NewItems(t, db)
	Put(t, items, Item("a"))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, getErr := items.Get(ctx, "a")
	_, setErr := items.Set(ctx, Item("b"))
	_, pageErr := items.Query().Page(ctx)
	_, allErr := items.Query().Collect(ctx)
	for name, err := range map[string]error{"Get": getErr, "Set": setErr, "Page": pageErr, "All": allErr} {
		if !errors.Is(err, kixx.ErrClosed) {
			t.Errorf("%s after Close: %v, want ErrClosed", name, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func testADocumentThatContainsItselfIsRefused(t *testing.T, p Place) {
	ctx := t.Context()
	repo := Must[*kinds.EveryRepo](t)(kinds.NewEveryRepo(ctx, p.DB(t)))
	loop := &kinds.Dims{}
	loop.Inner = loop
	if _, err := repo.Insert(ctx, &kinds.Every{ID: 1, PtrDims: loop}); !errors.Is(err, kixx.ErrInvalid) {
		t.Errorf("Insert: %v, want ErrInvalid", err)
	}
	Must[*kinds.Every](t)(repo.Insert(ctx, &kinds.Every{ID: 1}))
	if _, err := repo.Update(ctx, 1, func(e *kinds.Every) error { e.Dims.Inner = loop; return nil }); !errors.Is(err, kixx.ErrInvalid) {
		t.Errorf("Update: %v, want ErrInvalid", err)
	}
	if _, err := repo.SetMany(ctx, &kinds.Every{ID: 2, Structs: []kinds.Dims{{Inner: loop}}}); !errors.Is(err, kixx.ErrInvalid) {
		t.Errorf("SetMany: %v, want ErrInvalid", err)
	}
}
