package filestore_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
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

// token returns the position of s.
func token(t testing.TB, s store.Store) (tok store.Token) {
	t.Helper()
	if err := s.Snapshot(bg, func(r store.SnapshotReader) error { tok = r.Token(); return nil }); err != nil {
		t.Fatal(err)
	}
	return tok
}

// patience is how long a watch waits for what must come. It is only ever used up by a failure.
const patience = 20 * time.Second

// pull returns a watch that is pulled. It ends with the test.
func pull(t testing.TB, s store.Store, from store.Token, prefix string) (next func() (store.Event, error, bool)) {
	ctx, cancel := context.WithTimeout(bg, patience)
	next, stop := iter.Pull2(s.Watch(ctx, from, []byte(prefix)))
	t.Cleanup(func() { stop(); cancel() })
	return next
}

// told returns an event in a few words.
func told(e store.Event) string {
	switch e.Kind {
	case store.EventResync:
		return "resync"
	case store.EventDelete:
		return fmt.Sprintf("%s deleted", e.Key)
	}
	return fmt.Sprintf("%s=%.10s", e.Key, e.Value)
}

// watch returns the first n events of a watch.
func watch(t testing.TB, s store.Store, from store.Token, prefix string, n int) (events []store.Event) {
	t.Helper()
	if n == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(bg, patience)
	defer cancel()
	for e, err := range s.Watch(ctx, from, []byte(prefix)) {
		if err != nil {
			t.Fatalf("Watch after %d events: %v", len(events), err)
		}
		if events = append(events, e); len(events) == n {
			break
		}
	}
	return events
}

// watchText returns them in words.
func watchText(t testing.TB, s store.Store, from store.Token, prefix string, n int) string {
	t.Helper()
	var text []string
	for _, e := range watch(t, s, from, prefix, n) {
		text = append(text, told(e))
	}
	return strings.Join(text, ", ")
}

// A watcher is told of each change once, over the rolls of segments and a reopening, from memory and from the segments;
// and from the token of every event on, of exactly the rest.
func TestWatchTellsOnceOverSegments(t *testing.T) {
	for _, mode := range []store.DurabilityMode{store.Sync, store.Periodic, store.NoSync} {
		rng := rand.New(rand.NewPCG(1, uint64(mode)))
		sim := simfs.New()
		o, clock := simOptions(sim, mode)
		s := mustOpen(t, o)
		from := token(t, s)
		var want []string
		commits := size(60, 200, 1000)
		for i := range commits {
			var sets []set
			for _, k := range rng.Perm(5)[:1+rng.IntN(3)] {
				del := rng.IntN(4) == 0
				st := set{key: fmt.Sprintf("w/%d", k), value: value(rng, fmt.Sprintf("%d ", i), 10+rng.IntN(500)), del: del}
				sets = append(sets, st)
			}
			sets = append(sets, set{key: "other", value: "x"})
			b := batch(sets...)
			for _, op := range b.Ops[1:] {
				if op.Delete {
					want = append(want, string(op.Key)+" deleted")
				} else {
					want = append(want, fmt.Sprintf("%s=%.10s", op.Key, op.Value))
				}
			}
			if _, err := s.Commit(bg, b); err != nil {
				t.Fatal(err)
			}
			if i%20 == 10 {
				clock.advance(1100 * time.Millisecond) // a mark, which is no commit
			}
		}
		check := func(how string) {
			t.Helper()
			events := watch(t, s, from, "w/", len(want))
			for i, e := range events {
				if told(e) != want[i] {
					t.Fatalf("mode %d, %s: event %d is %q, want %q", mode, how, i, told(e), want[i])
				}
			}
			for i := 0; i < len(want); i += 1 + len(want)/40 {
				rest := watch(t, s, events[i].Token, "w/", len(want)-i-1)
				for j, e := range rest {
					if told(e) != want[i+1+j] {
						t.Fatalf("mode %d, %s: from the token of event %d on: %q, want %q", mode, how, i, told(e), want[i+1+j])
					}
				}
			}
		}
		check("from memory")
		filestore.KeepRecent(s, 0)
		put(t, s, "w/last", "1")
		want = append(want, "w/last=1")
		check("from the segments")
		filestore.KeepRecent(s, 1<<10)
		token(t, s) // asks for what comes
		put(t, s, "w/last", "2")
		want = append(want, "w/last=2")
		check("from the segments and then memory")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = mustOpen(t, o)
		check("after a reopening")
		if n := filestore.Segments(s); n < 6 {
			t.Errorf("mode %d: the log has %d segments, the test wants 5 rolls", mode, n)
		}
	}
}

