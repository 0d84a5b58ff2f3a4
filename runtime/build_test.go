package kixx_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	kixx "github.com/kixxgen/kixxgen/runtime"
	v1 "github.com/kixxgen/kixxgen/runtime/internal/kinds/v1"
	v2 "github.com/kixxgen/kixxgen/runtime/internal/kinds/v2"
	"github.com/kixxgen/kixxgen/runtime/internal/repotest"
	"github.com/kixxgen/kixxgen/runtime/store"
)

// ofBuild reports whether a batch is one of a build: it checks the documents that its entries were computed from.
func ofBuild(b *store.Batch) bool { return len(b.Checks) > 0 && len(b.Fences) > 0 }

// fillCodes stores n documents of yesterday's version, with the codes that code gives.
func fillCodes(t testing.TB, things *v1.ThingRepo, n int, code func(i int) string) {
	t.Helper()
	for i := range n {
		th := &v1.Thing{ID: fmt.Sprintf("%05d", i), Name: fmt.Sprint("n", i%7), Label: fmt.Sprint("l", i%5), Size: i % 90}
		if c := code(i); c != "" {
			th.Code = &c
		}
		must[*v1.Thing](t)(things.Insert(context.Background(), th))
	}
}

// own gives every document a code of its own.
func own(i int) string { return fmt.Sprint("code ", i) }

// checkThings compares every query of today's version with a scan, of n documents.
func checkThings(t testing.TB, things *v2.ThingRepo, n int) {
	t.Helper()
	tt, ok := t.(*testing.T)
	if !ok {
		t.Fatal("not a test")
	}
	want := make(map[string]turnDoc)
	for th, err := range things.All(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		want[th.ID] = turnDoc{th.Name, th.Title, th.Size, th.Stock, th.Color, serialOf(th.Serial), th.Part}
	}
	if len(want) != n {
		t.Errorf("%d documents, want %d", len(want), n)
	}
	checkNew(tt, things, want)
}

func TestABuildInTheBackgroundKeepsNobodyWaiting(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		ctx := t.Context()
		v := newVersions(t, p)
		const n = 120
		fillCodes(t, v.Old(), n, own)
		going, held := make(chan struct{}), make(chan struct{})
		builds := 0
		db := must[*kixx.DB](t)(kixx.OpenStore(ctx, repotest.CommitHook{Store: v.Store, Before: func(b *store.Batch) {
			if !ofBuild(b) {
				return
			}
			if builds++; builds == 2 { // the first batch is done
				close(held)
				<-going
			}
		}}, kixx.WithBuild(kixx.Background)))
		defer db.Close()
		things := must[*v2.ThingRepo](t)(v2.NewThingRepo(ctx, db))
		<-held
		_, err := things.QueryByColor("").Page(ctx)
		var be *kixx.BuildingError
		if !errors.As(err, &be) || kixx.Code(err) != "INDEX_NOT_READY" || be.Done == 0 || be.Done >= n || be.Total != n {
			t.Errorf("a query during the build: %v, want ErrBuilding with the documents that are done, of %d", err, n)
		}
		if want := fmt.Sprintf("kixx: index Color of thing is not ready: its build is under way, %d of %d documents are done", be.Done, be.Total); be.Error() != want {
			t.Errorf("it says %q, want %q", be, want)
		}
		short, cancel := context.WithCancel(ctx)
		cancel()
		if err := db.Ready(short); !errors.Is(err, context.Canceled) {
			t.Errorf("Ready with a context that has ended: %v", err)
		}
		// Documents that the build has behind it, before it, and that are new.
		must[*v2.Thing](t)(things.Update(ctx, "00000", func(th *v2.Thing) error { th.Color, th.Code = "red", text("new code"); return nil }))
		must[*v2.Thing](t)(things.Update(ctx, "00119", func(th *v2.Thing) error { th.Color, th.Code = "red", text("other code"); return nil }))
		must[*v2.Thing](t)(things.Insert(ctx, &v2.Thing{ID: "new", Color: "red", Code: text("newest code")}))
		if err := things.Delete(ctx, "00118"); err != nil {
			t.Fatal(err)
		}
		close(going)
		if err := db.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		if red := must[int](t)(things.QueryByColor("red").Count(ctx)); red != 3 {
			t.Errorf("the index finds %d red documents, want 3", red)
		}
		checkThings(t, things, n)
	})
}

