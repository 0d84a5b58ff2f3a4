package filestore_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
	"github.com/kixxgen/kixxgen/runtime/store/filestore/simfs"
)

// Writers, readers, snapshots and the end of the store at any moment: every acknowledged commit is there after a power
// cut, in the order of its versions, and none of the reads sees half of one.
func TestWritersReadersAndAPowerCut(t *testing.T) {
	rounds := size(12, 60, 1000)
	var commits, groups int
	for round := range rounds {
		rng := rand.New(rand.NewPCG(uint64(round), 8))
		sim := simfs.New()
		o := filestore.Options{FS: sim, SegmentSize: 16 << 10, Reserve: 4 << 10}
		o.Logger = (&quiet{}).logger()
		s := mustOpen(t, o)
		type ack struct {
			w, n int
			v    store.Version
		}
		var mu sync.Mutex
		var acks []ack
		var begun [16]int
		var cut *simfs.FS
		var cutAcks int
		cutAt := 100 + rng.IntN(300)
		sim.Before(func(op simfs.Op) {
			mu.Lock()
			defer mu.Unlock()
			if op.N >= cutAt && cut == nil {
				cutAcks = len(acks)
				cut = sim.Crash(simfs.Losses[round%3], rng)
			}
			if op.Kind == "sync" {
				groups++
			}
		})
		var published store.Version
		s.OnPublish(func(b *store.Batch, v store.Version) { // under the store's lock
			if v != published+1 {
				t.Errorf("commit %d is published after %d", v, published)
			}
			published = v
		})
		var wg sync.WaitGroup
		var stop atomic.Bool
		for w := range 16 {
			wg.Go(func() {
				for n := 1; n <= 40; n++ {
					mu.Lock()
					begun[w] = n
					mu.Unlock()
					b := batch(
						set{key: fmt.Sprintf("a/%02d", w), value: fmt.Sprint(n)},
						set{key: fmt.Sprintf("b/%02d", w), value: fmt.Sprint(n) + strings.Repeat("x", 100)},
					)
					v, err := s.Commit(bg, b)
					if err != nil {
						t.Errorf("Commit: %v", err)
						return
					}
					mu.Lock()
					acks = append(acks, ack{w, n, v})
					mu.Unlock()
				}
			})
		}
		var readers sync.WaitGroup
		for r := range 3 {
			readers.Go(func() {
				last := map[string]store.Version{}
				for !stop.Load() {
					var items []store.Item
					var err error
					switch r {
					case 0:
						items, err = s.Page(bg, store.Page{Limit: 100})
					case 1:
						err = s.Snapshot(bg, func(sr store.SnapshotReader) error {
							items, err = sr.Page(bg, store.Page{Limit: 100, Reverse: true})
							return err
						})
					default:
						items, err = s.Get(bg, []byte("a/03"), []byte("b/03"))
					}
					if err != nil {
						t.Errorf("read: %v", err)
						return
					}
					of := map[string]store.Version{}
					for _, it := range items {
						of[string(it.Key)] = it.Version
						if it.Version < last[string(it.Key)] {
							t.Errorf("%s went from version %d back to %d", it.Key, last[string(it.Key)], it.Version)
						}
						last[string(it.Key)] = it.Version
					}
					for k, v := range of {
						if k[0] == 'a' && of["b"+k[1:]] != v {
							t.Errorf("half a commit: %s at %d, b%s at %d", k, v, k[1:], of["b"+k[1:]])
						}
					}
				}
			})
		}
		wg.Wait()
		stop.Store(true)
		readers.Wait()
		sim.Before(nil)
		commits += len(acks)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if cut == nil {
			cut, cutAcks = sim.Crash(simfs.LoseAll, rng), len(acks)
		}
		got, err := reopened(cut, store.Sync, 0)
		if err != nil {
			t.Fatal(err)
		}
		least := [16]int{}
		for _, a := range acks[:cutAcks] {
			least[a.w] = max(least[a.w], a.n)
		}
		for w := range 16 {
			a, b := got[fmt.Sprintf("a/%02d", w)], got[fmt.Sprintf("b/%02d", w)]
			n := 0
			fmt.Sscan(a, &n)
			if n < least[w] || n > begun[w] || n > 0 && b != a+strings.Repeat("x", 100) {
				t.Fatalf("round %d: writer %d is at %q %.8q, acknowledged %d", round, w, a, b, least[w])
			}
		}
	}
	proof(t, 16, "rounds", rounds, "commits", commits, "syncs", groups, "lost", 0)
}