// A watcher sees a commit when readers do, not before.
func TestWatchersSeeWhatIsPublished(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	s := mustOpen(t, o)
	put(t, s, "w", "1")
	from := token(t, s)
	for _, keep := range []int{16 << 20, 0} { // from memory, and from the segments
		filestore.KeepRecent(s, keep)
		hold, waiting := make(chan struct{}), make(chan struct{})
		armed := true
		sim.Before(func(op simfs.Op) {
			if armed && op.Kind == "sync" {
				armed = false
				close(waiting)
				<-hold
			}
		})
		var published atomic.Bool
		cancel := s.OnPublish(func(*store.Batch, store.Version) { published.Store(true) })
		next := pull(t, s, from, "w")
		done := make(chan error)
		go func() {
			_, err := s.Commit(bg, batch(set{key: "w", value: "2"}))
			done <- err
		}()
		<-waiting
		got := make(chan string)
		go func() {
			e, err, _ := next()
			if !published.Load() {
				t.Errorf("keep %d: a watcher was told %s before it was published", keep, told(e))
			}
			got <- fmt.Sprint(told(e), err)
		}()
		runtime.Gosched()
		close(hold)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if text := <-got; text != "w=2<nil>" {
			t.Errorf("keep %d: the watcher was told %s", keep, text)
		}
		cancel()
		from = token(t, s)
	}
	sim.Before(nil)
}

// The bytes behind the newest commit change: a watcher that read them with it does not take them for what comes.
func TestWatchReadsBehindTheEndAnew(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	s := mustOpen(t, o)
	from := token(t, s)
	filestore.KeepRecent(s, 0)
	next := pull(t, s, from, "")
	for i := range 200 {
		put(t, s, fmt.Sprint("a", i), strings.Repeat("v", i))
		if i%5 == 0 {
			put(t, s, "b", "x")
		}
		if i%3 > 0 {
			continue // so that the watcher is one or more behind
		}
		if e, err, _ := next(); err != nil || e.Kind != store.EventPut {
			t.Fatalf("commit %d: %s, %v", i, told(e), err)
		}
	}
}

// A roll gives back the space behind the end of a segment while a watcher is about to read there.
func TestWatchWhileReservedSpaceIsGivenBack(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	s := mustOpen(t, o)
	from := token(t, s)
	filestore.KeepRecent(s, 0)
	put(t, s, "a", "1")
	put(t, s, "b", "2")
	end := filestore.LogEnd(s)
	if n := int64(len(sim.ReadFile(firstSegment))); n <= end {
		t.Fatalf("the segment has %d bytes and its frames end at %d: nothing is reserved", n, end)
	}
	sim.Before(func(op simfs.Op) {
		if op.Kind == "read" {
			sim.Cut(firstSegment, end)
		}
	})
	if got := watchText(t, s, from, "", 2); got != "a=1, b=2" {
		t.Errorf("the watch tells %s, want a=1, b=2", got)
	}
	sim.Before(nil)
}

