package kixx_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	kixx "github.com/kixxgen/kixxgen/runtime"
	v1 "github.com/kixxgen/kixxgen/runtime/internal/kinds/v1"
	v2 "github.com/kixxgen/kixxgen/runtime/internal/kinds/v2"
	v3 "github.com/kixxgen/kixxgen/runtime/internal/kinds/v3"
	"github.com/kixxgen/kixxgen/runtime/internal/repotest"
	"github.com/kixxgen/kixxgen/runtime/store"
)

// fill stores n documents of yesterday's version; of those whose number bad says, the migration of tomorrow's fails.
func fill(t testing.TB, things *v1.ThingRepo, n int, bad func(i int) bool) {
	t.Helper()
	docs := func(yield func(*v1.Thing) bool) {
		for i := range n {
			th := &v1.Thing{ID: fmt.Sprintf("%05d", i), Name: "n", Label: fmt.Sprint("label ", i), Size: i % 90}
			if bad(i) {
				th.Size = -1
			}
			if !yield(th) {
				return
			}
		}
	}
	var batch []*v1.Thing
	for th := range docs {
		if batch = append(batch, th); len(batch) == 20 {
			must[[]*v1.Thing](t)(things.SetMany(t.Context(), batch...))
			batch = nil
		}
	}
	if len(batch) > 0 {
		must[[]*v1.Thing](t)(things.SetMany(t.Context(), batch...))
	}
}

// background opens a repository of tomorrow's version whose builds nobody waits for.
func (v *versions) background() (*kixx.DB, *v3.ThingRepo) {
	db := must[*kixx.DB](v.T)(kixx.OpenStore(v.T.Context(), v.Store, kixx.WithBuild(kixx.Background)))
	v.T.Cleanup(func() { db.Close() })
	return db, must[*v3.ThingRepo](v.T)(v3.NewThingRepo(v.T.Context(), db))
}

// The migration of the documents that the seed shows goes as far as the first page. This one goes to the end, and says of
// each document that it could not migrate which one it was and why.
func TestMigrateRewritesTenThousandDocuments(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		ctx := t.Context()
		v := newVersions(t, p)
		const n = 10_000
		isBad := func(i int) bool { return i%1000 == 3 }
		yesterday := v.Old()
		fill(t, yesterday, n, isBad)
		bad := n / 1000
		_, err := v3.NewThingRepo(ctx, v.DB())
		const hint = "opened with WithBuild(Background), Migrate with DryRun lists all documents like that"
		if err == nil || !strings.Contains(err.Error(), `thing "00003"`) || !strings.Contains(err.Error(), hint) {
			t.Errorf("an index is to be built over documents that cannot be read: %v, want an error with the first one's key, and %q", err, hint)
		}
		db, things := v.background()
		if err := db.Ready(ctx); err == nil {
			t.Error("an index was built over documents that cannot be read")
		}
		var building *kixx.BuildingError
		if _, err := things.QueryBySize("1 cm").Count(ctx); !errors.As(err, &building) || !strings.Contains(err.Error(), `thing \"00003\"`) {
			t.Errorf("a query of the index: %v, want a BuildingError that says why it was not built", err)
		}
		var wrote int
		if p.Coherent && !p.Durable {
			must[*v3.Thing](t)(things.Update(ctx, "00010", func(th *v3.Thing) error { return nil }))
			wrote = 1
		}
		want := kixx.Report[string]{Total: n, Migrated: n - bad - wrote, Unchanged: wrote}
		check := func(what string, got kixx.Report[string], err error) {
			t.Helper()
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if got.Total != want.Total || got.Migrated != want.Migrated || got.Unchanged != want.Unchanged || len(got.Failed) != bad {
				t.Fatalf("%s: %d total, %d migrated, %d unchanged, %d failed; want %d, %d, %d, %d", what, got.Total, got.Migrated, got.Unchanged, len(got.Failed),
					want.Total, want.Migrated, want.Unchanged, bad)
			}
			for i, f := range got.Failed {
				if f.Key != fmt.Sprintf("%05d", i*1000+3) || f.Err == nil {
					t.Errorf("%s: failed: %s, %v", what, f.Key, f.Err)
				}
			}
		}
		var got kixx.Report[string]
		got, err = things.Migrate(ctx, kixx.MigrateOptions{DryRun: true})
		check("dry run", got, err)
		var last kixx.MigrateProgress
		calls := 0
		got, err = things.Migrate(ctx, kixx.MigrateOptions{Progress: func(p kixx.MigrateProgress) {
			if p.Total <= last.Total || p.Total != p.Migrated+p.Unchanged+p.Failed {
				t.Errorf("progress %+v after %+v", p, last)
			}
			last, calls = p, calls+1
		}})
		check("migration", got, err)
		if last != (kixx.MigrateProgress{Total: n, Migrated: want.Migrated, Unchanged: wrote, Failed: bad}) || calls < n/50 {
			t.Errorf("the last of %d reports of progress is %+v", calls, last)
		}
		want.Migrated, want.Unchanged = 0, n-bad
		got, err = things.Migrate(ctx, kixx.MigrateOptions{})
		check("second migration", got, err)

		// Nothing is lost: the bad ones are still there for the version that wrote them.
		th := must[*v3.Thing](t)(things.Get(ctx, "00007"))
		if th.Full != "n/label 7" || th.Title != "label 7" || th.Size != "7 cm" || th.Stock != 7 || th.Rev.String() != "1" {
			t.Errorf("migrated: %+v", th)
		}
		if th := must[*v1.Thing](t)(yesterday.Get(ctx, "00003")); th.Size != -1 || th.Rev.String() != "0" {
			t.Errorf("a document that cannot be migrated: %+v, want it as it was", th)
		}
		for i := range bad {
			must[*v1.Thing](t)(yesterday.Update(ctx, fmt.Sprintf("%05d", i*1000+3), func(th *v1.Thing) error { th.Size = 1; return nil }))
		}
		// They are put right: the rest is migrated, and the index can be built.
		want.Migrated, want.Unchanged, bad = bad, n-bad, 0
		_, things = v.background()
		got, err = things.Migrate(ctx, kixx.MigrateOptions{})
		check("migration of the rest", got, err)
		things = v.next()
		if found := must[int](t)(things.RangeBySize().Everything().Count(ctx)); found != n {
			t.Errorf("the index has %d entries, want %d", found, n)
		}
		t.Logf("%d documents", n)
	})
}

