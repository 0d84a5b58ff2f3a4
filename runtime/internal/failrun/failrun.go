// Package failrun puts a load on a store while its servers fail, and afterwards looks whether everything that was
// acknowledged is there, once. The tests of the stores over servers call [Run], each with its own way to hurt them.
//
// The load is that of 32 writers on several clients, each client a database of its own on a store of its own, as
// processes of an application would have. In one transaction a writer adds one to its counter and inserts a document of a
// number and a unique value that follow from it; now and then it adds one to a counter that others add to as well. So
// what is lost, applied by half or applied twice shows as a difference between counters and documents.
//
// A run is 10 seconds by default, a minute with KIXX_CI, and ten minutes with KIXX_LONG.
package failrun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	"github.com/kixxgen/kixxgen/runtime/store"
)

const (
	writers = 32
	clients = 4
	shared  = 4 // counters that all writers add to

	// wait is how long a writer waits for one commit.
	wait = 10 * time.Second
	// rest is how long a writer waits after a commit, except with KIXX_LONG: what else is tested at the time needs processors
	// too.
	rest = 15 * time.Millisecond
	// grace is how long after an event an acknowledgement may still come that was on its way before.
	grace = time.Second
)

// An Event is something that happens to the servers.
type Event struct {
	Name string
	Do   func() error // makes it happen; nil: nothing, for a span in which everything works

	// Gap is the longest time that may pass without an acknowledgement from its beginning on; 0: any.
	Gap time.Duration
	// Outage says that nothing can be acknowledged from the event on until the next one.
	Outage bool
}

// Options say what to run.
type Options struct {
	Open   func(t testing.TB) store.Store // the same store with every call, as another process would open it
	Events []Event                        // in their order, again and again; after the last one everything must work

	span time.Duration // how long an event lasts, in the tests of this package
}

// A run is what the writers have in common.
type run struct {
	t       testing.TB
	stopped atomic.Bool

	acked   atomic.Int64 // commits that were acknowledged
	unknown atomic.Int64 // commits of which a writer was told that the outcome is unknown
	applied atomic.Int64 // of these, of writers' own counters, the ones that turned out to have been applied
	refused atomic.Int64 // commits that failed and were not applied
	last    atomic.Int64 // when the last commit was acknowledged, or the event began, in nanoseconds since start
	gap     atomic.Int64 // the longest time between two acknowledgements, since it was last set to 0
	start   time.Time

	writers [writers]progress
	shared  [shared]struct{ acked, unknown atomic.Int64 }

	mu     sync.Mutex
	errors map[string]int // texts of what was refused, for the report of a failure
}

// progress is what a writer knows of its own documents when it has ended.
type progress struct {
	acked  int  // the number of its last document that was acknowledged, or known to be there
	unsure bool // the one after that may be there
}

// Run runs the load through the events, and checks.
func Run(t testing.TB, o Options) {
	r := &run{t: t, start: time.Now(), errors: make(map[string]int)}
	dbs, repos := r.open(o)
	var work sync.WaitGroup
	for w := range writers {
		work.Go(func() { r.write(w, dbs[w%clients], repos[w%clients]) })
	}
	span, rounds := length(len(o.Events))
	if o.span > 0 {
		span, rounds = o.span, 1
	}
	longest := make(map[string]time.Duration)
	for range rounds {
		for _, e := range o.Events {
			longest[e.Name] = max(longest[e.Name], r.event(e, span))
		}
	}
	r.stopped.Store(true)
	work.Wait()
	for _, db := range dbs {
		if err := db.Close(); err != nil {
			t.Errorf("closing a client: %v", err)
		}
	}
	r.check(o)
	if o.span > 0 {
		return
	}
	r.report(rounds*len(o.Events), longest)
}

// length returns how long one event lasts, and how often all of them happen.
func length(events int) (span time.Duration, rounds int) {
	switch {
	case os.Getenv("KIXX_LONG") != "":
		span = 4 * time.Second
		return span, max(1, int(10*time.Minute/span)/events)
	case os.Getenv("KIXX_CI") != "":
		return time.Minute / time.Duration(events), 1
	}
	return 10 * time.Second / time.Duration(events), 1
}

