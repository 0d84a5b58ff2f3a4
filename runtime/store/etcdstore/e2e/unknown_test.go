package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	"github.com/kixxgen/kixxgen/runtime/internal/repotest"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/etcdstore/e2e/etcdtest"
)

// place returns a proxy before one server of the shared cluster, the URL of an empty place through it, and the one without.
func place(t testing.TB) (p *proxy, indirect, direct string) {
	c := etcdtest.Shared(t)
	path := fmt.Sprintf("proxy/%s/%d", t.Name(), rand.Uint32())
	p = newProxy(t, c.Hosts()[0])
	return p, through("/"+path, p), c.URL(path)
}

// Whatever happens to the connection of a commit, reading says whether it was applied, and the same batch may come again.
func TestUnknownOutcomesSettle(t *testing.T) {
	p, indirect, _ := place(t)
	s := open(t, indirect)
	r := rand.New(rand.NewPCG(1, 1))
	n := repotest.Count(150, 1000, 20_000)
	version := mustCommit(t, s, put("counter", "0", store.At(store.Absent)))
	var unknown, applied [faults]int
	for i := 1; i <= n; i++ {
		f := none
		if r.IntN(5) == 0 {
			f = fault(1 + r.IntN(int(held)-1))
		}
		b := batchOf(put("counter", strconv.Itoa(i), store.At(version)))
		p.arm(f)
		v, err := s.Commit(bg, b)
		p.arm(none)
		if errors.Is(err, store.ErrUnknown) {
			unknown[f]++
			switch it := get(t, s, "counter"); {
			case string(it.Value) == strconv.Itoa(i):
				applied[f]++
				v, err = it.Version, nil
			case it.Version != version:
				t.Fatalf("commit %d, fault %v: the counter is %s at version %d", i, f, it.Value, it.Version)
			default:
				v, err = s.Commit(bg, b)
			}
			if errors.Is(err, store.ErrConflict) { // it was applied after it was read that it was not
				if it := get(t, s, "counter"); string(it.Value) == strconv.Itoa(i) {
					applied[f]++
					v, err = it.Version, nil
				}
			}
		}
		if err != nil {
			t.Fatalf("commit %d, fault %v: %v", i, f, err)
		}
		version = v
	}
	if it := get(t, s, "counter"); string(it.Value) != strconv.Itoa(n) || it.Version != version {
		t.Errorf("after %d commits the counter is %s at version %d, want version %d", n, it.Value, it.Version, version)
	}
	t.Logf("%d commits; unknown, and applied:", n)
	for f := none; f < held; f++ {
		t.Logf("  %v: %d, %d", f, unknown[f], applied[f])
	}
	// When a connection ends, a server gives up what it has not proposed yet: after during it may be either.
	if applied[after] == 0 || applied[after] < unknown[after] || applied[before]+applied[half]+applied[none] > 0 || unknown[before] == 0 || unknown[during] == 0 {
		t.Error("the faults did not do what they are for")
	}
}

// armed is a store that has a fault for some of its commits.
type armed struct {
	store.Store
	p *proxy
	r *rand.Rand
}

func (a armed) Commit(ctx context.Context, b *store.Batch) (store.Version, error) {
	if a.r.IntN(3) == 0 {
		a.p.arm(fault(1 + a.r.IntN(int(held)-1)))
		defer a.p.arm(none)
	}
	return a.Store.Commit(ctx, b)
}

// Through the same faults, a repository never counts twice and forgets nothing, and tells its caller of none of it.
func TestRepositorySettlesUnknownOutcomes(t *testing.T) {
	p, indirect, _ := place(t)
	db := repotest.Must[*kixx.DB](t)(kixx.OpenStore(bg, armed{open(t, indirect), p, rand.New(rand.NewPCG(2, 2))}))
	defer db.Close()
	items := repotest.NewItems(t, db)
	repotest.Put(t, items, repotest.Item("a"))
	n := repotest.Count(40, 200, 3000)
	for i := range n {
		it, err := items.Update(bg, "a", func(it *kinds.Item) error { it.Price++; it.Category = fmt.Sprint("c", i); return nil })
		if err != nil || it.Price != float64(11+i) {
			t.Fatalf("update %d = price %v, %v", i, it, err)
		}
		if i%4 > 0 {
			continue
		}
		other := repotest.Item("b") // made and deleted, again and again
		if _, err := items.Insert(bg, other); err != nil {
			t.Fatalf("insert %d: %v", i, err)
		}
		if err := items.Delete(bg, "b"); err != nil {
			t.Fatalf("delete %d: %v", i, err)
		}
	}
	it := repotest.Must[*kinds.Item](t)(items.Get(bg, "a"))
	if it.Rev.String() != fmt.Sprint(n) || it.Price != float64(10+n) {
		t.Errorf("after %d updates the revision is %v and the price %v", n, it.Rev, it.Price)
	}
	if got := repotest.IDs(repotest.Must[[]*kinds.Item](t)(items.RangeByCategory().Everything().Collect(bg))); got != "a " {
		t.Errorf("the index has %q, want a alone", got)
	}
	t.Logf("%d updates, %d documents made and deleted", n, (n+3)/4)
}

