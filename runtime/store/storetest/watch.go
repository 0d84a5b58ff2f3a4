package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// watched is the prefix of the keys that these tests watch. Events of different keys may come in any order, so no key can
// mark the end; nudge is one that a test puts to make a watcher look again whether it has seen all. It is not compared.
const (
	watched = "w/"
	nudge   = "w/nudge"
)

// gather watches from a token on until enough says so, which is asked after each event.
func (h *harness) gather(from store.Token, enough func(events []store.Event) bool) (events []store.Event, err error) {
	c, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for e, err := range h.s.Watch(c, from, []byte(watched)) {
		if err != nil {
			return events, fmt.Errorf("after %d events: %w", len(events), err)
		}
		if e.Token == "" {
			return events, fmt.Errorf("event %q has no token; a watch can go on from every event", e.Key)
		}
		if e.Kind != store.EventResync && !strings.HasPrefix(string(e.Key), watched) {
			return events, fmt.Errorf("a watch of the prefix %q told of key %q", watched, e.Key)
		}
		if events = append(events, e); enough(events) {
			return events, nil
		}
	}
	return events, errors.New("the watch ended, its context has not, and it gave no error")
}

// follow watches from a token on until it has seen all of want, some of which is in before. It returns what it was told.
func (h *harness) follow(from store.Token, want []store.Event, before ...store.Event) ([]store.Event, error) {
	c := newComparison(want)
	for _, e := range before {
		if err := c.add(e); err != nil {
			return nil, err
		}
	}
	if c.all() {
		return nil, nil
	}
	var wrong error
	events, err := h.gather(from, func(events []store.Event) bool {
		wrong = c.add(events[len(events)-1])
		return wrong != nil || c.all()
	})
	return events, errors.Join(wrong, err)
}

// token returns where a watch goes on to see what is committed from now on.
func (h *harness) token() (t store.Token) {
	h.Helper()
	err := h.s.Snapshot(ctx, func(r store.SnapshotReader) error { t = r.Token(); return nil })
	if err != nil || t == "" {
		h.Fatalf("Snapshot = %v, with the token %q; a store that declares Watch has tokens", err, t)
	}
	return t
}

// history commits n random changes of few keys w/, some of other keys between them. It returns the events that a watcher of
// w/ must see.
func (h *harness) history(r *rand.Rand, n int) (want []store.Event) {
	h.Helper()
	at := make(map[string]store.Version)
	for i := range n {
		var ops []store.Op
		for _, k := range r.Perm(4)[:1+r.IntN(3)] {
			key := fmt.Sprintf("w/%d", k)
			if r.IntN(4) == 0 && at[key] != 0 {
				ops = append(ops, delAt(key, at[key]))
			} else {
				ops = append(ops, putAt(key, fmt.Sprint(i), at[key]))
			}
		}
		if r.IntN(3) == 0 {
			ops = append(ops, put("x/unwatched", fmt.Sprint(i)), put("v", fmt.Sprint(i)))
		}
		b := h.batch(ops...)
		v := h.commitBatch(b)
		for _, op := range b.Ops {
			e := store.Event{Kind: store.EventPut, Key: op.Key, Value: op.Value, Version: v}
			if op.Delete {
				e.Kind, e.Version = store.EventDelete, 0
			}
			if strings.HasPrefix(string(op.Key), "w/") {
				want = append(want, e)
				at[string(op.Key)] = e.Version
			}
		}
	}
	return want
}

// A comparison looks whether a watcher is told of all that was committed: at least once, in order for each key, and with
// nothing left out but where it was told to resync.
type comparison struct {
	byKey   map[string][]store.Event
	told    int             // events
	reached map[string]int  // how many changes of a key were told
	jump    map[string]bool // a resync came since the last put of the key
}

func newComparison(want []store.Event) *comparison {
	c := &comparison{byKey: make(map[string][]store.Event), reached: make(map[string]int), jump: make(map[string]bool)}
	for _, e := range want {
		c.byKey[string(e.Key)] = append(c.byKey[string(e.Key)], e)
	}
	return c
}

