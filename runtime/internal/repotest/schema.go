package repotest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	kixx "github.com/kixxgen/kixxgen/runtime"
	v1 "github.com/kixxgen/kixxgen/runtime/internal/kinds/v1"
	v2 "github.com/kixxgen/kixxgen/runtime/internal/kinds/v2"
	"github.com/kixxgen/kixxgen/runtime/store"
)

// Versions opens one store for yesterday's and for today's application, one after the other or both at once.
type Versions struct {
	T     *testing.T
	Store store.Store // stays open until the test ends
}

// NewVersions returns versions at a place.
func NewVersions(t *testing.T, p Place) *Versions {
	st := p.Open(t)
	t.Cleanup(func() { st.Close() })
	return &Versions{t, KeepOpen{st}}
}

// DB opens a database that is closed when the test ends.
func (v *Versions) DB() *kixx.DB {
	db := Must[*kixx.DB](v.T)(kixx.OpenStore(v.T.Context(), v.Store))
	v.T.Cleanup(func() { db.Close() })
	return db
}

// Old opens the repository of yesterday's application.
func (v *Versions) Old() *v1.ThingRepo {
	return Must[*v1.ThingRepo](v.T)(v1.NewThingRepo(v.T.Context(), v.DB()))
}

// New opens the repository of today's application.
func (v *Versions) New() *v2.ThingRepo {
	return Must[*v2.ThingRepo](v.T)(v2.NewThingRepo(v.T.Context(), v.DB()))
}

