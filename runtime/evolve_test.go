package kixx_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	kixx "github.com/kixxgen/kixxgen/runtime"
	v1 "github.com/kixxgen/kixxgen/runtime/internal/kinds/v1"
	v2 "github.com/kixxgen/kixxgen/runtime/internal/kinds/v2"
	v3 "github.com/kixxgen/kixxgen/runtime/internal/kinds/v3"
	"github.com/kixxgen/kixxgen/runtime/internal/repotest"
	"github.com/kixxgen/kixxgen/runtime/store"
)

func (v *versions) next() *v3.ThingRepo {
	return must[*v3.ThingRepo](v.T)(v3.NewThingRepo(v.T.Context(), v.DB()))
}

func text(s string) *string { return &s }

func TestARenamedFieldIsReadByOldAndNewBinaries(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		ctx := t.Context()
		v := newVersions(t, p)
		yesterday, today := v.Old(), v.New()
		must[*v1.Thing](t)(yesterday.Insert(ctx, &v1.Thing{ID: "a", Label: "first"}))
		a := must[*v2.Thing](t)(today.Get(ctx, "a"))
		if a.Title != "first" {
			t.Fatalf("today's binary reads the title %q of a document whose label was written by yesterday's, want first", a.Title)
		}
		a.Title = "second"
		must[*v2.Thing](t)(today.Set(ctx, a))
		if got := must[*v1.Thing](t)(yesterday.Get(ctx, "a")); got.Label != "second" {
			t.Fatalf("yesterday's binary reads the label %q of a document whose title is second", got.Label)
		}
		// It changes something else: the name must not be lost, nor an old one come back.
		must[*v1.Thing](t)(yesterday.Update(ctx, "a", func(th *v1.Thing) error { th.Size = 3; return nil }))
		if got := must[*v2.Thing](t)(today.Get(ctx, "a")); got.Title != "second" || got.Size != 3 {
			t.Fatalf("after an update by yesterday's binary: %+v, want the title second", got)
		}
		// It changes the name: a carried value of the new one would be the older.
		must[*v1.Thing](t)(yesterday.Update(ctx, "a", func(th *v1.Thing) error { th.Label = "third"; return nil }))
		if got := must[*v2.Thing](t)(today.Get(ctx, "a")); got.Title != "third" {
			t.Fatalf("after yesterday's binary changed the label to third, today's reads %q", got.Title)
		}
	})
}

func TestADefaultHoldsWhereTheWriterLackedTheField(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		ctx := t.Context()
		v := newVersions(t, p)
		yesterday, today := v.Old(), v.New()
		must[*v1.Thing](t)(yesterday.Insert(ctx, &v1.Thing{ID: "old"}))
		must[*v2.Thing](t)(today.Insert(ctx, &v2.Thing{ID: "zero", Stock: 0}))
		must[*v1.Thing](t)(yesterday.Update(ctx, "zero", func(th *v1.Thing) error { th.Size = 1; return nil })) // carries the 0
		must[*v2.Thing](t)(today.Insert(ctx, &v2.Thing{ID: "zero too"}))
		for id, want := range map[string]int{"old": 7, "zero": 0, "zero too": 0} {
			if got := must[*v2.Thing](t)(today.Get(ctx, id)); got.Stock != want {
				t.Errorf("stock of %s = %d, want %d", id, got.Stock, want)
			}
		}
		again := v.New()
		if n := must[int](t)(again.QueryByStock(7).Count(ctx)); n != 1 {
			t.Errorf("the index finds %d documents with the default, want 1", n)
		}
		must[*v2.Thing](t)(again.Update(ctx, "old", func(th *v2.Thing) error { th.Stock = 8; return nil }))
		if n := must[int](t)(again.RangeByStock().Everything().Count(ctx)); n != 3 {
			t.Errorf("the index has %d entries, want one of each of 3 documents", n)
		}
	})
}

