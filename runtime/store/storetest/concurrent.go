package storetest

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// testCounters has writers count up few counters, read, guard, write. What was acknowledged is what is counted.
func testCounters(h *harness) {
	const writers, counters = 8, 3
	n := times(60, 1000)
	var acknowledged [counters]atomic.Int64
	var conflicts atomic.Int64
	together(writers, func(w int) {
		r := h.random(uint64(40 + w))
		for i := 0; i < n; {
			c := r.IntN(counters)
			key := fmt.Sprint("counter", c)
			items, err := h.s.Get(ctx, []byte(key))
			if err != nil {
				h.Errorf("Get: %v", err)
				return
			}
			value, _ := strconv.Atoi(string(items[0].Value))
			runtime.Gosched() // let the others read the same
			_, err = h.try(withReceipt(h.batch(putAt(key, strconv.Itoa(value+1), items[0].Version))))
			switch {
			case err == nil:
				acknowledged[c].Add(1)
				i++
			case errors.Is(err, store.ErrConflict):
				conflicts.Add(1)
			default:
				h.Errorf("Commit: %v", err)
				return
			}
		}
	})
	for c := range counters {
		if got, want := string(h.get(fmt.Sprint("counter", c))[0].Value), fmt.Sprint(acknowledged[c].Load()); got != want {
			h.Errorf("counter %d is %s after %s acknowledged increments, each guarded by the version that was read", c, got, want)
		}
	}
	h.Logf("%d increments, %d conflicts, %d unknown outcomes", writers*n, conflicts.Load(), h.unknown.Load())
}

// testWriteSkew has writers on pairs of keys of which at most one may be on. A writer reads both and, if both are off,
// turns one on with a check of the other. That both are on is the skew that checks refuse.
func testWriteSkew(h *harness) {
	const pairs = 4
	n := times(60, 1000)
	var on atomic.Int64
	together(8, func(w int) {
		r := h.random(uint64(50 + w))
		for range n {
			p, side := r.IntN(pairs), r.IntN(2)
			mine, other := fmt.Sprintf("pair%d/%d", p, side), fmt.Sprintf("pair%d/%d", p, 1-side)
			items, err := h.s.Get(ctx, []byte(mine), []byte(other))
			if err != nil {
				h.Errorf("Get: %v", err)
				return
			}
			isOn := func(it store.Item) bool { return string(it.Value) == "on" }
			if isOn(items[0]) && isOn(items[1]) {
				h.Errorf("pair %d: both keys are on, and each was turned on with a check that the other was off", p)
				return
			}
			runtime.Gosched()
			var op store.Op
			switch {
			case isOn(items[0]) && r.IntN(2) == 0:
				op = delAt(mine, items[0].Version) // a deleted key is off too
			case isOn(items[0]):
				op = putAt(mine, "off", items[0].Version)
			case isOn(items[1]):
				continue
			default:
				op = put(mine, "on") // not guarded: the check alone must do
			}
			b := withReceipt(h.batch(op))
			b.Checks = []store.Check{check(other, items[1].Version)}
			if _, err := h.try(b); err == nil {
				on.Add(1)
			} else if !errors.Is(err, store.ErrConflict) {
				h.Errorf("Commit: %v", err)
				return
			}
		}
	})
	h.Logf("%d of %d tries committed", on.Load(), 8*n)
	if on.Load() == 0 {
		h.Errorf("no commit with a check succeeded")
	}
}

// testPhantoms has writers that may put a key into a range only if the range was empty when they read it.
func testPhantoms(h *harness) {
	if !h.limits.RangeChecks {
		h.Skip("the store does not declare RangeChecks")
	}
	n := times(60, 1000)
	var inserted, conflicts atomic.Int64
	together(6, func(w int) {
		r := h.random(uint64(60 + w))
		for i := range n {
			lo := fmt.Sprintf("r%d/", r.IntN(3))
			b, err := h.rangeBatch(lo, lo+"\xff", put(fmt.Sprintf("%s%d/%d", lo, w, i), ""))
			if err != nil {
				h.Errorf("reading a range in a snapshot: %v", err)
				return
			}
			runtime.Gosched()
			switch seen := b.Ranges[0].Seen; len(seen) {
			case 0:
			case 1:
				b.Ops = []store.Op{delAt(string(seen[0].Key), seen[0].Version)}
			default:
				h.Errorf("the range %q has %d keys, and each was put with a check that the range was empty", lo, len(seen))
				return
			}
			_, err = h.try(withReceipt(b))
			switch {
			case err == nil:
				inserted.Add(1)
			case errors.Is(err, store.ErrConflict):
				conflicts.Add(1)
			default:
				h.Errorf("Commit: %v", err)
				return
			}
		}
	})
	h.Logf("%d commits, %d conflicts", inserted.Load(), conflicts.Load())
	if inserted.Load() == 0 {
		h.Errorf("no commit with a range check succeeded")
	}
}