// A hook of the store writes a document between the migration's reading and writing of it.
func TestMigrateLeavesADocumentToAConcurrentWriter(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		ctx := t.Context()
		v := newVersions(t, p)
		fill(t, v.Old(), 120, func(int) bool { return false })
		other := v.next()
		met := 0
		db := must[*kixx.DB](t)(kixx.OpenStore(ctx, repotest.CommitHook{Store: v.Store, Before: func(b *store.Batch) {
			if len(b.Ops) < 10 || met > 0 || len(b.Ops[0].Value) == 0 {
				return
			}
			met++
			must[*v3.Thing](t)(other.Update(ctx, "00003", func(th *v3.Thing) error { th.Title = "concurrent"; return nil }))
			if err := other.Delete(ctx, "00004"); err != nil {
				t.Error(err)
			}
		}}))
		defer db.Close()
		things := must[*v3.ThingRepo](t)(v3.NewThingRepo(ctx, db))
		got, err := things.Migrate(ctx, kixx.MigrateOptions{})
		if err != nil || met != 1 || got.Total != 119 || got.Migrated != 118 || got.Unchanged != 1 || len(got.Failed) != 0 {
			t.Fatalf("Migrate = %+v, %v; met %d times; want 119 documents, 118 migrated, 1 unchanged", got, err, met)
		}
		if th := must[*v3.Thing](t)(things.Get(ctx, "00003")); th.Title != "concurrent" {
			t.Errorf("the write of another is lost: %+v", th)
		}
		if ok := must[bool](t)(things.Has(ctx, "00004")); ok {
			t.Error("a document that another has deleted is there again")
		}
	})
}

func TestMigrateGoesOnWhereItWasInterrupted(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		v := newVersions(t, p)
		fill(t, v.Old(), 200, func(int) bool { return false })
		_, things := v.background()
		ctx, cancel := context.WithCancel(t.Context())
		first, err := things.Migrate(ctx, kixx.MigrateOptions{Progress: func(kixx.MigrateProgress) { cancel() }})
		if !errors.Is(err, context.Canceled) || first.Migrated == 0 || first.Migrated == 200 {
			t.Fatalf("interrupted: %+v, %v", first, err)
		}
		second, err := things.Migrate(t.Context(), kixx.MigrateOptions{})
		if err != nil || second.Total != 200 || second.Unchanged != first.Migrated || second.Migrated != 200-first.Migrated {
			t.Errorf("called again: %+v, %v, after %+v", second, err, first)
		}
	})
}

func TestMigrateRunsNoHooks(t *testing.T) {
	ctx := t.Context()
	v := newVersions(t, memory(t))
	fill(t, v.Old(), 10, func(int) bool { return false })
	s := *kixx.SchemaOf(&v.New().Repo)
	ran := func(hook string) error {
		t.Errorf("%s was called", hook)
		return errors.New(hook)
	}
	s.BeforeSet = func(*v2.Thing, context.Context) error { return ran("BeforeSet") }
	s.Validate = func(*v2.Thing) error { return ran("Validate") }
	s.AfterSet = func(*v2.Thing, context.Context) { ran("AfterSet") }
	things := must[kixx.Repo[*v2.Thing, string]](t)(kixx.NewRepo(ctx, v.DB(), &s))
	if got, err := things.Migrate(ctx, kixx.MigrateOptions{}); err != nil || got.Migrated != 10 {
		t.Errorf("Migrate = %+v, %v", got, err)
	}
}

func TestMigrateKeepsIndexesRight(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		ctx := t.Context()
		v := newVersions(t, p)
		fill(t, v.Old(), 60, func(int) bool { return false })
		today := v.New()
		must[*v2.Thing](t)(today.Update(ctx, "00000", func(th *v2.Thing) error { th.Code = text("code"); return nil }))
		if got, err := today.Migrate(ctx, kixx.MigrateOptions{}); err != nil || got.Migrated != 59 || got.Unchanged != 1 {
			t.Fatalf("Migrate = %+v, %v", got, err)
		}
		want := make(map[string]turnDoc)
		for th, err := range today.All(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			want[th.ID] = turnDoc{th.Name, th.Title, th.Size, th.Stock, th.Color, serialOf(th.Serial), th.Part}
		}
		if d := want["00031"]; d.title != "label 31" || d.stock != 7 {
			t.Errorf("document 00031 is %+v", d)
		}
		sameAsScan(t, "Stock", must[[]*v2.Thing](t)(today.Query().Collect(ctx)), func(th *v2.Thing) int { return th.Stock }, today.QueryByStock, func(th *v2.Thing) string { return th.ID })
		repotest.CheckView(t, today)
	})
}