func TestMigrationsFollowInOrderAndDropsAreNotCarried(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		ctx := t.Context()
		v := newVersions(t, p)
		must[*v1.Thing](t)(v.Old().Insert(ctx, &v1.Thing{ID: "one", Name: "n", Label: "l", Size: 5}))
		today := v.New()
		must[*v2.Thing](t)(today.Insert(ctx, &v2.Thing{ID: "two", Name: "m", Title: "k", Size: 6, Stock: 1, Color: "red", Part: v2.Part{A: 1, B: "b"}}))
		must[*v2.Thing](t)(today.Insert(ctx, &v2.Thing{ID: "bad", Size: -1}))
		tomorrow := must[*v3.ThingRepo](t)(v3.NewThingRepo(ctx, must[*kixx.DB](t)(kixx.OpenStore(ctx, v.Store, kixx.WithBuild(kixx.Background)))))
		defer closeOf(t, tomorrow.Repo)
		for id, want := range map[string]v3.Thing{
			"one": {ID: "one", Title: "l", Full: "n/l", Size: "5 cm", Stock: 7},
			"two": {ID: "two", Title: "k", Full: "m/k", Size: "6 cm", Stock: 1, Part: v3.Part{A: 1}},
		} {
			got := must[*v3.Thing](t)(tomorrow.Get(ctx, id))
			want.Rev = got.Rev
			if !reflect.DeepEqual(*got, want) {
				t.Errorf("tomorrow's binary reads %+v, want %+v", got, want)
			}
		}
		if _, err := tomorrow.Get(ctx, "bad"); err == nil || !strings.Contains(err.Error(), "size is no number from 0 on") {
			t.Errorf("a document that cannot be migrated: %v, want what its migration says", err)
		}
		// What it writes, today's binary refuses: the size is text now.
		must[*v3.Thing](t)(tomorrow.Update(ctx, "two", func(th *v3.Thing) error { return nil }))
		for _, item := range must[[]store.Item](t)(v.Store.Page(ctx, store.Page{Limit: 1000})) {
			if value := string(item.Value); strings.Contains(value, "6 cm") && strings.Contains(value, "m/k") && strings.Contains(value, "color") {
				t.Errorf("a dropped field is written again: %q", value)
			}
		}
		if _, err := today.Get(ctx, "two"); !errors.Is(err, kixx.ErrSchema) {
			t.Errorf("today's binary reads a document of a later level: %v, want ErrSchema", err)
		}
		if _, err := today.Overwrite(ctx, &v2.Thing{ID: "two"}); !errors.Is(err, kixx.ErrSchema) {
			t.Errorf("today's binary overwrites a document of a later level: %v, want ErrSchema", err)
		}
		if got := must[*v2.Thing](t)(today.Get(ctx, "one")); got.Title != "l" || got.Size != 5 {
			t.Errorf("today's binary reads %+v, which was not rewritten", got)
		}
	})
}

// closeOf closes the database that a repository was opened with alone.
func closeOf[D any, K comparable](t *testing.T, r kixx.Repo[D, K]) {
	t.Helper()
	if err := kixx.DatabaseOf(&r).Close(); err != nil {
		t.Error(err)
	}
}

// A third version, older than the renamed field, carries it under whichever name it has; the version between them, which has
// been open all the while, reads it and hands it on.
func TestACarriedRenamedFieldIsFound(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		ctx := t.Context()
		v := newVersions(t, p)
		old := must[kixx.Repo[*v1.Thing, string]](t)(kixx.NewRepo(ctx, v.DB(), kixx.Without(v1Schema(v), "label")))
		yesterday, today := v.Old(), v.New()
		must[*v2.Thing](t)(today.Insert(ctx, &v2.Thing{ID: "a", Title: "kept"}))
		must[*v1.Thing](t)(old.Update(ctx, "a", func(th *v1.Thing) error { th.Size++; return nil }))
		if got := must[*v1.Thing](t)(yesterday.Get(ctx, "a")); got.Label != "kept" {
			t.Errorf("yesterday's binary reads the label %q, want kept", got.Label)
		}
		must[*v1.Thing](t)(yesterday.Update(ctx, "a", func(th *v1.Thing) error { th.Size++; return nil }))
		must[*v1.Thing](t)(old.Update(ctx, "a", func(th *v1.Thing) error { th.Size++; return nil }))
		if got := must[*v2.Thing](t)(today.Get(ctx, "a")); got.Title != "kept" || got.Size != 3 {
			t.Errorf("today's binary reads %+v, want the title kept and size 3", got)
		}
	})
}