func TestAUniqueBuildOverDuplicatesStops(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		ctx := t.Context()
		v := newVersions(t, p)
		yesterday := v.Old()
		const n = 120
		fillCodes(t, yesterday, n, func(i int) string {
			if i == 7 || i == 110 {
				return "twice"
			}
			return own(i)
		})
		isDuplicate := func(what string, err error) {
			t.Helper()
			var ue *kixx.UniqueError
			if !errors.As(err, &ue) || ue.Index != "Code" || ue.Key != "00110" || ue.Holder != "00007" {
				t.Fatalf("%s over duplicates: %v, want a UniqueError of 00110 and 00007", what, err)
			}
		}
		_, err := v2.NewThingRepo(ctx, v.DB())
		isDuplicate("NewThingRepo", err)

		db := must[*kixx.DB](t)(kixx.OpenStore(ctx, v.Store, kixx.WithBuild(kixx.Background)))
		defer db.Close()
		things := must[*v2.ThingRepo](t)(v2.NewThingRepo(ctx, db))
		isDuplicate("Ready", db.Ready(ctx))
		if _, err := things.GetByCode(ctx, "twice"); !errors.Is(err, kixx.ErrBuilding) || !strings.Contains(err.Error(), `its Code is taken by`) {
			t.Errorf("a query of the index: %v, want ErrBuilding that says why", err)
		}
		// The other indexes are there, and writes go on.
		if got := must[int](t)(things.QueryByColor("").Count(ctx)); got != n {
			t.Errorf("the index Color has %d entries, want %d", got, n)
		}
		must[*v2.Thing](t)(things.Insert(ctx, &v2.Thing{ID: "more", Code: text("twice")}))
		for _, id := range []string{"00007", "more"} {
			must[*v2.Thing](t)(things.Update(ctx, id, func(th *v2.Thing) error { th.Code = text("own " + id); return nil }))
		}
		checkThings(t, v.New(), n+1)
	})
}

// The first of two documents with one value has its entry in an index that is being built; the second gives the value up
// before the build comes to it. The entry must stay.
func TestADuplicateThatGoesDuringABuildLeavesTheOtherEntry(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		ctx := t.Context()
		v := newVersions(t, p)
		const n = 120
		fillCodes(t, v.Old(), n, func(i int) string {
			if i == 3 || i >= 117 {
				return "shared"
			}
			return own(i)
		})
		going, held := make(chan struct{}), make(chan struct{})
		builds := 0
		db := must[*kixx.DB](t)(kixx.OpenStore(ctx, repotest.CommitHook{Store: v.Store, Before: func(b *store.Batch) {
			if ofBuild(b) && b.Ops[0].Key[0] == b.Fences[0].Key[0] && isPut(b) {
				if builds++; builds == 2 {
					close(held)
					<-going
				}
			}
		}}, kixx.WithBuild(kixx.Background)))
		defer db.Close()
		things := must[*v2.ThingRepo](t)(v2.NewThingRepo(ctx, db))
		<-held
		must[*v2.Thing](t)(things.Update(ctx, "00119", func(th *v2.Thing) error { th.Code = text("mine"); return nil }))
		if err := things.Delete(ctx, "00118"); err != nil {
			t.Fatal(err)
		}
		// In one commit, one gives the value up and another one would take it: the third still has it.
		a, b := must[*v2.Thing](t)(things.Get(ctx, "00117")), must[*v2.Thing](t)(things.Get(ctx, "00116"))
		a.Code, b.Code = text("his"), text("shared")
		if _, err := things.SetMany(ctx, a, b); !errors.Is(err, kixx.ErrUnique) {
			t.Errorf("taking a value over that a third document has: %v, want ErrUnique", err)
		}
		must[*v2.Thing](t)(things.Set(ctx, a))
		close(going)
		if err := db.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		checkThings(t, things, n-1)
	})
}

// isPut reports whether the first operation of a batch is a put.
func isPut(b *store.Batch) bool { return len(b.Ops) > 0 && !b.Ops[0].Delete }

func TestAnInterruptedBuildGoesOnWhereItWas(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		v := newVersions(t, p)
		const n = 300
		fillCodes(t, v.Old(), n, own)
		ctx, cancel := context.WithCancel(t.Context())
		done := 0 // documents that builds have committed
		open := func(stop int) *kixx.DB {
			db := must[*kixx.DB](t)(kixx.OpenStore(t.Context(), repotest.CommitHook{Store: v.Store, Before: func(b *store.Batch) {
				if !ofBuild(b) {
					return
				}
				if done >= stop {
					cancel()
					return
				}
				done += len(b.Checks)
			}}))
			t.Cleanup(func() { db.Close() })
			return db
		}
		if _, err := v2.NewThingRepo(ctx, open(100)); !errors.Is(err, context.Canceled) {
			t.Fatalf("a build whose context ends: %v", err)
		}
		first := done
		things := must[*v2.ThingRepo](t)(v2.NewThingRepo(t.Context(), open(1<<30)))
		again := done - first
		// Outcomes that were unknown, and batches of several commits, are done again.
		if most := n; p.Coherent && (again > most-50 || again == 0) {
			t.Errorf("the second build went over %d of %d documents, after %d of the first", again, n, first)
		}
		checkThings(t, things, n)
		t.Logf("%d documents, then %d of %d", first, again, n)
	})
}