// A conflict with a commit that is not published yet is reported when it is: the caller reads the new state.
func TestConflictIsReportedWhenTheWinnerCanBeRead(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	s := mustOpen(t, o)
	v := put(t, s, "k", "old")
	hold, waiting := make(chan struct{}), make(chan struct{})
	first := true
	sim.Before(func(op simfs.Op) {
		if op.Kind == "sync" && first {
			first = false
			close(waiting)
			<-hold
		}
	})
	var wg sync.WaitGroup
	guarded := func(value string) error {
		b := batch(set{key: "k", value: value})
		b.Ops[0].Guard = store.At(v)
		_, err := s.Commit(bg, b)
		return err
	}
	wg.Go(func() {
		if err := guarded("new"); err != nil {
			t.Error(err)
		}
	})
	<-waiting
	for range 5 {
		wg.Go(func() {
			err := guarded("lost")
			var c *store.ConflictError
			if !errors.As(err, &c) || string(c.Key) != "k" {
				t.Errorf("error %v, want a conflict on k", err)
			}
			if items, err := s.Get(bg, []byte("k")); err != nil || string(items[0].Value) != "new" {
				t.Errorf("after the conflict k is %q, %v, want new", items[0].Value, err)
			}
		})
	}
	s.AwaitQueued(5)
	if items, _ := s.Get(bg, []byte("k")); string(items[0].Value) != "old" {
		t.Errorf("a reader sees %q before it is durable", items[0].Value)
	}
	// A guard that holds on nothing that is pending is not held up by it, and one on what a pending commit deletes is right.
	close(hold)
	wg.Wait()
}

// The S role is handed on when no later group can be published first any more (I3): while the first group has yet to get its
// turn to publish, the second one is not even written.
func TestNoGroupOvertakesTheOneOfTheCaller(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	s := mustOpen(t, o)
	put(t, s, "k", "old")
	hold, waiting := make(chan struct{}), make(chan struct{})
	var writes atomic.Int64
	sim.Before(func(op simfs.Op) {
		if op.Kind == "write" && writes.Add(1) == 1 {
			close(waiting)
			<-hold
		}
	})
	var order []string
	s.OnPublish(func(b *store.Batch, _ store.Version) { order = append(order, string(b.Ops[0].Value)) })
	var wg sync.WaitGroup
	commit := func(value string) {
		wg.Go(func() {
			if _, err := s.Commit(bg, batch(set{key: "k", value: value})); err != nil {
				t.Error(err)
			}
		})
	}
	commit("first")
	<-waiting
	commit("second")
	s.AwaitQueued(1)
	publish := filestore.HoldPublishing(s)
	close(hold)
	for range 20_000 { // time enough for who would go on; who must not does not, however long this takes
		runtime.Gosched()
	}
	if n := writes.Load(); n != 1 {
		t.Errorf("%d groups are written, and the first one does not have its turn to publish yet", n)
	}
	publish()
	wg.Wait()
	if got := strings.Join(order, " "); got != "first second" {
		t.Errorf("published: %s", got)
	}
}