// A position whose segment was removed is answered with a resync, never with a gap.
func TestRemovedSegmentIsAResync(t *testing.T) {
	for drop := range 4 {
		sim := simfs.New()
		o, _ := simOptions(sim, store.Sync)
		o.SegmentSize = 512
		s := mustOpen(t, o)
		froms := []store.Token{token(t, s)}
		for i := 0; filestore.Segments(s) < 6; i++ {
			put(t, s, fmt.Sprint("w/", i), strings.Repeat("v", 100))
			froms = append(froms, token(t, s))
		}
		next := pull(t, s, froms[0], "") // in the first segment, from memory
		if e, err, _ := next(); err != nil || told(e) != "w/0=vvvvvvvvvv" {
			t.Fatal(told(e), err)
		}
		filestore.DropSegment(s, drop)
		resync := 0
		for i := 1; resync == 0; i++ {
			e, err, _ := next()
			if err != nil {
				t.Fatalf("drop %d, event %d: %v", drop, i, err)
			}
			if e.Kind == store.EventResync {
				resync++
			} else if want := fmt.Sprintf("w/%d=vvvvvvvvvv", i); told(e) != want {
				t.Fatalf("drop %d: %s, want %s", drop, told(e), want)
			}
		}
		filestore.KeepRecent(s, 0)
		put(t, s, "w/last", "1")
		last := fmt.Sprint("w/", len(froms)-2)
		for i, from := range froms {
			n, gap := i, false
			ctx, cancel := context.WithTimeout(bg, patience)
			defer cancel()
			for e, err := range s.Watch(ctx, from, nil) {
				if err != nil {
					t.Fatalf("drop %d, from %d: %v", drop, i, err)
				}
				if e.Kind == store.EventResync {
					gap = true
					break
				}
				if string(e.Key) == "w/last" {
					break
				}
				if want := fmt.Sprint("w/", n); string(e.Key) != want {
					t.Fatalf("drop %d, from %d: %s, want %s", drop, i, told(e), want)
				}
				n++
			}
			if !gap && n != len(froms)-1 {
				t.Fatalf("drop %d, from %d: the feed ended at %d of %s", drop, i, n, last)
			}
			if i == 0 && !gap {
				t.Errorf("drop %d: a watch from the beginning has no resync", drop)
			}
		}
	}
}

// A segment that cannot be read, or is damaged, ends the watch; nothing is skipped.
func TestDamageEndsTheWatch(t *testing.T) {
	for _, keep := range []int{16 << 20, 0} { // the value alone, and the whole frame
		for _, how := range []string{"flipped", "unreadable", "cut"} {
			sim := simfs.New()
			o, _ := simOptions(sim, store.Sync)
			s := mustOpen(t, o)
			from := token(t, s)
			filestore.KeepRecent(s, keep)
			put(t, s, "a", "1")
			begin := filestore.LogEnd(s)
			put(t, s, "b", strings.Repeat("damage", 50))
			put(t, s, "c", "3")
			disk := sim
			disk.Inject(func(op simfs.Op) *simfs.Fault {
				if op.Kind == "read" && how == "unreadable" && op.Off+op.Len > begin {
					return &simfs.Fault{Err: errDisk}
				}
				return nil
			})
			data := disk.ReadFile(firstSegment)
			at := int64(strings.Index(string(data), "damagedamage"))
			switch how {
			case "flipped":
				disk.Overwrite(firstSegment, at+77, []byte("!"))
			case "cut":
				disk.Cut(firstSegment, at+50)
			}
			var got []string
			var last error
			ctx, cancel := context.WithTimeout(bg, patience)
			defer cancel()
			for e, err := range s.Watch(ctx, from, nil) {
				if last = err; err == nil {
					got = append(got, told(e))
				}
				if len(got) > 2 {
					break
				}
			}
			if c := wantCorrupt(t, last); c.File != firstSegment || c.Offset < begin && how != "unreadable" {
				t.Errorf("keep %d, %s: %v, want offset %d or more of %s", keep, how, c, begin, firstSegment)
			}
			if text := strings.Join(got, ", "); text != "a=1" && !(how == "unreadable" && keep == 0 && text == "") {
				t.Errorf("keep %d, %s: the watch told %s, want a=1 and then the damage", keep, how, text)
			}
			disk.Inject(nil)
		}
	}
}