func TestCloseEndsABuildAndTheNextOneFinishesIt(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		ctx := t.Context()
		v := newVersions(t, p)
		const n = 200
		fillCodes(t, v.Old(), n, own)
		var once sync.Once
		reached := make(chan struct{})
		db := must[*kixx.DB](t)(kixx.OpenStore(ctx, repotest.CommitHook{Store: v.Store, Before: func(b *store.Batch) {
			if ofBuild(b) {
				once.Do(func() { close(reached) })
			}
		}}, kixx.WithBuild(kixx.Background)))
		must[*v2.ThingRepo](t)(v2.NewThingRepo(ctx, db))
		<-reached
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if err := db.Ready(ctx); !errors.Is(err, kixx.ErrClosed) {
			t.Errorf("Ready of a closed database: %v, want ErrClosed", err)
		}
		if _, err := v2.NewThingRepo(ctx, db); err == nil {
			t.Error("a closed database has opened a repository")
		}
		checkThings(t, v.New(), n)
	})
}

func TestCloseWaitsForBuilds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		v := newVersions(t, memory(t))
		fillCodes(t, v.Old(), 60, own)
		going, held := make(chan struct{}), make(chan struct{})
		var once sync.Once
		db := must[*kixx.DB](t)(kixx.OpenStore(ctx, repotest.CommitHook{Store: v.Store, Before: func(b *store.Batch) {
			if ofBuild(b) {
				once.Do(func() { close(held) })
				<-going
			}
		}}, kixx.WithBuild(kixx.Background)))
		must[*v2.ThingRepo](t)(v2.NewThingRepo(ctx, db))
		<-held
		closed := make(chan error)
		go func() { closed <- db.Close() }()
		synctest.Wait()
		select {
		case err := <-closed:
			close(going)
			t.Fatalf("Close has returned, %v, while a build runs", err)
		default:
		}
		close(going)
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
}

// An old instance makes the index stale again and again. Who waits for it is told; in the background the build goes on
// until the old one is gone.
func TestABuildBacksOffFromAnOldInstance(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		ctx := t.Context()
		v := newVersions(t, p)
		yesterday := v.Old()
		fillCodes(t, yesterday, 60, own)
		writes := 0
		open := func(most int, opts ...kixx.Option) *kixx.DB {
			db := must[*kixx.DB](t)(kixx.OpenStore(ctx, repotest.CommitHook{Store: v.Store, Before: func(b *store.Batch) {
				if ofBuild(b) && writes < most {
					writes++
					must[*v1.Thing](t)(yesterday.Update(ctx, "00001", func(th *v1.Thing) error { th.Size++; return nil }))
				}
			}}, append(opts, kixx.WithRetry(2))...))
			t.Cleanup(func() { db.Close() })
			return db
		}
		_, err := v2.NewThingRepo(ctx, open(100))
		if !errors.Is(err, kixx.ErrBuilding) || !strings.Contains(err.Error(), "another version of the application writes without it") {
			t.Fatalf("NewThingRepo beside an old instance that writes all the time: %v, want ErrBuilding", err)
		}
		writes = 0
		db := open(4, kixx.WithBuild(kixx.Background))
		things := must[*v2.ThingRepo](t)(v2.NewThingRepo(ctx, db))
		if err := db.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		if writes != 4 {
			t.Errorf("the old instance met the build %d times, want 4", writes)
		}
		checkThings(t, things, 60)
	})
}

func TestTheLogSaysHowFarABuildIs(t *testing.T) {
	ctx := t.Context()
	v := newVersions(t, memory(t))
	fillCodes(t, v.Old(), 2100, own)
	var log strings.Builder
	db := must[*kixx.DB](t)(kixx.OpenStore(ctx, v.Store, kixx.WithLogger(slog.New(slog.NewTextHandler(&log, nil)))))
	defer db.Close()
	must[*v2.ThingRepo](t)(v2.NewThingRepo(ctx, db))
	for _, want := range []string{
		"event=index.build entity=thing indexes=\"[Title Code Stock Color BySize]\" documents=2100 done=0",
		"event=index.progress entity=thing indexes=\"[Title Code Stock Color BySize]\" done=1000 documents=2100",
		"event=index.built entity=thing indexes=\"[Title Code Stock Color BySize]\" documents=2100",
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no line with %s:\n%s", want, log.String())
		}
	}
}
