package kixx_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
	v1 "github.com/kixxgen/kixxgen/runtime/internal/kinds/v1"
	v2 "github.com/kixxgen/kixxgen/runtime/internal/kinds/v2"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
	"github.com/kixxgen/kixxgen/runtime/store/filestore/simfs"
)

// noTimer is a timer that never fires.
type noTimer struct{}

func (noTimer) Stop() bool               { return true }
func (noTimer) Reset(time.Duration) bool { return true }

// simulated opens the file store on a simulated disk.
func simulated(t testing.TB, sim *simfs.FS) store.Store {
	t.Helper()
	s, err := filestore.Open(context.Background(), "sim", filestore.Options{
		Options: store.Options{Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.Unix(0, 0) }},
		FS:      sim, SegmentSize: 64 << 10, Reserve: 16 << 10,
		AfterFunc: func(time.Duration, func()) filestore.Timer { return noTimer{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// upgrade opens today's version on a store, which builds what it has to, and migrates the documents if it is asked to.
func upgrade(t testing.TB, st store.Store, migrate bool) (*kixx.DB, *v2.ThingRepo, kixx.Report[string]) {
	t.Helper()
	ctx := context.Background()
	db := must[*kixx.DB](t)(kixx.OpenStore(ctx, st))
	things := must[*v2.ThingRepo](t)(v2.NewThingRepo(ctx, db))
	if !migrate {
		return db, things, kixx.Report[string]{}
	}
	return db, things, must[kixx.Report[string]](t)(things.Migrate(ctx, kixx.MigrateOptions{}))
}

// killed stops an upgrade before one operation of the disk after the other, with each kind of loss, and checks what was left:
// opened again, the upgrade is finished, and every query equals a scan.
func killed(t *testing.T, n int, during func(t testing.TB, sim *simfs.FS, arm func()), check func(t *testing.T, st store.Store)) {
	sim := simfs.New()
	db := must[*kixx.DB](t)(kixx.OpenStore(t.Context(), simulated(t, sim)))
	fillCodes(t, must[*v1.ThingRepo](t)(v1.NewThingRepo(t.Context(), db)), n, own)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	kills := 0
	every := count(17, 2, 1)
	during(t, sim, func() {
		sim.Before(func(op simfs.Op) {
			if op.Kind == "read" || op.N%every != 0 {
				return
			}
			for _, loss := range simfs.Losses {
				kills++
				check(t, simulated(t, sim.Crash(loss, rand.New(rand.NewPCG(uint64(op.N), uint64(loss))))))
				if t.Failed() {
					t.Fatalf("killed before operation %d (%v), %v", op.N, op, loss)
				}
			}
		})
	})
	t.Logf("%d kills, %d documents", kills, n)
	if least := count(6, 100, 200); kills < least {
		t.Errorf("only %d kills, want %d", kills, least)
	}
}

func TestABuildThatIsKilledIsFinished(t *testing.T) {
	n := count(600, 1600, 1600)
	killed(t, n, func(t testing.TB, sim *simfs.FS, arm func()) {
		arm()
		db, _, _ := upgrade(t, simulated(t, sim), false)
		sim.Before(nil)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}, func(t *testing.T, st store.Store) {
		db, things, _ := upgrade(t, st, false)
		checkSome(t, things, n, "")
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAMigrationThatIsKilledIsFinished(t *testing.T) {
	n := count(600, 1600, 1600)
	killed(t, n, func(t testing.TB, sim *simfs.FS, arm func()) {
		db, things, _ := upgrade(t, simulated(t, sim), false)
		arm()
		got := must[kixx.Report[string]](t)(things.Migrate(context.Background(), kixx.MigrateOptions{}))
		sim.Before(nil)
		if got.Migrated != n || len(got.Failed) > 0 {
			t.Errorf("migrated: %+v", got)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}, func(t *testing.T, st store.Store) {
		db, things, got := upgrade(t, st, true)
		if got.Total != n || got.Migrated+got.Unchanged != n || len(got.Failed) > 0 {
			t.Errorf("migrated again: %+v", got)
		}
		checkSome(t, things, n, "1")
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// checkSome compares every document and every index with what fillCodes stored; rev is the revision of all documents, if it is not "".
func checkSome(t *testing.T, things *v2.ThingRepo, n int, rev string) {
	t.Helper()
	ctx := context.Background()
	i := 0
	for th, err := range things.All(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		want := v2.Thing{ID: fmt.Sprintf("%05d", i), Rev: th.Rev, Name: fmt.Sprint("n", i%7), Title: fmt.Sprint("l", i%5), Size: i % 90, Code: th.Code, Stock: 7}
		if *th != want || th.Code == nil || *th.Code != own(i) || rev != "" && th.Rev.String() != rev {
			t.Fatalf("document %d is %+v, want %+v of revision %s", i, th, want, rev)
		}
		i++
	}
	counts := map[string]int{"documents": i}
	counts["Code"] = must[int](t)(things.RangeByCode().Everything().Count(ctx))
	counts["Color"] = must[int](t)(things.QueryByColor("").Count(ctx))
	counts["Stock"] = must[int](t)(things.QueryByStock(7).Count(ctx))
	for l := range 5 {
		counts["Title"] += must[int](t)(things.QueryByTitle(fmt.Sprint("l", l)).Count(ctx))
	}
	for k := range 7 {
		counts["Name"] += must[int](t)(things.QueryByName(fmt.Sprint("n", k)).Count(ctx))
	}
	for s := 0; s < 100; s += 20 {
		counts["BySize"] += must[int](t)(things.QueryBySize(s).Count(ctx))
	}
	for what, got := range counts {
		if got != n {
			t.Errorf("%s: %d, want %d", what, got, n)
		}
	}
	for _, i := range []int{0, n / 2, n - 1} {
		if th := must[*v2.Thing](t)(things.GetByCode(ctx, own(i))); th.ID != fmt.Sprintf("%05d", i) {
			t.Errorf("GetByCode(%q) = %s", own(i), th.ID)
		}
	}
}

// childEnv names the directory of a process that is to be killed.
const childEnv = "KIXX_UPGRADE_CHILD"

// upgradeUntilKilled is what that process does.
func upgradeUntilKilled(dir string) int {
	fmt.Println(".") // the time until the kill counts from here
	ctx := context.Background()
	db, err := kixx.Open(ctx, "file:"+dir)
	if err == nil {
		var things *v2.ThingRepo
		if things, err = v2.NewThingRepo(ctx, db); err == nil {
			fmt.Println("built")
			_, err = things.Migrate(ctx, kixx.MigrateOptions{})
		}
	}
	if err != nil {
		fmt.Println("!", err)
		return 1
	}
	fmt.Println("done")
	select {}
}

// Processes are killed while they upgrade, at any moment; one of them comes to the end.
func TestAnUpgradeThatIsKilledForRealIsFinished(t *testing.T) {
	dir := t.TempDir() + "/db"
	n := count(2000, 5000, 20_000)
	db := must[*kixx.DB](t)(kixx.Open(t.Context(), "file:"+dir, kixx.Durability(kixx.NoSync())))
	fillCodes(t, must[*v1.ThingRepo](t)(v1.NewThingRepo(t.Context(), db)), n, own)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	exe := must[string](t)(os.Executable())
	rng := rand.New(rand.NewPCG(5, 5))
	kills, done := 0, false
	for kills < count(5, 10, 50) && !done {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), childEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		lines.Scan()
		// One is killed from the beginning on, the next one when its indexes are built.
		after := func(most int) *time.Timer {
			return time.AfterFunc(time.Duration(rng.IntN(most))*time.Millisecond, func() { cmd.Process.Kill() })
		}
		timer := after(60)
		if kills%2 == 1 {
			timer.Stop()
		}
		for lines.Scan() {
			switch line := lines.Text(); line {
			case "built":
				timer.Stop()
				timer = after(100)
			case "done":
				done = true
				cmd.Process.Kill()
			default:
				t.Errorf("kill %d: the process says %s", kills, line)
			}
		}
		cmd.Wait()
		timer.Stop()
		kills++
	}
	db = must[*kixx.DB](t)(kixx.Open(t.Context(), "file:"+dir))
	defer db.Close()
	things := must[*v2.ThingRepo](t)(v2.NewThingRepo(t.Context(), db))
	got := must[kixx.Report[string]](t)(things.Migrate(t.Context(), kixx.MigrateOptions{}))
	if got.Total != n || len(got.Failed) > 0 {
		t.Errorf("migrated: %+v", got)
	}
	checkSome(t, things, n, "1")
	t.Logf("%d processes killed, %d documents, the last one left %d to migrate", kills, n, got.Migrated)
}