// add looks at the next event. The error says that it must not come, or not yet.
func (c *comparison) add(e store.Event) error {
	n, key := c.told, string(e.Key)
	c.told++
	switch {
	case e.Kind == store.EventResync:
		for key := range c.byKey {
			c.jump[key] = true
		}
		return nil
	case key == nudge:
		return nil
	}
	list, next := c.byKey[key], c.reached[key]
	i := -1 // which change it is
	for at, w := range list {
		if w.Kind != e.Kind || e.Kind == store.EventPut && (w.Version != e.Version || string(w.Value) != string(e.Value)) {
			continue
		}
		// Deletions look alike: it is the next change, or one that was told before, or after a resync a later one.
		if i < 0 || at <= next {
			i = at
		}
	}
	switch {
	case i < 0:
		return fmt.Errorf("event %d tells of key %q = %q at version %d (kind %d), which was never committed", n, key, e.Value, e.Version, e.Kind)
	case i > next && !c.jump[key]:
		return fmt.Errorf("event %d tells of change %d of key %q, and change %d was not told; there is never a gap without a resync", n, i, key, next)
	}
	c.reached[key] = max(next, i+1)
	// After a resync a delete may be any of those to come: only a put, which has a version, says how far the watcher is.
	if i >= next && e.Kind == store.EventPut {
		c.jump[key] = false
	}
	return nil
}

// all reports whether everything was told.
func (c *comparison) all() bool {
	for key, list := range c.byKey {
		if c.reached[key] < len(list) && !c.jump[key] {
			return false
		}
	}
	return true
}

func testWatch(h *harness) {
	if !h.limits.Watch {
		n := 0
		for _, err := range h.s.Watch(ctx, "", nil) {
			if n++; !errors.Is(err, store.ErrNotSupported) {
				h.Errorf("Watch of a store that does not declare it = %v, want ErrNotSupported", err)
			}
		}
		if n != 1 {
			h.Errorf("Watch of a store that does not declare it has %d elements, want ErrNotSupported alone", n)
		}
		return
	}
	h.commit(put("w/9", "before")) // not told
	from := h.token()
	type result struct {
		events int
		err    error
	}
	var want atomic.Pointer[[]store.Event]
	live := make(chan result, 1)
	go func() {
		var c *comparison
		var wrong error
		events, err := h.gather(from, func(events []store.Event) bool {
			if want.Load() == nil {
				return false
			}
			if c == nil {
				c = newComparison(*want.Load())
			}
			for wrong == nil && c.told < len(events) {
				wrong = c.add(events[c.told])
			}
			return wrong != nil || c.all()
		})
		live <- result{len(events), errors.Join(wrong, err)}
	}()
	changes := h.history(h.random(3), times(60, 600))
	want.Store(&changes)
	h.commit(put(nudge, ""))
	got := <-live
	if got.err != nil {
		h.Errorf("a watcher beside the commits: %v", got.err)
	}
	events, err := h.follow(from, changes) // the same afterwards
	if err != nil {
		h.Errorf("a watcher after the commits: %v", err)
	}
	h.Logf("%d changes, told in %d and %d events", len(changes), got.events, len(events))
}