func (r *run) open(o Options) (dbs [clients]*kixx.DB, repos [clients]*kinds.ItemRepo) {
	r.t.Helper()
	ctx := r.t.Context()
	for i := range clients {
		var err error
		if dbs[i], err = kixx.OpenStore(ctx, o.Open(r.t), kixx.PointGuards()); err != nil {
			r.t.Fatal(err)
		}
		if repos[i], err = kinds.NewItemRepo(ctx, dbs[i]); err != nil {
			r.t.Fatal(err)
		}
	}
	for w := range writers {
		r.insert(repos[0], item(counter(w), 0))
	}
	for i := range shared {
		r.insert(repos[0], item(sharedCounter(i), 0))
	}
	return dbs, repos
}

func (r *run) insert(items *kinds.ItemRepo, it *kinds.Item) {
	r.t.Helper()
	if _, err := items.Insert(r.t.Context(), it); err != nil {
		r.t.Fatal(err)
	}
}

func counter(w int) string       { return fmt.Sprintf("counter:%02d", w) }
func sharedCounter(i int) string { return fmt.Sprintf("shared:%d", i) }
func document(w, n int) string   { return fmt.Sprintf("doc:%02d:%08d", w, n) }

func item(id string, n int) *kinds.Item {
	category, _, _ := strings.Cut(id, ":")
	return &kinds.Item{ID: id, Title: id, SKU: id, Category: category, Price: float64(n), Tags: []string{category, fmt.Sprint(n % 7)}}
}

// write commits until the run is stopped.
func (r *run) write(w int, db *kixx.DB, items *kinds.ItemRepo) {
	p := &r.writers[w]
	for n := 1; !r.stopped.Load(); {
		err := r.commit(db, items, w, n)
		switch {
		case err == nil:
			r.acknowledged()
			n++
			p.acked, p.unsure = n-1, false
			if os.Getenv("KIXX_LONG") == "" {
				<-time.After(rest)
			}
		case errors.Is(err, kixx.ErrUnknown):
			r.unknown.Add(1)
			p.unsure = true
		case errors.Is(err, kixx.ErrExists) && p.unsure:
			r.applied.Add(1)
			n++
			p.acked, p.unsure = n-1, false
		case errors.Is(err, kixx.ErrExists), errors.Is(err, errCounter):
			r.t.Errorf("writer %d: its document %d: %v; every earlier attempt was said not to have been applied", w, n, err)
			return
		default:
			r.refuse(err)
		}
		if n%4 == 0 {
			r.add(items, (w+n/4)%shared)
		}
	}
}

var errCounter = errors.New("the counter and the documents disagree")

// commit adds one to the writer's counter and inserts the document that goes with it.
func (r *run) commit(db *kixx.DB, items *kinds.ItemRepo, w, n int) error {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	return db.Tx(ctx, func(ctx context.Context, tx *kixx.Tx) error {
		items := items.With(tx)
		if _, err := items.Insert(ctx, item(document(w, n), n)); err != nil {
			return err
		}
		_, err := items.Update(ctx, counter(w), func(it *kinds.Item) error {
			if it.Price != float64(n-1) {
				return fmt.Errorf("%w: the counter is %v before document %d", errCounter, it.Price, n)
			}
			it.Price++
			return nil
		})
		return err
	})
}

// add adds one to a counter of all.
func (r *run) add(items *kinds.ItemRepo, i int) {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	_, err := items.Update(ctx, sharedCounter(i), func(it *kinds.Item) error { it.Price++; return nil })
	switch {
	case err == nil:
		r.acknowledged()
		r.shared[i].acked.Add(1)
	case errors.Is(err, kixx.ErrUnknown):
		r.unknown.Add(1)
		r.shared[i].unknown.Add(1)
	default:
		r.refuse(err)
	}
}

func (r *run) acknowledged() {
	now := int64(time.Since(r.start))
	gap := now - r.last.Swap(now)
	for {
		longest := r.gap.Load()
		if gap <= longest || r.gap.CompareAndSwap(longest, gap) {
			break
		}
	}
	r.acked.Add(1)
}

// refuse counts a commit that was not applied, and lets a moment pass: an application would as well.
func (r *run) refuse(err error) {
	r.refused.Add(1)
	r.mu.Lock()
	r.errors[fmt.Sprintf("%.300v", err)]++
	r.mu.Unlock()
	<-time.After(5 * time.Millisecond)
}