// Guards see the commits before them in the queue, whatever those do.
func TestGuardsSeeWhatIsPending(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	s := mustOpen(t, o)
	v := put(t, s, "there", "x")
	hold, waiting := make(chan struct{}), make(chan struct{})
	first := true
	sim.Before(func(op simfs.Op) {
		if op.Kind == "sync" && first {
			first = false
			close(waiting)
			<-hold
		}
	})
	type result struct {
		what string
		err  error
	}
	results := make(chan result, 10)
	queue := func(what string, b *store.Batch, queued int) {
		go func() {
			_, err := s.Commit(bg, b)
			results <- result{what, err}
		}()
		if queued > 0 {
			s.AwaitQueued(queued)
		}
	}
	guard := func(b *store.Batch, v store.Version) *store.Batch {
		b.Ops[0].Guard = store.At(v)
		return b
	}
	queue("delete", batch(set{key: "there", del: true}), 0)
	<-waiting
	queue("insert after delete", guard(batch(set{key: "there", value: "new"}), store.Absent), 1)
	queue("conflict insert twice", guard(batch(set{key: "there", value: "newer"}), store.Absent), 2)
	queue("conflict old version", guard(batch(set{key: "there", value: "newer"}), v), 3)
	queue("insert", guard(batch(set{key: "fresh", value: "1"}), store.Absent), 4)
	queue("conflict check", &store.Batch{Ops: batch(set{key: "z", value: "1"}).Ops, Checks: []store.Check{{Key: []byte("fresh")}}}, 5)
	queue("check alone", &store.Batch{Checks: []store.Check{{Key: []byte("nothing")}}}, 6)
	close(hold)
	for range 7 {
		r := <-results
		if conflict := errors.Is(r.err, store.ErrConflict); conflict != strings.HasPrefix(r.what, "conflict") || r.err != nil && !conflict {
			t.Errorf("%s: %v", r.what, r.err)
		}
	}
	got, err := dump(s)
	if want := map[string]string{"there": "new", "fresh": "1"}; err != nil || !equal(got, want) {
		t.Errorf("in the end%s, %v, want%s", show(got), err, show(want))
	}
}