func testAnOldBinaryLosesNoFieldAndLeavesNoIndexThatLies(t *testing.T, p Place) {
	ctx := t.Context()
	v := NewVersions(t, p)
	today := v.New()
	Must[*v2.Thing](t)(today.Insert(ctx, &v2.Thing{ID: "a", Name: "n", Size: 5, Color: "red", Part: v2.Part{A: 1, B: "kept"}}))
	Must[*v2.Thing](t)(today.Insert(ctx, &v2.Thing{ID: "b", Name: "n", Size: 25, Color: "red"}))

	yesterday := v.Old()
	if _, err := yesterday.Update(ctx, "a", func(th *v1.Thing) error { th.Name, th.Part.A, th.Size = "m", 2, 35; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := yesterday.Delete(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	Must[*v1.Thing](t)(yesterday.Insert(ctx, &v1.Thing{ID: "c", Name: "n", Size: 45}))

	got := Must[*v2.Thing](t)(today.Get(ctx, "a"))
	if got.Color != "red" || got.Part != (v2.Part{A: 2, B: "kept"}) || got.Name != "m" {
		t.Errorf("after an update by yesterday's binary: %+v, want Color red, Part {2 kept}", got)
	}
	// The instance that was open all the while must not answer from an index that nobody keeps.
	if _, err := today.QueryByColor("red").Page(ctx); !errors.Is(err, kixx.ErrBuilding) {
		t.Errorf("a query on the stale index: %v, want ErrBuilding", err)
	}
	if _, err := today.QueryByColor("red").Collect(ctx); !errors.Is(err, kixx.ErrBuilding) {
		t.Errorf("Collect on the stale index: %v, want ErrBuilding", err)
	}
	if _, err := today.QueryByColor("red").Count(ctx); !errors.Is(err, kixx.ErrBuilding) {
		t.Errorf("Count on the stale index: %v, want ErrBuilding", err)
	}
	// Opened again, it is built again.
	again := v.New()
	list := Must[[]*v2.Thing](t)(again.QueryByColor("red").Collect(ctx))
	if len(list) != 1 || list[0].ID != "a" {
		t.Errorf("the rebuilt index finds %v, want a alone", list)
	}
	if list := Must[[]*v2.Thing](t)(again.QueryByName("n").Collect(ctx)); len(list) != 1 || list[0].ID != "c" {
		t.Errorf("the index that both keep finds %v, want c alone", list)
	}
}

func testAChangedViewIsBuiltAnew(t *testing.T, p Place) {
	ctx := t.Context()
	v := NewVersions(t, p)
	yesterday := v.Old()
	for i := range 60 {
		Must[*v1.Thing](t)(yesterday.Insert(ctx, &v1.Thing{ID: fmt.Sprint(i), Name: fmt.Sprint("n", i), Size: i}))
	}
	today := v.New()
	CheckView(t, today)
	// Both write for a while; whatever is open answers right, or says that it cannot.
	for i := range 10 {
		if i%2 == 0 {
			Must[*v1.Thing](t)(yesterday.Update(ctx, fmt.Sprint(i), func(th *v1.Thing) error { th.Size += 31; return nil }))
		} else {
			Must[*v2.Thing](t)(today.Update(ctx, fmt.Sprint(i), func(th *v2.Thing) error { th.Size += 31; return nil }))
		}
		if _, err := today.QueryBySize(20).Collect(ctx); err != nil && !errors.Is(err, kixx.ErrBuilding) {
			t.Fatal(err)
		}
	}
	CheckView(t, v.New())
}

// CheckView compares every query of the view with a scan of all documents.
func CheckView(t *testing.T, things *v2.ThingRepo) {
	t.Helper()
	ctx := context.Background()
	want := make(map[int]int)
	for th, err := range things.All(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		want[th.Size/20*20]++
	}
	entries := Must[[]*v2.ThingBySize](t)(things.RangeBySize().Everything().WithDocs().Collect(ctx))
	got := make(map[int]int)
	for _, e := range entries {
		got[e.Key]++
		if e.Doc.Size/20*20 != e.Key || e.Value != e.Doc.Name {
			t.Fatalf("the view's entry of %s = %d, %q; the document is %+v", e.ID, e.Key, e.Value, e.Doc)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the view counts %v, a scan %v", got, want)
	}
	for key, n := range want {
		if found := Must[int](t)(things.QueryBySize(key).Count(ctx)); found != n {
			t.Errorf("QueryBySize(%d) finds %d, a scan %d", key, found, n)
		}
	}
}

func testNewIndexesAreBuiltBeforeNewRepoReturns(t *testing.T, p Place) {
	ctx := t.Context()
	v := NewVersions(t, p)
	yesterday := v.Old()
	n := Count(300, 3000, 30_000)
	if !p.Coherent {
		n = 300
	}
	for i := range n {
		Must[*v1.Thing](t)(yesterday.Insert(ctx, &v1.Thing{ID: fmt.Sprintf("%06d", i), Name: "n", Size: i % 100}))
	}
	today := v.New()
	if got := Must[int](t)(today.QueryByColor("").Count(ctx)); got != n {
		t.Errorf("the new index has %d entries, want %d", got, n)
	}
	CheckView(t, today)
}

func testOneNameForTwoTypesIsRefused(t *testing.T, p Place) {
	v := NewVersions(t, p)
	db := v.DB()
	Must[*v1.ThingRepo](t)(v1.NewThingRepo(t.Context(), db))
	if _, err := v2.NewThingRepo(t.Context(), db); !errors.Is(err, kixx.ErrSchema) {
		t.Errorf("a second Go type with the name thing in one program: %v, want ErrSchema", err)
	}
}

func testRetypedFieldIsRefused(t *testing.T, p Place) {
	v := NewVersions(t, p)
	Must[*v1.ThingRepo](t)(v1.NewThingRepo(t.Context(), v.DB()))
	type thing struct{ ID string }
	s := &kixx.Schema[*thing, string]{Name: "thing", Fields: []kixx.Field{{Name: "id", Type: "string"}, {Name: "size", Type: "text"}}}
	if _, err := kixx.NewRepo(t.Context(), v.DB(), s); !errors.Is(err, kixx.ErrSchema) {
		t.Errorf("a field of another type than the stored one: %v, want ErrSchema", err)
	}
}

// CommitHook is a store that calls Before ahead of each commit.
type CommitHook struct {
	store.Store
	Before func(b *store.Batch)
}

// Commit calls Before and then the store.

func (h CommitHook) Commit(ctx context.Context, b *store.Batch) (store.Version, error) {
	h.Before(b)
	return h.Store.Commit(ctx, b)
}

func testADocumentThatChangesDuringABuildIsIndexedAsItIs(t *testing.T, p Place) {
	ctx := t.Context()
	v := NewVersions(t, p)
	today := v.New()
	Must[*v2.Thing](t)(today.Insert(ctx, &v2.Thing{ID: "a", Color: "red"}))
	Must[*v1.Thing](t)(v.Old().Update(ctx, "a", func(th *v1.Thing) error { th.Size++; return nil })) // the index is stale now
	changed := 0
	builder := Must[*kixx.DB](t)(kixx.OpenStore(ctx, CommitHook{v.Store, func(b *store.Batch) {
		// The builder has read the document, and is about to write its entry. The first change sets an index of
		// yesterday's to stale, which the fence meets; the second changes nothing but the document.
		if len(b.Ops) > 0 && !b.Ops[0].Delete && len(b.Fences) > 0 && changed < 2 {
			changed++
			color := []string{"green", "blue"}[changed-1]
			Must[*v2.Thing](t)(today.Update(ctx, "a", func(th *v2.Thing) error { th.Color = color; return nil }))
		}
	}}))
	defer builder.Close()
	again := Must[*v2.ThingRepo](t)(v2.NewThingRepo(ctx, builder))
	if changed != 2 {
		t.Fatalf("the build was met %d times, want twice", changed)
	}
	all, blue := Must[int](t)(again.RangeByColor().Everything().Count(ctx)), Must[int](t)(again.QueryByColor("blue").Count(ctx))
	if all != 1 || blue != 1 {
		t.Errorf("the index has %d entries, %d of them blue; want the blue one alone", all, blue)
	}
}