// event makes one event happen and returns the longest time without an acknowledgement from its beginning on.
func (r *run) event(e Event, span time.Duration) time.Duration {
	r.t.Helper()
	began := time.Now()
	r.last.Store(int64(began.Sub(r.start))) // what was before is another event's
	r.gap.Store(0)
	if e.Do != nil {
		if err := e.Do(); err != nil {
			r.t.Fatalf("%s: %v", e.Name, err)
		}
	}
	if e.Outage {
		<-time.After(grace)
		before := r.acked.Load()
		<-time.After(span)
		if n := r.acked.Load() - before; n > 0 {
			r.t.Errorf("%s: %d commits were acknowledged, and no server could", e.Name, n)
		}
		return 0
	}
	<-time.After(time.Until(began.Add(span)))
	// Nothing that is asked for within the limit is too late because the event was short.
	for e.Gap > 0 && r.last.Load() <= int64(began.Sub(r.start)) && r.silence() <= e.Gap {
		<-time.After(10 * time.Millisecond)
	}
	longest := max(time.Duration(r.gap.Load()), r.silence())
	if e.Gap > 0 && longest > e.Gap {
		r.t.Errorf("%s: %v without an acknowledgement, want at most %v", e.Name, longest, e.Gap)
		r.refusals()
	}
	return longest
}

// silence returns how long ago the last commit was acknowledged.
func (r *run) silence() time.Duration { return time.Since(r.start) - time.Duration(r.last.Load()) }

func (r *run) refusals() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for text, n := range r.errors {
		r.t.Logf("refused %d times: %s", n, text)
	}
}

// check compares what is stored with what the writers were told, and all entries of indexes with the documents.
func (r *run) check(o Options) {
	r.t.Helper()
	ctx := r.t.Context()
	db, err := kixx.OpenStore(ctx, o.Open(r.t))
	if err != nil {
		r.t.Fatal(err)
	}
	defer db.Close()
	items, err := kinds.NewItemRepo(ctx, db)
	if err != nil {
		r.t.Fatal(err)
	}
	value := func(id string) int {
		it, err := items.Get(ctx, id)
		if err != nil {
			r.t.Fatalf("after the run: %v", err)
		}
		return int(it.Price)
	}
	for w := range writers {
		p, have, documents := r.writers[w], value(counter(w)), 0
		prefix := strings.TrimSuffix(document(w, 0), "00000000")
		for it, err := range items.RangeBySKU().Prefix(prefix).All(ctx) {
			if err != nil {
				r.t.Fatal(err)
			}
			documents++
			if it.ID != document(w, documents) {
				r.t.Fatalf("writer %d: document %s where %s belongs", w, it.ID, document(w, documents))
			}
		}
		most := p.acked
		if p.unsure {
			most++
		}
		if have != documents || have < p.acked || have > most {
			r.t.Errorf("writer %d: its counter is %d, its documents are %d, acknowledged were %d (one more may have been applied: %v)", w, have, documents, p.acked, p.unsure)
		}
	}
	for i := range r.shared {
		acked, unknown := int(r.shared[i].acked.Load()), int(r.shared[i].unknown.Load())
		if have := value(sharedCounter(i)); have < acked || have > acked+unknown {
			r.t.Errorf("shared counter %d is %d, acknowledged were %d, unknown %d", i, have, acked, unknown)
		}
	}
	if err := db.Verify(ctx); err != nil {
		r.t.Errorf("documents and indexes after the run: %v", err)
	}
}

// report logs what was counted, as a row of docs/promises.md.
func (r *run) report(events int, longest map[string]time.Duration) {
	gaps := make(map[string]int64)
	for name, gap := range longest {
		gaps[name] = gap.Milliseconds()
	}
	line, err := json.Marshal(struct {
		Row          int              `json:"row"`
		Test         string           `json:"test"`
		Seconds      int              `json:"seconds"`
		Events       int              `json:"events"`
		Acknowledged int64            `json:"acknowledged"`
		Refused      int64            `json:"refused"`
		Unknown      int64            `json:"unknown"`
		Applied      int64            `json:"unknownApplied"`
		Gaps         map[string]int64 `json:"longestGapMillis"`
		Lost         int              `json:"lost"`
		Wrong        int              `json:"wrong"`
	}{15, r.t.Name(), int(time.Since(r.start).Seconds()), events, r.acked.Load(), r.refused.Load(), r.unknown.Load(), r.applied.Load(), gaps, 0, 0})
	if err != nil {
		r.t.Fatal(err)
	}
	if !r.t.Failed() {
		r.t.Logf("%s", line)
	}
}