// v1Schema returns the schema of yesterday.
func v1Schema(v *versions) *kixx.Schema[*v1.Thing, string] {
	return kixx.SchemaOf(&v.Old().Repo)
}

// turnDocs are the documents that the versions of a rolling upgrade write, as the union of their fields.
type turnDoc struct {
	name, title   string
	size, stock   int
	color, serial string
	part          v2.Part
}

// Two versions of a program take turns on one database: nothing is lost, and after each turn every query of the one whose
// turn it is equals a full scan.
func TestRollingUpgradeTwentyTurns(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		ctx := t.Context()
		v := newVersions(t, p)
		want := make(map[string]turnDoc)
		docs := count(30, 100, 300)
		id := func(i int) string { return fmt.Sprintf("%03d", i) }
		for turn := range 20 {
			db := must[*kixx.DB](t)(kixx.OpenStore(ctx, v.Store))
			if turn%2 == 0 {
				things := must[*v1.ThingRepo](t)(v1.NewThingRepo(ctx, db))
				for i := turn; i < docs; i += 3 {
					d, there := want[id(i)]
					if there && i%7 == turn%7 {
						if err := things.Delete(ctx, id(i)); err != nil {
							t.Fatal(err)
						}
						delete(want, id(i))
						continue
					}
					d.name, d.size, d.part.A = fmt.Sprint("n", turn%5), turn*i%90, turn
					if i%2 == 0 || !there {
						d.title = fmt.Sprintf("label %d", turn)
					}
					d.serial = fmt.Sprintf("serial %d", i)
					if !there {
						d.stock = 7
					}
					must[*v1.Thing](t)(things.Upsert(ctx, id(i), func(th *v1.Thing) error {
						th.Name, th.Size, th.Label, th.Serial, th.Part.A = d.name, d.size, d.title, &d.serial, d.part.A
						th.Code = &th.ID
						return nil
					}))
					want[id(i)] = d
				}
				checkOld(t, things, want)
			} else {
				things := must[*v2.ThingRepo](t)(v2.NewThingRepo(ctx, db))
				for i := turn; i < docs; i += 2 {
					d := want[id(i)]
					d.color, d.stock, d.part.B, d.size = fmt.Sprint("color", turn%3), turn%4, fmt.Sprint("b", turn), turn*i%70
					if i%3 == 0 {
						d.title = fmt.Sprintf("title %d", turn)
					}
					must[*v2.Thing](t)(things.Upsert(ctx, id(i), func(th *v2.Thing) error {
						th.Color, th.Stock, th.Part.B, th.Size, th.Title = d.color, d.stock, d.part.B, d.size, d.title
						th.Code = &th.ID
						return nil
					}))
					want[id(i)] = d
				}
				checkNew(t, things, want)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if t.Failed() {
				t.Fatalf("in turn %d", turn)
			}
		}
		t.Logf("20 turns, %d documents", len(want))
	})
}

// serialOf returns the serial of a document, "" if there is none.
func serialOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// checkOld compares every query of yesterday's version with the documents.
func checkOld(t *testing.T, things *v1.ThingRepo, want map[string]turnDoc) {
	t.Helper()
	ctx := context.Background()
	var scan []*v1.Thing
	for th, err := range things.All(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		d := want[th.ID]
		if got := (turnDoc{name: th.Name, title: th.Label, size: th.Size, serial: serialOf(th.Serial), part: v2.Part{A: th.Part.A}}); got != (turnDoc{name: d.name, title: d.title, size: d.size, serial: d.serial, part: v2.Part{A: d.part.A}}) {
			t.Errorf("document %s is %+v, want %+v", th.ID, got, d)
		}
		scan = append(scan, th)
	}
	if len(scan) != len(want) {
		t.Errorf("%d documents, want %d", len(scan), len(want))
	}
	sameAsScan(t, "Name", scan, func(th *v1.Thing) string { return th.Name }, things.QueryByName, func(th *v1.Thing) string { return th.ID })
	sameAsScan(t, "Label", scan, func(th *v1.Thing) string { return th.Label }, things.QueryByLabel, func(th *v1.Thing) string { return th.ID })
	serials := 0
	for _, th := range scan {
		if th.Serial == nil {
			continue
		}
		serials++
		if got := must[*v1.Thing](t)(things.GetBySerial(ctx, *th.Serial)); got.ID != th.ID {
			t.Errorf("GetBySerial(%q) = %s, want %s", *th.Serial, got.ID, th.ID)
		}
	}
	if n := must[int](t)(things.RangeBySerial().Everything().Count(ctx)); n != serials {
		t.Errorf("the unique index Serial has %d entries, want %d", n, serials)
	}
	entries := must[[]*v1.ThingBySize](t)(things.RangeBySize().Everything().WithDocs().Collect(ctx))
	for _, e := range entries {
		if e.Doc == nil || e.Doc.Size/10*10 != e.Key || e.Value != e.Doc.Name {
			t.Errorf("the view has %s = %d, %q, the document is %+v", e.ID, e.Key, e.Value, e.Doc)
		}
	}
	if len(entries) != len(scan) {
		t.Errorf("the view has %d entries, want %d", len(entries), len(scan))
	}
}