func testWatchTokens(h *harness) {
	if !h.limits.Watch {
		h.Skip("the store does not declare Watch")
	}
	from := h.token()
	want := h.history(h.random(4), times(15, 60))
	events, err := h.follow(from, want)
	if err != nil {
		h.Fatalf("Watch: %v", err)
	}
	for i, e := range events {
		if _, err := h.follow(e.Token, want, events[:i+1]...); err != nil {
			h.Fatalf("Watch from the token of event %d on: %v; what was not told up to there is told then", i, err)
		}
	}

	// From the token of a snapshot on: what it has is not told, what it has not is.
	h.commit(put("w/5", "seen"))
	var token store.Token
	var seen store.Version
	err = h.snapshot(func(r store.SnapshotReader) error {
		token = r.Token()
		items, err := r.Get(ctx, []byte("w/5"))
		if err == nil {
			seen = items[0].Version
		}
		return err
	})
	if err != nil {
		h.Fatalf("Snapshot = %v", err)
	}
	change := store.Event{Kind: store.EventPut, Key: []byte("w/5"), Value: []byte("not seen")}
	change.Version = h.commit(putAt("w/5", "not seen", seen))
	if _, err = h.follow(token, []store.Event{change}); err != nil {
		h.Errorf("Watch from the token of a snapshot on: %v; it sees exactly the commits that the snapshot does not see", err)
	}

	// The zero token is from now: from the call.
	c, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	watch := h.s.Watch(c, "", []byte(watched))
	change.Version = h.commit(putAt("w/5", "not seen", change.Version))
	look := newComparison([]store.Event{change})
	for e, err := range watch {
		if err != nil {
			h.Fatalf("Watch from now: %v; it tells of what is committed after the call", err)
		}
		if err := look.add(e); err != nil {
			h.Errorf("Watch from now: %v", err)
		} else if look.all() {
			break
		}
	}
}

func testWatchResync(h *harness) {
	if !h.limits.Watch {
		h.Skip("the store does not declare Watch")
	}
	other := h.open(h.T) // with a history of the same length
	defer other.Close()
	var foreign store.Token
	if _, err := other.Commit(ctx, h.batch(put("w/1", "before"))); err != nil && !errors.Is(err, store.ErrUnknown) {
		h.Fatalf("Commit = %v", err)
	}
	if err := other.Snapshot(ctx, func(r store.SnapshotReader) error { foreign = r.Token(); return nil }); err != nil {
		h.Fatalf("Snapshot = %v", err)
	}
	h.commit(put("w/1", "before"))
	for n, from := range []store.Token{foreign, "nonsense", h.token() + "x", "\x00\xff", store.Token(strings.Repeat("9", 5000))} {
		h.commit(put("w/1", "before"))
		resyncs := 0
		_, err := h.gather(from, func(events []store.Event) bool {
			e := events[len(events)-1]
			if e.Kind != store.EventResync {
				return resyncs == 0 || string(e.Value) == fmt.Sprint("after ", n)
			}
			if resyncs++; resyncs > 1 {
				return true
			}
			if _, err := h.try(h.batch(put("w/1", fmt.Sprint("after ", n)))); err != nil {
				h.Errorf("Commit between two events of a watch: %v", err)
			}
			return false
		})
		if err != nil {
			h.Errorf("Watch from the token %.20q, which is of another history: %v; want a resync and then the feed", from, err)
		}
		if resyncs == 0 {
			h.Errorf("Watch from the token %.20q, which is of another history, does not begin with a resync", from)
		}
	}
}

func testWatchEnds(h *harness) {
	if !h.limits.Watch {
		h.Skip("the store does not declare Watch")
	}
	cause := errors.New("enough")
	c, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	from := h.token()
	h.commit(put("w/1", "1"))
	n, last := 0, error(nil)
	for e, err := range h.s.Watch(c, from, []byte("w/")) {
		if n++; n > 1000 {
			h.Fatal("a watch goes on after its context has ended")
		}
		if last = err; err == nil && (e.Kind == store.EventResync || string(e.Key) == "w/1") {
			cancel(cause)
		}
	}
	if !errors.Is(last, context.Canceled) {
		h.Errorf("the last element of a watch whose context has ended is %v, want the context's error", last)
	}
	n = 0
	for _, err := range h.s.Watch(c, "", nil) {
		if n++; !errors.Is(err, context.Canceled) {
			h.Errorf("Watch with an ended context = %v, want the context's error", err)
		}
	}
	if n != 1 {
		h.Errorf("Watch with an ended context has %d elements, want its error alone", n)
	}
	// Watches that wait for a commit when their context ends.
	together(8, func(int) {
		c, cancel := context.WithCancel(ctx)
		go cancel()
		var last error
		for _, err := range h.s.Watch(c, "", []byte("w/")) {
			last = err
		}
		if !errors.Is(last, context.Canceled) {
			h.Errorf("a watch that waited ended with %v, want the context's error", last)
		}
	})
}

