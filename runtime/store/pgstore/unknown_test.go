package pgstore_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	"github.com/kixxgen/kixxgen/runtime/internal/repotest"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/pgstore/pgtest"
)

// batchOf returns a batch of the operations, which are sorted, with an ID of its own.
func batchOf(ops ...store.Op) *store.Batch {
	b := &store.Batch{Ops: ops}
	binary.BigEndian.PutUint64(b.ID[:], rand.Uint64())
	return b
}

func put(key, value string, guard store.Guard) store.Op {
	return store.Op{Key: []byte(key), Value: []byte(value), Guard: guard}
}

func get(t testing.TB, s store.Reader, key string) store.Item {
	t.Helper()
	items, err := s.Get(bg, []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return items[0]
}

func mustCommit(t testing.TB, s store.Store, ops ...store.Op) store.Version {
	t.Helper()
	v, err := s.Commit(bg, batchOf(ops...))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Whatever happens to the connection of a commit, reading says whether it was applied, and the same batch may come again.
func TestUnknownOutcomesSettle(t *testing.T) {
	direct := pgtest.New(t)
	p, through := newProxy(t, direct)
	s := open(t, through)
	r := rand.New(rand.NewPCG(1, 1))
	n := repotest.Count(250, 2000, 20_000)
	version := mustCommit(t, s, put("counter", "0", store.At(store.Absent)))
	var unknown, applied [faults]int
	for i := 1; i <= n; i++ {
		f := none
		if r.IntN(10) == 0 {
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
	// A connection that a fault has broken may be found broken by a later commit, whatever is to happen to that: those are
	// few, and were not applied.
	few := n / 100
	if applied[after] == 0 || unknown[after]-applied[after] > few || applied[farewell] == 0 || unknown[farewell]-applied[farewell] > few || applied[before]+applied[half]+applied[none] > 0 || unknown[before] == 0 || unknown[none] > few {
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
	p, through := newProxy(t, pgtest.New(t))
	db := repotest.Must[*kixx.DB](t)(kixx.OpenStore(bg, armed{open(t, through), p, rand.New(rand.NewPCG(2, 2))}))
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
	direct := pgtest.New(t)
	p, through := newProxy(t, direct)
	s, other := open(t, through), open(t, direct)
	n := repotest.Count(5, 30, 300)
	for i := range n {
		get(t, s, "k") // a connection is there, and its statements are prepared
		mustCommit(t, s, put("x", "", store.Guard{}), put("y", "", store.At(store.Absent)))
		mustCommit(t, s, store.Op{Key: []byte("y"), Delete: true})
		b := batchOf(put("k", fmt.Sprint(i), store.At(store.Absent)))
		p.arm(held)
		if _, err := s.Commit(bg, b); !errors.Is(err, store.ErrUnknown) {
			t.Fatalf("Commit = %v, want ErrUnknown", err)
		}
		if _, err := s.Commit(bg, b); err != nil {
			t.Fatalf("Commit again = %v", err)
		}
		mustCommit(t, other, store.Op{Key: []byte("k"), Delete: true})
		p.release()
		if it := get(t, other, "k"); it.Version != store.Absent {
			t.Fatalf("the first Commit of a batch was applied after the second one had been undone: k = %q", it.Value)
		}
	}
	t.Logf("%d commits were delivered late", n)
}

// A batch whose caller did not wait is not on its way twice.
func TestABatchWaitsForItsOwnEarlierAttempt(t *testing.T) {
	direct := pgtest.New(t)
	s := open(t, direct)
	v := mustCommit(t, s, put("k", "0", store.At(store.Absent)))
	release := lockRow(t, direct, "k")
	ctx, cancel := context.WithCancel(bg)
	b := batchOf(put("k", "1", store.At(v)))
	first := make(chan error)
	go func() { _, err := s.Commit(ctx, b); first <- err }()
	waitForLock(t, direct)
	cancel()
	if err := <-first; !errors.Is(err, store.ErrUnknown) || !errors.Is(err, ctx.Err()) {
		t.Fatalf("Commit whose context ended while it waited = %v, want ErrUnknown and the context's error", err)
	}
	if _, err := s.Commit(ctx, b); !errors.Is(err, store.ErrUnknown) || !errors.Is(err, ctx.Err()) {
		t.Fatalf("Commit again, with the ended context = %v, want ErrUnknown and the context's error", err)
	}
	second := make(chan error)
	go func() { _, err := s.Commit(bg, b); second <- err }()
	release()
	if err := <-second; !errors.Is(err, store.ErrConflict) {
		t.Fatalf("Commit again = %v, want the conflict with the first", err)
	}
	if it := get(t, s, "k"); string(it.Value) != "1" {
		t.Errorf("k = %q, want 1", it.Value)
	}
}

// A read whose connection has ended meanwhile is made on another one.
func TestReadsOutliveTheirConnections(t *testing.T) {
	direct := pgtest.New(t)
	name := "idle" + strings.TrimPrefix(searchPath(t, direct), "kixx_test")
	s := open(t, direct+"&application_name="+name)
	v := mustCommit(t, s, put("k", "1", store.Guard{}))
	end := func() {
		// Until they are gone: what is told to end may still answer.
		for gone := false; !gone; {
			conn := connect(t, direct)
			if err := conn.QueryRow(bg, `select count(pg_terminate_backend(pid)) = 0 from pg_stat_activity where application_name = $1`, name).Scan(&gone); err != nil {
				t.Fatal(err)
			}
			conn.Close(bg)
		}
	}
	for range 3 {
		get(t, s, "k")
		end()
		if it := get(t, s, "k"); it.Version != v {
			t.Errorf("k is at version %d, want %d", it.Version, v)
		}
		end()
		if items, err := s.Page(bg, store.Page{Limit: 2}); err != nil || len(items) != 1 {
			t.Errorf("Page = %d items, %v", len(items), err)
		}
		end()
		if err := s.Snapshot(bg, func(r store.SnapshotReader) error { _, err := r.Get(bg, []byte("k")); return err }); err != nil {
			t.Errorf("Snapshot = %v", err)
		}
	}
	// A snapshot whose connection has ended is over.
	err := s.Snapshot(bg, func(r store.SnapshotReader) error {
		end()
		_, err := r.Get(bg, []byte("k"))
		return err
	})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a read of a snapshot whose connection has ended = %v, want ErrUnavailable", err)
	}
}

// Backends are ended, again and again, under writers.
func TestTerminatedBackendsLoseNothing(t *testing.T) {
	direct := pgtest.New(t)
	name := "victims" + strings.TrimPrefix(searchPath(t, direct), "kixx_test")
	db := repotest.Must[*kixx.DB](t)(kixx.Open(bg, direct+"&application_name="+name))
	defer db.Close()
	conn := connect(t, direct)
	defer conn.Close(bg)
	counts := writers(t, repotest.NewItems(t, db), repotest.Count(40, 300, 4000), 20, func() error {
		_, err := conn.Exec(bg, `
			select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1
			order by state = 'active' desc, random() limit 1`, name)
		return err
	})
	t.Logf("backends ended: %s", counts)
}

// The server crashes and comes back, again and again, under writers.
func TestCrashedServerLosesNothing(t *testing.T) {
	pgtest.URL(t) // skips the test where there is no server, and says why
	server, err := pgtest.Start()
	if err != nil {
		pgtest.Skip(t, err)
	}
	defer func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	}()
	db := repotest.Must[*kixx.DB](t)(kixx.Open(bg, server.URL()))
	defer db.Close()
	counts := writers(t, repotest.NewItems(t, db), repotest.Count(20, 40, 1000), 60, func() error {
		return errors.Join(server.Crash(), server.Begin())
	})
	t.Logf("crashes: %s", counts)
}

// writers has 8 writers count up a document each, until each has been told n times that it did, and one that they share.
// After every few acknowledgements there is a disaster. It checks that what was acknowledged is there once.
func writers(t *testing.T, items *kinds.ItemRepo, n, every int, disaster func() error) string {
	const writers = 8
	ids := []string{"0", "1", "2", "3", "4", "5", "6", "7", "shared"}
	for _, id := range ids {
		repotest.Put(t, items, repotest.Item(id))
	}
	progress, over := make(chan struct{}, every), make(chan int)
	go func() {
		disasters := 0
		defer func() { over <- disasters }()
		for i := 1; ; i++ {
			if _, ok := <-progress; !ok {
				return
			}
			if i%every > 0 {
				continue
			}
			if err := disaster(); err != nil {
				t.Error(err)
			}
			disasters++
		}
	}()
	var acknowledged, unknown, unavailable, shared, sharedUnknown atomic.Int64
	up := func(it *kinds.Item) error { it.Price++; return nil }
	update := func(id string, acknowledged, unknown *atomic.Int64) bool {
		_, err := items.Update(bg, id, up)
		switch {
		case err == nil:
			acknowledged.Add(1)
		case errors.Is(err, kixx.ErrUnknown):
			unknown.Add(1)
		case errors.Is(err, kixx.ErrUnavailable):
			unavailable.Add(1)
		default:
			t.Errorf("Update of %s = %v", id, err)
		}
		return err == nil
	}
	var done, maybe [writers]atomic.Int64
	repotest.Together(writers, func(w int) {
		for int(done[w].Load()) < n && !t.Failed() {
			if update(ids[w], &done[w], &maybe[w]) {
				progress <- struct{}{}
			}
			if done[w].Load()%10 == 0 {
				update("shared", &shared, &sharedUnknown)
			}
		}
		acknowledged.Add(done[w].Load())
		unknown.Add(maybe[w].Load())
	})
	close(progress)
	disasters := <-over
	for i, id := range ids {
		low, extra := &shared, &sharedUnknown
		if i < writers {
			low, extra = &done[i], &maybe[i]
		}
		it := repotest.Must[*kinds.Item](t)(items.Get(bg, id))
		if got := int64(it.Price) - 10; got < low.Load() || got > low.Load()+extra.Load() || it.Rev.String() != fmt.Sprint(got) {
			t.Errorf("%s: %d increments acknowledged, %d unknown, and the counter is %d at revision %v", id, low.Load(), extra.Load(), got, it.Rev)
		}
	}
	if disasters == 0 {
		t.Error("nothing went wrong")
	}
	return fmt.Sprintf("%d; %d updates by %d writers acknowledged, %d unknown, %d unavailable; of a shared document %d and %d",
		disasters, acknowledged.Load(), writers, unknown.Load(), unavailable.Load(), shared.Load(), sharedUnknown.Load())
}