// testAtomicReads has writers give several keys the same value in one commit. All readers see them equal.
func testAtomicReads(h *harness) {
	n := times(200, 2000)
	names := []string{"k/0", "k/1", "k/2", "k/3", "k/4"}
	keys := asKeys(names)
	done := make(chan struct{})
	var reads atomic.Int64
	var readers sync.WaitGroup
	same := func(what string, items []store.Item, err error) error {
		if err != nil {
			return err
		}
		reads.Add(1)
		for _, it := range items {
			if it.Version != items[0].Version || string(it.Value) != string(items[0].Value) {
				return fmt.Errorf("%s saw %q = %q at version %d beside %q = %q at version %d, which one commit wrote together",
					what, items[0].Key, items[0].Value, items[0].Version, it.Key, it.Value, it.Version)
			}
		}
		return nil
	}
	for way := range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				var err error
				switch way {
				case 0:
					items, e := h.s.Get(ctx, keys...)
					err = same("Get", items, e)
				case 1:
					items, e := h.s.Page(ctx, store.Page{Lo: keys[0], Hi: []byte("k/9"), Limit: 10, Reverse: true})
					err = same("Page", items, e)
				case 2:
					items, e := h.s.Page(ctx, store.Page{Lo: []byte("e/"), Hi: []byte("e/9"), Limit: 5000, Deref: true})
					err = same("Page with Deref", items, e)
				default:
					err = h.snapshot(func(r store.SnapshotReader) error {
						var all []store.Item
						for _, key := range keys {
							items, err := r.Get(ctx, key)
							if err != nil {
								return err
							}
							all = append(all, items...)
						}
						for i, key := range keys { // and by pages of one key, which is empty if the key is deleted
							items, err := r.Page(ctx, store.Page{Lo: key, Hi: append([]byte(names[i]), 0), Limit: 2})
							if err != nil {
								return err
							}
							if len(items) == 0 {
								items = []store.Item{{Key: key}}
							}
							all = append(all, items...)
						}
						return same("a snapshot", all, nil)
					})
				}
				if err != nil {
					h.Errorf("reading beside commits: %v", err)
					return
				}
			}
		})
	}
	var entries []store.Op
	for i, name := range names {
		entries = append(entries, put(fmt.Sprintf("e/%d", i), name))
	}
	first := make([]store.Op, 0, len(names))
	for _, name := range names {
		first = append(first, put(name, "first"))
	}
	h.commit(append(entries, first...)...)
	together(3, func(w int) {
		for i := range n {
			var ops []store.Op
			for _, name := range names {
				if i%17 == 16 {
					ops = append(ops, del(name))
				} else {
					ops = append(ops, put(name, fmt.Sprint(w, " ", i, strings.Repeat(".", i%100))))
				}
			}
			if _, err := h.try(withReceipt(h.batch(ops...))); err != nil {
				h.Errorf("Commit: %v", err)
				return
			}
		}
	})
	close(done)
	readers.Wait()
	h.Logf("%d commits of %d keys, %d reads", 3*n, len(keys), reads.Load())
	if reads.Load() == 0 {
		h.Errorf("nothing was read")
	}
}

func testFences(h *harness) {
	n := times(60, 1000)
	v := h.commit(put("fence", "1"))
	together(8, func(w int) {
		for i := range n {
			b := h.batch(putAt(fmt.Sprintf("k/%d/%d", w, i), "", store.Absent))
			b.Fences = []store.Check{check("fence", v)}
			if _, err := h.try(b); err != nil {
				h.Errorf("Commit = %v; the fence is at its version, and commits that share a fence and nothing else do not conflict", err)
				return
			}
		}
	})
	if got := len(h.all("k/")); got != 8*n {
		h.Errorf("%d of %d commits with the same fence are there", got, 8*n)
	}
}

// testFenceOrder moves a fence on, again and again, beside commits that are fenced by it. Nothing that was fenced by an
// earlier state is applied after the fence has moved.
func testFenceOrder(h *harness) {
	n := times(25, 300)
	h.commit(put("fence", "0"))
	done, progress := make(chan struct{}), make(chan struct{}, 1)
	var committed, stopped atomic.Int64
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				items, err := h.s.Get(ctx, []byte("fence"))
				if err != nil {
					h.Errorf("Get: %v", err)
					return
				}
				runtime.Gosched()
				b := h.batch(put(fmt.Sprint("k/", w), fmt.Sprintf("%s:%d", items[0].Value, i)))
				b.Fences = []store.Check{check("fence", items[0].Version)}
				_, err = h.try(b)
				switch {
				case err == nil:
					committed.Add(1)
					select {
					case progress <- struct{}{}:
					default:
					}
				case errors.Is(err, store.ErrConflict):
					stopped.Add(1)
				default:
					h.Errorf("Commit: %v", err)
					return
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { writers.Wait(); close(ended) }()
	before := make(map[string]string)
	for gen := 1; gen <= n; gen++ {
		h.commit(put("fence", strconv.Itoa(gen)))
		for round := range 5 {
			if round > 0 {
				select {
				case <-progress: // commits that were on their way have arrived
				case <-ended:
					return // with an error, which has been reported
				}
			}
			for _, it := range h.all("k/") {
				key, value := string(it.Key), string(it.Value)
				text, _, _ := strings.Cut(value, ":")
				at, err := strconv.Atoi(text)
				if err != nil {
					h.Fatalf("key %q has the value %q, which nobody wrote", key, value)
				}
				if round > 0 && value != before[key] && at < gen {
					h.Errorf("key %q became %q after the fence had moved on to %d; a commit applies only if its fences hold", key, value, gen)
				}
				before[key] = value
			}
		}
	}
	close(done)
	<-ended
	h.Logf("the fence moved %d times; %d commits, %d stopped", n, committed.Load(), stopped.Load())
}