func testSlowWatcher(h *harness) {
	if !h.limits.Watch {
		h.Skip("the store does not declare Watch")
	}
	from := h.token()
	n := times(300, 2000)
	began, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var watchers sync.WaitGroup
	for range 4 {
		watchers.Go(func() {
			c, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			for _, err := range h.s.Watch(c, from, []byte("w/")) {
				if err != nil {
					h.Errorf("a slow watcher: %v", err)
					once.Do(func() { close(began) })
					return
				}
				once.Do(func() { close(began) })
				<-release // and then given up, without a word
				return
			}
		})
	}
	committed := make(chan error, 1)
	go func() {
		_, err := h.try(h.batch(put("w/0", "first")))
		<-began
		for i := 0; i < n && err == nil; i++ {
			_, err = h.try(h.batch(put(fmt.Sprintf("w/%d", i%10), strconv.Itoa(i))))
		}
		if err == nil {
			_, err = readAll(h.s, watched)
		}
		committed <- err
	}()
	select {
	case err := <-committed:
		if err != nil {
			h.Errorf("commits and a read beside slow watchers: %v", err)
		}
	case <-time.After(patience):
		h.Errorf("commits wait for slow watchers; a slow watcher holds up nobody")
	}
	close(release)
	watchers.Wait()
	h.Logf("%d commits while 4 watchers did nothing", n)
}

// testWatchPicture has watchers keep a picture of the keys while others write, reading it anew whenever they are told
// to. In the end it is what the store has.
func testWatchPicture(h *harness) {
	if !h.limits.Watch {
		h.Skip("the store does not declare Watch")
	}
	n := times(150, 1500)
	var want atomic.Pointer[map[string]string]
	var resyncs atomic.Int64
	var watchers sync.WaitGroup
	for i := range 3 {
		from := h.token()
		watchers.Go(func() {
			picture := make(map[string]string)
			_, err := h.gather(from, func(events []store.Event) bool {
				switch e := events[len(events)-1]; e.Kind {
				case store.EventPut:
					picture[string(e.Key)] = string(e.Value)
				case store.EventDelete:
					delete(picture, string(e.Key))
				case store.EventResync:
					// What is read now may be newer than events that follow; they lead to the same in the end.
					resyncs.Add(1)
					items, err := readAll(h.s, watched)
					if err != nil {
						h.Errorf("reading anew after a resync: %v", err)
					}
					clear(picture)
					for _, it := range items {
						picture[string(it.Key)] = string(it.Value)
					}
				}
				return want.Load() != nil && maps.Equal(picture, *want.Load())
			})
			if err != nil {
				h.Errorf("the picture of watcher %d never became that of the store, it ended as\n%v\nand the store has\n%v\n%v", i, picture, want.Load(), err)
			}
		})
	}
	together(4, func(w int) {
		r := h.random(uint64(30 + w))
		for i := range n {
			own, shared := fmt.Sprintf("w/%d/%d", w, r.IntN(8)), fmt.Sprintf("w/shared/%d", r.IntN(3))
			op := put(own, strconv.Itoa(i))
			if r.IntN(3) == 0 {
				op = del(own)
			}
			items, err := h.s.Get(ctx, []byte(shared))
			if err != nil {
				h.Errorf("Get: %v", err)
				return
			}
			b := withReceipt(h.batch(op, putAt(shared, fmt.Sprint(w, " ", i), items[0].Version)))
			if _, err := h.try(b); err != nil && !errors.Is(err, store.ErrConflict) {
				h.Errorf("Commit: %v", err)
				return
			}
		}
	})
	state := map[string]string{nudge: "end"}
	for _, it := range h.all(watched) {
		state[string(it.Key)] = string(it.Value)
	}
	want.Store(&state)
	h.commit(put(nudge, "end"))
	watchers.Wait()
	h.Logf("%d commits, 3 watchers, %d resyncs", 4*n, resyncs.Load())
}