// checkNew compares every query of today's version with the documents.
func checkNew(t *testing.T, things *v2.ThingRepo, want map[string]turnDoc) {
	t.Helper()
	ctx := context.Background()
	var scan []*v2.Thing
	for th, err := range things.All(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if got := (turnDoc{th.Name, th.Title, th.Size, th.Stock, th.Color, serialOf(th.Serial), th.Part}); got != want[th.ID] {
			t.Errorf("document %s is %+v, want %+v", th.ID, got, want[th.ID])
		}
		scan = append(scan, th)
	}
	if len(scan) != len(want) {
		t.Errorf("%d documents, want %d", len(scan), len(want))
	}
	id := func(th *v2.Thing) string { return th.ID }
	sameAsScan(t, "Name", scan, func(th *v2.Thing) string { return th.Name }, things.QueryByName, id)
	sameAsScan(t, "Title", scan, func(th *v2.Thing) string { return th.Title }, things.QueryByTitle, id)
	sameAsScan(t, "Color", scan, func(th *v2.Thing) string { return th.Color }, things.QueryByColor, id)
	sameAsScan(t, "Stock", scan, func(th *v2.Thing) int { return th.Stock }, things.QueryByStock, id)
	for _, th := range scan {
		if got := must[*v2.Thing](t)(things.GetByCode(ctx, *th.Code)); got.ID != th.ID {
			t.Errorf("GetByCode(%q) = %s, want %s", *th.Code, got.ID, th.ID)
		}
	}
	if n := must[int](t)(things.RangeByCode().Everything().Count(ctx)); n != len(scan) {
		t.Errorf("the unique index Code has %d entries, want %d", n, len(scan))
	}
	repotest.CheckView(t, things)
}

// sameAsScan compares what a query of an index finds, for every value, with what a scan finds.
func sameAsScan[D any, V comparable](t *testing.T, index string, scan []D, value func(D) V, query func(V) kixx.Query[D, string], id func(D) string) {
	t.Helper()
	found := make(map[V][]string)
	for _, d := range scan {
		found[value(d)] = append(found[value(d)], id(d))
	}
	for v, want := range found {
		var got []string
		for _, d := range must[[]D](t)(query(v).Collect(context.Background())) {
			got = append(got, id(d))
		}
		if !slices.Equal(got, want) {
			t.Errorf("QueryBy%s(%v) finds %v, a scan %v", index, v, got, want)
		}
	}
}

// BenchmarkRead reads documents that are not in the cache: of the program's own schema, and of an older one.
func BenchmarkRead(b *testing.B) {
	for _, name := range []string{"own schema", "older schema"} {
		b.Run(name, func(b *testing.B) {
			ctx := context.Background()
			st := repotest.KeepOpen{Store: memory(b).Open(b)}
			db := must[*kixx.DB](b)(kixx.OpenStore(ctx, st))
			fillCodes(b, must[*v1.ThingRepo](b)(v1.NewThingRepo(ctx, db)), 100, own)
			db = must[*kixx.DB](b)(kixx.OpenStore(ctx, st, kixx.WithCacheBytes(0)))
			things := must[*v2.ThingRepo](b)(v2.NewThingRepo(ctx, db))
			if name == "own schema" {
				must[kixx.Report[string]](b)(things.Migrate(ctx, kixx.MigrateOptions{}))
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := things.Get(ctx, "00050"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
