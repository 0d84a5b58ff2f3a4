package storetest

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/kixxgen/kixxgen/runtime/store"
)

func testHooks(h *harness) {
	var got []string
	var versions []store.Version
	cancel := h.s.OnPublish(func(b *store.Batch, v store.Version) {
		for _, op := range b.Ops {
			got = append(got, fmt.Sprintf("%s=%s del=%v decoded=%v", op.Key, op.Value, op.Delete, op.Decoded))
			versions = append(versions, v)
		}
	})
	second := 0
	h.s.OnPublish(func(*store.Batch, store.Version) { second++ })
	first := put("a", "1")
	first.Decoded = "one"
	v1 := h.commit(first)
	v2 := h.commit(del("a"), put("b", "2"))
	h.conflicts(h.batch(putAt("b", "3", v1)), "b is at another version", "b")
	b := h.batch(store.Op{Key: []byte("a"), Value: []byte("4"), Guard: store.At(v1)})
	h.conflicts(b, "a is absent", "a")
	cancel()
	h.commit(put("c", "not seen"))
	if !h.limits.Coherent {
		if len(got) > 0 || second > 0 {
			h.Errorf("the hook of a store that does not declare Coherent was called: %q", got)
		}
		return
	}
	want := []string{"a=1 del=false decoded=one", "a= del=true decoded=<nil>", "b=2 del=false decoded=<nil>"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		h.Errorf("the hook saw %q, want %q: once for every commit, in order, not for a conflict, not after cancel", got, want)
	} else if versions[0] != v1 || versions[1] != v2 || versions[2] != v2 {
		h.Errorf("the hook saw the versions %d, Commit returned %d and %d", versions, v1, v2)
	}
	if second != 3 {
		h.Errorf("the second hook was called %d times for 3 commits, the last of them after the first hook was cancelled", second)
	}
	cancel() // again, which does nothing
}

// testHookMoment commits numbers that count up. A reader that sees n must have come after the hook of n began, and one
// that begins after the hook of n has ended must see n.
func testHookMoment(h *harness) {
	if !h.limits.Coherent {
		h.Skip("the store does not declare Coherent")
	}
	var begun, ended atomic.Int64
	h.s.OnPublish(func(b *store.Batch, _ store.Version) {
		for range 4 {
			runtime.Gosched() // if others could read now, let them
		}
		n, err := strconv.ParseInt(string(b.Ops[0].Value), 10, 64)
		if err != nil || n != begun.Load()+1 {
			h.Errorf("the hook was called for commit %q after %d; it is called once for each, in the order in which they become visible", b.Ops[0].Value, begun.Load())
		}
		begun.Store(n)
		ended.Store(n)
	})
	n := times(1500, 6000)
	done := make(chan struct{})
	var reads atomic.Int64
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				least := ended.Load()
				value, err := readNumber(h.s, i)
				most := begun.Load()
				reads.Add(1)
				if err != nil {
					h.Errorf("reading while others commit: %v", err)
					return
				}
				if value < least || value > most {
					h.Errorf("a read saw commit %d; the hook of %d had ended before it, and the hook of %d was the last to begin before it ended", value, least, most)
					return
				}
			}
		})
	}
	for i := 1; i <= n; i++ {
		h.commit(put("n", strconv.Itoa(i)))
	}
	close(done)
	wg.Wait()
	h.Logf("%d commits, %d reads beside them", n, reads.Load())
}

// readNumber reads key n in one of three ways.
func readNumber(s store.Store, way int) (int64, error) {
	var items []store.Item
	var err error
	switch way {
	case 0:
		items, err = s.Get(ctx, []byte("n"))
	case 1:
		items, err = s.Page(ctx, store.Page{Limit: 1, Lo: []byte("n")})
	default:
		err = s.Snapshot(ctx, func(r store.SnapshotReader) error {
			items, err = r.Get(ctx, []byte("n"))
			return err
		})
	}
	if err != nil || len(items) == 0 || items[0].Version == store.Absent {
		return 0, err
	}
	return strconv.ParseInt(string(items[0].Value), 10, 64)
}