// When syncs are slow, callers that commit in a loop share each of them.
func TestGatheredCommitsShareASync(t *testing.T) {
	sim := simfs.New()
	o := filestore.Options{FS: sim}
	o.Logger = (&quiet{}).logger()
	s := mustOpen(t, o)
	const writers, each = 32, 30
	var syncs atomic.Int64
	delay := make(chan struct{})
	sim.Before(func(op simfs.Op) {
		if op.Kind == "sync" && strings.HasPrefix(op.Name, "seg-") {
			syncs.Add(1)
			select { // a sync of 2 ms
			case <-time.After(2 * time.Millisecond):
			case <-delay:
			}
		}
	})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range each {
				if _, err := s.Commit(bg, batch(set{key: fmt.Sprint(w), value: fmt.Sprint(n)})); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	close(delay)
	per := float64(writers*each) / float64(syncs.Load())
	t.Logf("%d writers: %.1f commits a sync", writers, per)
	if per < writers*3/4 {
		t.Errorf("%.1f commits a sync with %d writers", per, writers)
	}
}

// Close waits for commits under way, refuses later ones, and nothing of the store is left running.
func TestCloseUnderWriters(t *testing.T) {
	for range size(20, 100, 1000) {
		sim := simfs.New()
		o := filestore.Options{FS: sim, SegmentSize: 1 << 10, Reserve: 512}
		o.Logger = (&quiet{}).logger()
		o.Durability = store.Durability{Mode: store.Periodic, Interval: time.Microsecond}
		s := mustOpen(t, o)
		var wg sync.WaitGroup
		acked := make([]int, 8)
		started := make(chan struct{}, 8)
		for w := range acked {
			wg.Go(func() {
				for n := 1; ; n++ {
					_, err := s.Commit(bg, batch(set{key: fmt.Sprint(w), value: fmt.Sprint(n)}))
					if n == 5 {
						started <- struct{}{}
					}
					if err != nil {
						if !errors.Is(err, store.ErrClosed) {
							t.Errorf("Commit while closing: %v, want ErrClosed", err)
						}
						return
					}
					acked[w] = n
				}
			})
		}
		<-started
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if err := s.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		got, err := dumpAfter(sim.Crash(simfs.LoseAll, nil)) // a clean close has synced all
		if err != nil {
			t.Fatal(err)
		}
		for w, n := range acked {
			if n > 0 && got[fmt.Sprint(w)] != fmt.Sprint(n) {
				t.Errorf("writer %d: %q is there, acknowledged %d", w, got[fmt.Sprint(w)], n)
			}
		}
		if _, err := s.Get(bg, []byte("0")); !errors.Is(err, store.ErrClosed) {
			t.Errorf("Get after Close: %v", err)
		}
	}
}

// A group too large to be put together is written commit by commit, over the end of a segment too; a recovery copies it.
func TestGroupOfLargeCommits(t *testing.T) {
	for _, segment := range []int64{8 << 20, 1 << 20} {
		sim := simfs.New()
		o := filestore.Options{FS: sim, SegmentSize: segment}
		o.Logger = (&quiet{}).logger()
		s := mustOpen(t, o)
		hold, waiting := make(chan struct{}), make(chan struct{})
		first := true
		sim.Before(func(op simfs.Op) {
			if op.Kind == "write" && first {
				first = false
				close(waiting)
				<-hold
			}
		})
		want := map[string]string{}
		var wg sync.WaitGroup
		for i := range 6 {
			k := fmt.Sprint("k", i)
			want[k] = strings.Repeat(k, 300<<10)
			wg.Go(func() {
				if _, err := s.Commit(bg, batch(set{key: k, value: want[k]})); err != nil {
					t.Error(err)
				}
			})
			if i == 0 {
				<-waiting
			} else {
				s.AwaitQueued(i)
			}
		}
		close(hold)
		wg.Wait()
		if got, err := dump(s); err != nil || !equal(got, want) {
			t.Fatalf("segments of %d: %v%s", segment, err, show(got))
		}
		disk := sim.Crash(simfs.LoseAll, nil)
		for range 2 { // the second time from the copies
			if got, err := dumpAfter(disk); err != nil || !equal(got, want) {
				t.Fatalf("segments of %d, after a crash: %v%s", segment, err, show(got))
			}
		}
	}
}

// A key is put where it must be absent and deleted at the version that was put, by callers that overtake each other on the
// way out of a commit. Every second success is a put, else one was let through by a change that was long overwritten.
func TestPendingGroupsDoNotHidePublishedOnes(t *testing.T) {
	o := filestore.Options{FS: simfs.New()}
	o.Durability.Mode = store.NoSync // the fastest: groups follow each other closely
	s := mustOpen(t, o)
	var puts, deletes atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range size(4_000, 40_000, 1_000_000) {
				items, err := s.Get(bg, []byte("k"))
				if err != nil {
					t.Error(err)
					return
				}
				op, count := store.Op{Key: []byte("k"), Value: []byte("v"), Guard: store.At(store.Absent)}, &puts
				if v := items[0].Version; v != store.Absent {
					op, count = store.Op{Key: []byte("k"), Delete: true, Guard: store.At(v)}, &deletes
				}
				switch _, err := s.Commit(bg, &store.Batch{Ops: []store.Op{op}}); {
				case err == nil:
					count.Add(1)
				case !errors.Is(err, store.ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	items, err := s.Get(bg, []byte("k"))
	if err != nil {
		t.Fatal(err)
	}
	want := int64(0)
	if items[0].Version != store.Absent {
		want = 1
	}
	if got := puts.Load() - deletes.Load(); got != want {
		t.Errorf("%d puts of an absent key and %d deletes succeeded, and it is there: %v", puts.Load(), deletes.Load(), want == 1)
	}
	t.Logf("%d puts, %d deletes", puts.Load(), deletes.Load())
}
