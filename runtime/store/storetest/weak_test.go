package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/memstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory returns an empty store, the clock of which is the real one.
func memory() store.Store { return memstore.New(store.Options{}) }

func TestWeakKeepsTheContract(t *testing.T) {
	for _, c := range []struct {
		name  string
		rates Rates
	}{
		{"default", DefaultRates()},
		{"well behaved", Rates{}},
		{"often", Rates{Applied: 0.2, Lost: 0.2, Late: 0.3, TooOld: 0.2, Resync: 0.2, Repeat: 0.3}},
		{"late", Rates{Late: 0.8}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var all []*weak
			Run(t, func(*testing.T) store.Store {
				w := weakOf(WeakWith(memory(), uint64(len(all)+1), c.rates))
				all = append(all, w)
				return w
			}, Options{})
			var sum weakCounts
			for _, w := range all {
				n := w.counts
				sum.commits += n.commits
				sum.applied += n.applied
				sum.lost += n.lost
				sum.late += n.late
				sum.lateApplied += n.lateApplied
				sum.lateConflicts += n.lateConflicts
				sum.reads += n.reads
				sum.tooOld += n.tooOld
				sum.events += n.events
				sum.resyncs += n.resyncs
				sum.repeats += n.repeats
			}
			t.Logf("%+v", sum)
			happened := func(what string, n int, rate float64) {
				if (rate > 0) != (n > 0) {
					t.Errorf("%s happened %d times at the rate %v", what, n, rate)
				}
			}
			happened("applied with an unknown outcome", sum.applied, c.rates.Applied)
			happened("lost", sum.lost, c.rates.Lost)
			happened("late", sum.late, c.rates.Late)
			happened("applied late", sum.lateApplied, c.rates.Late)
			happened("snapshot too old", sum.tooOld, c.rates.TooOld)
			// A watch from a foreign token resyncs at any rate.
			happened("resync", sum.resyncs-5*b2i(c.rates.Resync == 0), c.rates.Resync)
			happened("event told twice", sum.repeats, c.rates.Repeat)
		})
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestWeakOverWeak shows that nothing in a weak store leans on its inner store being better.
func TestWeakOverWeak(t *testing.T) {
	seed := uint64(0)
	Run(t, func(*testing.T) store.Store {
		seed += 2
		return Weak(Weak(memory(), seed), seed+1)
	}, Options{})
}

func TestWeakDeclaresNoMoreThanThePortableLimits(t *testing.T) {
	s := Weak(memory(), 1)
	defer s.Close()
	want := store.Limits{Ops: 100, Bytes: 1 << 20, Value: 64 << 10, Snapshot: 5 * time.Second, Watch: true, Settles: true}
	if got := s.Limits(); got != want {
		t.Errorf("Limits = %+v, want %+v", got, want)
	}
}

// one returns a weak store to which only one thing happens, always, and what is inside.
func one(t *testing.T, rates Rates) (w *weak, inside store.Store) {
	inside = memory()
	w = weakOf(WeakWith(inside, 1, rates))
	t.Cleanup(func() { w.Close() })
	return w, inside
}

func has(t *testing.T, s store.Store, key string) bool {
	t.Helper()
	items, err := s.Get(ctx, []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return items[0].Version != store.Absent
}

func single(id byte, ops ...store.Op) *store.Batch {
	return &store.Batch{ID: [8]byte{id}, Ops: ops}
}

func TestWeakAppliedAndLost(t *testing.T) {
	for _, c := range []struct {
		name  string
		rates Rates
		want  bool
	}{{"applied", Rates{Applied: 1}, true}, {"lost", Rates{Lost: 1}, false}} {
		w, inside := one(t, c.rates)
		if _, err := w.Commit(ctx, single(1, putAt("k", "1", 0))); !errors.Is(err, store.ErrUnknown) {
			t.Errorf("%s: Commit = %v, want ErrUnknown", c.name, err)
		}
		if got := has(t, inside, "k"); got != c.want {
			t.Errorf("%s: the key is there: %v, want %v", c.name, got, c.want)
		}
		if c.want {
			if _, err := w.Commit(ctx, single(1, putAt("k", "1", 0))); !errors.Is(err, store.ErrConflict) {
				t.Errorf("%s: the second Commit of the batch = %v, want a conflict with the first", c.name, err)
			}
		}
	}
}

func TestWeakNeverAppliesLateWhatDoesNotHoldAnyMore(t *testing.T) {
	applied, refused, conflicts := 0, 0, 0
	for i := range 200 {
		w := weakOf(WeakWith(memory(), uint64(i), Rates{Late: 1}))
		if _, err := w.Commit(ctx, single(1, putAt("k", "late", 0))); !errors.Is(err, store.ErrUnknown) {
			t.Fatalf("Commit = %v, want ErrUnknown", err)
		}
		if has(t, w.s, "k") {
			t.Fatal("a late commit was applied at once")
		}
		w.mu.Lock()
		w.rates = Rates{}
		w.mu.Unlock()
		other := i%2 == 0
		if other {
			if _, err := w.Commit(ctx, single(2, put("k", "other"))); err != nil {
				t.Fatal(err)
			}
		}
		for range 10 { // the late commit is decided within a few calls
			has(t, w, "x")
		}
		items, err := w.Get(ctx, []byte("k"))
		if err != nil {
			t.Fatal(err)
		}
		switch got := string(items[0].Value); {
		case got == "late":
			applied++
		case other && got == "other", !other && got == "":
			refused++
		default:
			t.Fatalf("k = %q", got)
		}
		if len(w.pending) != 0 {
			t.Fatalf("%d commits are pending after 10 calls", len(w.pending))
		}
		conflicts += w.counts.lateConflicts
		w.Close()
	}
	t.Logf("%d applied late, %d not, %d of them because they did not hold any more", applied, refused, conflicts)
	if applied == 0 || conflicts == 0 || refused == conflicts {
		t.Errorf("%d applied late, %d not, %d of them because they did not hold any more; all of it must happen", applied, refused, conflicts)
	}
}

func TestWeakDecidesAboutABatchThatComesAgain(t *testing.T) {
	succeeded, conflicted := 0, 0
	for i := range 100 {
		w := weakOf(WeakWith(memory(), uint64(i), Rates{Late: 1}))
		b := single(1, putAt("k", "1", 0))
		if _, err := w.Commit(ctx, b); !errors.Is(err, store.ErrUnknown) {
			t.Fatalf("Commit = %v, want ErrUnknown", err)
		}
		w.mu.Lock()
		w.rates = Rates{}
		w.mu.Unlock()
		switch _, err := w.Commit(ctx, b); {
		case err == nil:
			succeeded++
		case errors.Is(err, store.ErrConflict) && has(t, w, "k"):
			conflicted++
		default:
			t.Fatalf("the second Commit = %v", err)
		}
		if _, err := w.Commit(ctx, single(2, del("k"))); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			if has(t, w, "k") {
				t.Fatal("a batch was applied late after its second Commit had answered")
			}
		}
		w.Close()
	}
	t.Logf("%d times applied by the second Commit, %d times by the first", succeeded, conflicted)
	if succeeded == 0 || conflicted == 0 {
		t.Errorf("%d and %d; both must happen", succeeded, conflicted)
	}
}

func TestWeakTellsConflictsEvenWhereOutcomesAreLost(t *testing.T) {
	for _, rates := range []Rates{{Applied: 1}, {Lost: 1}, {Late: 1}} {
		w, inside := one(t, rates)
		if _, err := inside.Commit(ctx, single(9, put("c", "1"), put("k", "1"))); err != nil {
			t.Fatal(err)
		}
		check1 := single(1, put("x", ""))
		check1.Checks = []store.Check{check("c", 0)}
		fence1 := single(2, put("x", ""))
		fence1.Fences = []store.Check{check("c", 0)}
		for _, b := range []*store.Batch{single(3, putAt("k", "2", 0)), check1, fence1} {
			if _, err := w.Commit(ctx, b); !errors.Is(err, store.ErrConflict) {
				t.Errorf("rates %+v: Commit(%s) = %v, want a conflict", rates, describe(b), err)
			}
		}
	}
}

func TestWeakDoesNotCommitWhileASnapshotIsRead(t *testing.T) {
	w, inside := one(t, Rates{Late: 1})
	if _, err := w.Commit(ctx, single(1, putAt("k", "late", 0))); !errors.Is(err, store.ErrUnknown) {
		t.Fatal(err)
	}
	err := w.Snapshot(ctx, func(r store.SnapshotReader) error {
		before := has(t, inside, "k")
		for range 20 {
			has(t, w, "x")
		}
		if has(t, inside, "k") != before {
			return errors.New("a late commit was applied by the reader of a snapshot")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestWeakSnapshotEndsAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := WeakWith(memory(), 1, Rates{})
		defer w.Close()
		err := w.Snapshot(ctx, func(r store.SnapshotReader) error {
			time.Sleep(5 * time.Second)
			if _, err := r.Get(ctx, []byte("k")); err != nil {
				return fmt.Errorf("after 5 seconds: %w", err)
			}
			time.Sleep(time.Nanosecond)
			if _, err := r.Page(ctx, store.Page{Limit: 1}); !errors.Is(err, store.ErrSnapshotTooOld) {
				return fmt.Errorf("after more than 5 seconds: %v, want ErrSnapshotTooOld", err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestWeakSnapshotThatIsTooOldStaysSo(t *testing.T) {
	w, _ := one(t, Rates{TooOld: 1})
	err := w.Snapshot(ctx, func(r store.SnapshotReader) error {
		if _, err := r.Get(ctx, []byte("k")); err != nil {
			return fmt.Errorf("the first read: %w", err)
		}
		for range 3 {
			if _, err := r.Get(ctx, []byte("k")); !errors.Is(err, store.ErrSnapshotTooOld) {
				return fmt.Errorf("a later read: %v, want ErrSnapshotTooOld", err)
			}
			w.rates = Rates{}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestTwoWeakStoresAreOtherWriters(t *testing.T) {
	inside := memory()
	a, b := WeakWith(inside, 1, Rates{}), WeakWith(inside, 2, Rates{})
	defer a.Close()
	va, err := a.Commit(ctx, single(1, put("k", "1")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Commit(ctx, single(2, put("k", "2"))); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Commit(ctx, single(3, putAt("k", "3", va))); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Commit after another writer's = %v, want a conflict", err)
	}
}

func TestScramblerIsOneToOneAndKeepsNoOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	s := newScrambler(r)
	if s.seal(0) != 0 || s.open(0) != 0 {
		t.Errorf("seal(0) = %d, open(0) = %d, want 0: it is the version of an absent key", s.seal(0), s.open(0))
	}
	seen := make(map[store.Version]bool)
	n, rising := times(100_000, 2_000_000), 0
	values := []store.Version{math.MaxUint64, math.MaxUint64 - 1, 1 << 32, 1<<32 - 1, store.Version(s.decrypt(0)), store.Version(s.encrypt(0))}
	for i := range n {
		values = append(values[:6], store.Version(i+1), store.Version(r.Uint64()|1<<63))
		for _, v := range values {
			sealed := s.seal(v)
			if sealed == 0 || s.open(sealed) != v || s.seal(s.open(v)) != v {
				t.Fatalf("seal(%d) = %d, open of that = %d", v, sealed, s.open(sealed))
			}
		}
		v := s.seal(store.Version(i + 1))
		if seen[v] {
			t.Fatalf("seal(%d) = %d, which was given before", i+1, v)
		}
		seen[v] = true
		if v < s.seal(store.Version(i+2)) {
			rising++
		}
	}
	if share := float64(rising) / float64(n); share < 0.45 || share > 0.55 {
		t.Errorf("%.3f of neighbours keep their order, want about half", share)
	}
	t.Logf("%d versions", n)
}

func TestWeakWatchPassesOnWhatTheStoreInsideCannot(t *testing.T) {
	w, _ := one(t, Rates{})
	c, cancel := context.WithCancel(ctx)
	cancel()
	for _, err := range w.Watch(c, "", nil) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Watch with an ended context = %v", err)
		}
	}
}

// weakOf returns what WeakWith made, whichever form it has.
func weakOf(s store.Store) *weak {
	if v, ok := s.(*versioner); ok {
		return v.weak
	}
	return s.(*weak)
}