func testCached(h *harness) {
	v := h.commit(put("d/1", "one"), put("d/2", "two"), put("e/1", "d/1"), put("e/2", "d/2"))
	asked := 0
	cached := func(key []byte) (any, store.Version, bool) {
		asked++
		if string(key) == "d/1" {
			return "decoded", v, true
		}
		return nil, 0, false
	}
	pages := []store.Page{
		{Lo: []byte("d/"), Hi: []byte("d0"), Limit: 10, Cached: cached},
		{Lo: []byte("e/"), Hi: []byte("e0"), Limit: 10, Cached: cached, Deref: true},
		{Lo: []byte("e/"), Hi: []byte("e0"), Limit: 5000, Cached: cached, Deref: true},
	}
	look := func(what string, items []store.Item, used bool) {
		h.Helper()
		if len(items) != 2 {
			h.Fatalf("%s has %d items, want 2", what, len(items))
		}
		if used {
			if it := items[0]; it.Decoded != "decoded" || it.Value != nil || it.Version != v || string(it.Key) != "d/1" {
				h.Errorf("%s: item d/1 = %+v; it carries what Cached answered, with that version, and no value", what, it)
			}
		} else {
			h.wantItem(what, items[0], "d/1", "one", v)
		}
		h.wantItem(what+", a document that is not cached", items[1], "d/2", "two", v)
	}
	for _, p := range pages {
		look("a page with Cached", h.page(p), h.limits.Coherent)
	}
	if !h.limits.Coherent {
		if asked > 0 {
			h.Errorf("a store that does not declare Coherent asked Cached %d times", asked)
		}
		return
	}
	err := h.snapshot(func(r store.SnapshotReader) error {
		for _, p := range pages {
			items, err := r.Page(ctx, p)
			if err != nil {
				return err
			}
			look("a page of a snapshot", items, h.limits.Ordered && items[0].Decoded != nil)
		}
		return nil
	})
	if err != nil {
		h.Fatalf("Snapshot = %v", err)
	}
	if !h.limits.Ordered {
		return
	}

	// A version that is newer than the snapshot must not be used in it.
	newer := v
	p := pages[1]
	p.Cached = func(key []byte) (any, store.Version, bool) { return "newer", newer, string(key) == "d/1" }
	err = h.snapshot(func(r store.SnapshotReader) error {
		if _, err := r.Get(ctx, []byte("d/1")); err != nil { // the snapshot is taken now at the latest
			return err
		}
		newer = v + 1<<20
		items, err := r.Page(ctx, p)
		if err == nil {
			look("a page of a snapshot that is older than what is cached", items, false)
		}
		return err
	})
	if err != nil && !errors.Is(err, store.ErrSnapshotTooOld) {
		h.Fatalf("Snapshot = %v", err)
	}
}

// testCachedPages keeps a cache up to date by a hook, as a repository does, and moves documents between two categories.
// An entry of a page names the category and the number that the document had when the entry was written: if a page ever
// pairs it with another document, cached or read, they were not of one state.
func testCachedPages(h *harness) {
	const docs = 40
	type doc struct {
		value   string
		version store.Version
	}
	var mu sync.Mutex
	cache := make(map[string]doc)
	h.s.OnPublish(func(b *store.Batch, v store.Version) {
		mu.Lock()
		defer mu.Unlock()
		for _, op := range b.Ops {
			switch {
			case op.Delete:
				delete(cache, string(op.Key))
			case op.Decoded != nil:
				cache[string(op.Key)] = doc{op.Decoded.(string), v}
			}
		}
	})
	var fromCache, read atomic.Int64
	cached := func(key []byte) (any, store.Version, bool) {
		if len(key) > 0 && key[len(key)-1]%3 == 0 {
			return nil, 0, false // some documents are never cached
		}
		runtime.Gosched() // if others could commit now, let them
		mu.Lock()
		defer mu.Unlock()
		d, ok := cache[string(key)]
		return d.value, d.version, ok
	}
	// state is "category number"; the entry of a document is e/category/document/number.
	entryOf := func(key, value string) string { return "e/" + value[:1] + "/" + key + "/" + value[2:] }
	n := times(400, 2500)
	done := make(chan struct{})
	var readers sync.WaitGroup
	for i := range 3 {
		readers.Go(func() {
			r := h.random(uint64(10 + i))
			for {
				select {
				case <-done:
					return
				default:
				}
				p := store.Page{Lo: []byte("e/a"), Hi: []byte("e/c"), Limit: 1 + r.IntN(2*docs), Deref: true, Cached: cached, Reverse: r.IntN(2) == 0}
				if r.IntN(4) == 0 {
					p.Limit = 5000
				}
				see := func(s store.Reader) error {
					items, err := s.Page(ctx, p)
					for _, it := range items {
						value := string(it.Value)
						if it.Decoded != nil {
							value = it.Decoded.(string)
							fromCache.Add(1)
						} else {
							read.Add(1)
						}
						if it.Version == store.Absent {
							return fmt.Errorf("entry %q has no document", it.Entry)
						}
						if want := entryOf(string(it.Key), value); string(it.Entry) != want {
							return fmt.Errorf("the entry %q came with the document %q (decoded %v), whose entry is %q", it.Entry, value, it.Decoded != nil, want)
						}
					}
					return err
				}
				var err error
				if r.IntN(3) == 0 {
					err = h.snapshot(func(s store.SnapshotReader) error { return see(s) })
				} else {
					err = see(h.s)
				}
				if err != nil {
					h.Errorf("a page is of one snapshot: %v", err)
					return
				}
			}
		})
	}
	together(4, func(w int) {
		r := h.random(uint64(20 + w))
		state := make(map[string]string) // of the documents that this writer has to itself
		for i := range n {
			key := fmt.Sprintf("d%02d", w+4*r.IntN(docs/4))
			var ops []store.Op
			if old := state[key]; old != "" {
				ops = append(ops, del(entryOf(key, old)))
			}
			if r.IntN(5) == 0 {
				ops = append(ops, del(key))
				delete(state, key)
			} else {
				value := fmt.Sprintf("%c %d", 'a'+r.IntN(2), i)
				op := put(key, value)
				op.Decoded = value
				ops = append(ops, op, put(entryOf(key, value), key))
				state[key] = value
			}
			if _, err := h.try(h.batch(ops...)); err != nil {
				h.Errorf("Commit = %v; nobody else writes these keys", err)
				return
			}
		}
	})
	close(done)
	readers.Wait()
	h.Logf("%d commits; %d documents of pages from the cache, %d read", 4*n, fromCache.Load(), read.Load())
	if h.limits.Coherent == (fromCache.Load() == 0) {
		h.Errorf("%d documents came from the cache; the store declares Coherent = %v", fromCache.Load(), h.limits.Coherent)
	}
}