// Close ends watchers that wait, and those that are about to read; the context ends them with its own error.
func TestCloseEndsWatchers(t *testing.T) {
	for range size(30, 300, 3000) {
		sim := simfs.New()
		o, _ := simOptions(sim, store.NoSync)
		o.SegmentSize = 512
		s := mustOpen(t, o)
		from := token(t, s)
		for i := range 10 {
			put(t, s, fmt.Sprint(i), strings.Repeat("v", 100))
		}
		filestore.KeepRecent(s, 0)
		put(t, s, "x", "x")
		patient, give := context.WithTimeout(bg, patience)
		defer give()
		ctx, cancel := context.WithCancel(bg)
		began := make(chan struct{}, 8)
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				c, want := patient, store.ErrClosed
				if w%2 == 1 {
					c, want = ctx, context.Canceled
				}
				n, last := 0, error(nil)
				for _, err := range s.Watch(c, from, nil) {
					if n++; n == 1+w {
						began <- struct{}{}
					}
					last = err
				}
				if !errors.Is(last, want) && !(w%2 == 1 && errors.Is(last, store.ErrClosed)) {
					t.Errorf("watcher %d ended with %v, want %v", w, last, want)
				}
			})
		}
		for range 4 {
			<-began
		}
		cancel()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		n := 0
		for _, err := range s.Watch(bg, from, nil) {
			if n++; !errors.Is(err, store.ErrClosed) {
				t.Errorf("Watch after Close: %v", err)
			}
		}
		if n != 1 {
			t.Errorf("Watch after Close has %d elements, want 1", n)
		}
	}
}

// After the end of its context, and after Close, the next element is the error, however much is still to tell.
func TestNothingIsToldAfterTheEnd(t *testing.T) {
	for _, want := range []error{context.Canceled, store.ErrClosed} {
		o, _ := simOptions(simfs.New(), store.Sync)
		s := mustOpen(t, o)
		from := token(t, s)
		for i := range 100 {
			put(t, s, fmt.Sprint(i), "v")
		}
		ctx, cancel := context.WithCancel(bg)
		defer cancel()
		n, last := 0, error(nil)
		for _, err := range s.Watch(ctx, from, nil) {
			n, last = n+1, err
			if want == store.ErrClosed {
				s.Close()
			} else {
				cancel()
			}
		}
		if n != 2 || !errors.Is(last, want) {
			t.Errorf("%d elements, the last one is %v; want one event and %v", n, last, want)
		}
	}
}

// Watchers that are far behind, slow or given up cost neither memory nor anybody's time.
func TestFarBehindCostsNoMemory(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.NoSync)
	o.SegmentSize = 1 << 20
	s := mustOpen(t, o)
	from := token(t, s)
	filestore.KeepRecent(s, 64<<10)
	var watchers []func() (store.Event, error, bool)
	for range 20 {
		watchers = append(watchers, pull(t, s, from, ""))
	}
	put(t, s, "k", "first")
	for _, next := range watchers {
		if e, err, _ := next(); err != nil || told(e) != "k=first" {
			t.Fatal(told(e), err)
		}
	}
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	commits := 20_000
	before, disk := heap(), sim.Used()
	for i := range commits {
		put(t, s, fmt.Sprint("k", i%10), fmt.Sprintf("%060d", i)) // kept in memory while it is recent
	}
	grown := heap() - before - 2*(sim.Used()-disk) // what simfs keeps, twice: a change that is not synced is kept as well
	if bytes, floor := filestore.Recent(s); bytes > 64<<10 || floor < uint64(commits)*9/10 {
		t.Errorf("%d bytes are kept, behind commit %d of %d; want at most 64 KiB", bytes, floor, commits)
	}
	t.Logf("20 watchers are %d commits behind; %d bytes of log; the heap grew by %d bytes beside it", commits, sim.Used()-disk, grown)
	if limit := int64(2 << 20); grown > limit {
		t.Errorf("the heap grew by %d bytes, want at most %d", grown, limit)
	}
	for w, next := range watchers[:3] {
		for i := range commits {
			e, err, _ := next()
			if err != nil || string(e.Value) != fmt.Sprintf("%060d", i) {
				t.Fatalf("watcher %d, event %d: %s, %v", w, i, told(e), err)
			}
		}
	}
}