// What was still on its way when its connection ended is not applied after the batch was committed again and undone.
func TestNothingIsAppliedLate(t *testing.T) {
	p, indirect, direct := place(t)
	s, other := open(t, indirect), open(t, direct)
	n := repotest.Count(5, 30, 300)
	for i := range n {
		get(t, s, "k") // a connection is there
		b := batchOf(put("k", fmt.Sprint(i), store.At(store.Absent)))
		p.arm(held)
		if _, err := s.Commit(bg, b); !errors.Is(err, store.ErrUnknown) {
			t.Fatalf("Commit = %v, want ErrUnknown", err)
		}
		if _, err := s.Commit(bg, b); err != nil {
			t.Fatalf("Commit again = %v", err)
		}
		mustCommit(t, other, remove("k"))
		p.release()
		if it := get(t, other, "k"); it.Version != store.Absent {
			t.Fatalf("the first Commit of a batch was applied after the second one had been undone: k = %q", it.Value)
		}
	}
	t.Logf("%d commits were delivered late", n)
}

// The proof that the test above is one: what is delivered late is applied if nobody has committed the batch again.
func TestWhatNobodyAsksForMayBeAppliedLate(t *testing.T) {
	p, indirect, direct := place(t)
	s, other := open(t, indirect), open(t, direct)
	get(t, s, "k")
	p.arm(held)
	if _, err := s.Commit(bg, batchOf(put("k", "late", store.At(store.Absent)))); !errors.Is(err, store.ErrUnknown) {
		t.Fatalf("Commit = %v, want ErrUnknown", err)
	}
	p.release()
	if it := get(t, other, "k"); string(it.Value) != "late" {
		t.Errorf("k = %q: a request that was held did not arrive, so the proxy proves nothing", it.Value)
	}
}

// A commit that others have sent into a new epoch meanwhile does not notice.
func TestAnEpochOfOthersIsNoConflict(t *testing.T) {
	p, indirect, direct := place(t)
	s, other := open(t, indirect), open(t, direct)
	v := mustCommit(t, other, put("k", "0", store.At(store.Absent)))
	for i := range repotest.Count(3, 10, 100) {
		get(t, s, "k")
		b := batchOf(put("x", "", store.Guard{}))
		p.arm(after)
		if _, err := s.Commit(bg, b); !errors.Is(err, store.ErrUnknown) {
			t.Fatalf("Commit = %v, want ErrUnknown", err)
		}
		if _, err := s.Commit(bg, b); err != nil { // ends the epoch
			t.Fatal(err)
		}
		v = mustCommit(t, other, put("k", fmt.Sprint(i), store.At(v)))
		if _, err := other.Commit(bg, batchOf(put("k", "wrong", store.At(v-1)))); !errors.Is(err, store.ErrConflict) {
			t.Fatalf("Commit with a guard that does not hold = %v, want a conflict", err)
		}
	}
}

// Every commit of a context that ended is unknown or was not sent, and in either case it may come again.
func TestRequestThatIsNotSentIsNotUnknown(t *testing.T) {
	t.Parallel()
	p, indirect, _ := place(t)
	s := open(t, indirect+"?timeout=100ms")
	p.l.Close()
	p.drop()
	began := time.Now()
	for {
		_, err := s.Commit(bg, batchOf(put("k", "", store.Guard{})))
		if errors.Is(err, store.ErrUnknown) && time.Since(began) < 10*time.Second {
			continue // it has just been on the connection that ended
		}
		if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Commit without a server = %v, want ErrUnavailable alone: nothing was sent", err)
		}
		break
	}
	if _, err := s.Get(bg, []byte("k")); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Get without a server = %v, want ErrUnavailable", err)
	}
	if err := s.Health(bg); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Health without a server = %v, want ErrUnavailable", err)
	}
	if s.Stats().LastError == "" {
		t.Error("Stats has no error")
	}
}