// picture keeps what a watcher knows of the store.
type picture struct {
	keys    map[string]string
	token   store.Token
	resyncs int
}

// apply takes in an event. After a resync the picture is read anew, and again says that the watch must be too.
func (p *picture) apply(s store.Store, e store.Event) (again bool, err error) {
	switch p.token = e.Token; e.Kind {
	case store.EventPut:
		p.keys[string(e.Key)] = string(e.Value)
	case store.EventDelete:
		delete(p.keys, string(e.Key))
	case store.EventResync:
		p.resyncs++
		err = s.Snapshot(bg, func(r store.SnapshotReader) error {
			p.token = r.Token()
			p.keys, err = dump(r)
			return err
		})
		return true, err
	}
	return false, nil
}

// follow lets the picture go on until it has seen key with the value.
func (p *picture) follow(ctx context.Context, s store.Store, key, value string) error {
	for p.keys[key] != value {
		var again bool
		for e, err := range s.Watch(ctx, p.token, nil) {
			if err == nil {
				again, err = p.apply(s, e)
			}
			if err != nil {
				return err
			}
			if again || p.keys[key] == value {
				break
			}
		}
	}
	return nil
}

// 8 writers and 4 watchers, one of them slow, one given up early, on small segments and with little kept in memory: in
// the end the pictures are what the store has.
func TestWatchersBesideWriters(t *testing.T) {
	for _, mode := range []store.DurabilityMode{store.Sync, store.NoSync} {
		for _, keep := range []int{16 << 20, 20 << 10, 0} {
			o := filestore.Options{FS: simfs.New(), SegmentSize: 8 << 10, Reserve: 4 << 10}
			o.Logger = (&quiet{}).logger()
			o.Durability.Mode = mode
			s := mustOpen(t, o)
			filestore.KeepRecent(s, keep)
			from := token(t, s)
			pictures := make([]*picture, 3)
			ctx, cancel := context.WithTimeout(bg, 3*patience)
			defer cancel()
			var watchers, writers sync.WaitGroup
			for i := range pictures {
				pictures[i] = &picture{keys: map[string]string{}, token: from}
				watchers.Go(func() {
					p, n := pictures[i], 0
					for p.keys["zz"] != "end" {
						for e, err := range s.Watch(ctx, p.token, nil) {
							if err != nil {
								t.Errorf("watcher %d: %v", i, err)
								return
							}
							if e.Kind == store.EventResync {
								t.Errorf("watcher %d is told to resync", i)
								return
							}
							if i == 0 { // the slow one
								for range 200 {
									runtime.Gosched()
								}
							}
							if _, err := p.apply(s, e); err != nil {
								t.Error(err)
							}
							if n++; p.keys["zz"] == "end" || i == 1 && n%37 == 0 {
								break // and goes on from its token
							}
						}
					}
				})
			}
			watchers.Go(func() {
				n := 0
				for range s.Watch(bg, from, []byte("a/")) {
					if n++; n == 10 {
						return
					}
				}
			})
			commits := size(60, 400, 4000)
			for w := range 8 {
				writers.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(w), 40))
					for n := range commits {
						b := batch(
							set{key: fmt.Sprintf("a/%d", rng.IntN(5)), value: fmt.Sprint(w, n), del: rng.IntN(4) == 0},
							set{key: fmt.Sprintf("b/%d/%d", w, rng.IntN(5)), value: value(rng, fmt.Sprint(w, n), rng.IntN(200)), del: rng.IntN(4) == 0},
						)
						if _, err := s.Commit(bg, b); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			writers.Wait()
			put(t, s, "zz", "end")
			watchers.Wait()
			want, err := dump(s)
			if err != nil {
				t.Fatal(err)
			}
			for i, p := range pictures {
				if !equal(p.keys, want) {
					t.Errorf("mode %d, keep %d: watcher %d ends with%s\nthe store has%s", mode, keep, i, show(p.keys), show(want))
				}
			}
			t.Logf("mode %d, keep %d: %d commits, %d segments", mode, keep, 8*commits, filestore.Segments(s))
			s.Close()
		}
	}
}
