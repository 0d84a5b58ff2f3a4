package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
)

func testGet(h *harness) {
	v := h.commit(put("a", "1"), put("b", ""), put("c", "3"))
	items := h.get("c", "nothing", "b", "a", "c", "\xff", strings.Repeat("k", store.MaxKey))
	h.wantItem("Get returns items in the order of the keys", items[0], "c", "3", v)
	h.wantItem("an absent key has an item", items[1], "nothing", "", store.Absent)
	h.wantItem("an empty value is not an absent key", items[2], "b", "", v)
	h.wantItem("Get", items[3], "a", "1", v)
	h.wantItem("a key may be asked for twice", items[4], "c", "3", v)
	h.wantItem("an absent key has an item", items[5], "\xff", "", store.Absent)
	h.wantItem("an absent key of the greatest length has an item", items[6], strings.Repeat("k", store.MaxKey), "", store.Absent)
	v = h.commit(store.Op{Key: []byte("nil")})
	h.wantItem("a put without a value puts the empty one", h.get("nil")[0], "nil", "", v)
	if items := h.get(); len(items) != 0 {
		h.Errorf("Get of no keys returned %d items", len(items))
	}
}

// awkward are keys in their order, each of which has been got wrong by some encoding.
var awkward = []string{
	"\x00", "\x00\x00", "\x00\x01", "\x00\xff", "\x01", "'", "%", "A", "B", "\\", "_", "a", "a\x00", "a\x00b", "a\x01", "aa", "ab",
	strings.Repeat("b", store.MaxKey-1), strings.Repeat("b", store.MaxKey), "c", "é", "日本", "\x80", "\xc3\x28", "\xfe", "\xff", "\xff\x00", "\xff\xfe", "\xff\xff", strings.Repeat("\xff", store.MaxKey),
}

func testKeyOrder(h *harness) {
	keys := slices.Clone(awkward)
	slices.Sort(keys) // as strings, which is as bytes
	r := h.random(1)
	versions := make(map[string]store.Version)
	for _, i := range r.Perm(len(keys)) {
		versions[keys[i]] = h.commit(put(keys[i], "value of "+keys[i]))
	}
	for _, reverse := range []bool{false, true} {
		items := h.page(store.Page{Limit: len(keys) + 1, Reverse: reverse})
		want := slices.Clone(keys)
		if reverse {
			slices.Reverse(want)
		}
		if len(items) != len(want) {
			h.Fatalf("a page of all keys has %d items, want %d", len(items), len(want))
		}
		for i, it := range items {
			h.wantItem("keys are compared as bytes", it, want[i], "value of "+want[i], versions[want[i]])
		}
	}
	for i, it := range h.get(keys...) {
		h.wantItem("any bytes are a key", it, keys[i], "value of "+keys[i], versions[keys[i]])
	}
}

func testPage(h *harness) {
	var keys []string
	var ops []store.Op
	for i := range 10 {
		keys = append(keys, fmt.Sprintf("k%d", i))
		ops = append(ops, put(keys[i], "v"+keys[i]))
	}
	v := h.commit(ops...)
	bounds := [][]byte{nil, {}, []byte("k0"), []byte("k3"), []byte("k3\x00"), []byte("k35"), []byte("k9"), []byte("k9\x00"), []byte("z")}
	pages := 0
	for _, lo := range bounds {
		for _, hi := range bounds {
			for _, reverse := range []bool{false, true} {
				for _, limit := range []int{1, 3, 10, 5000} {
					var want []string
					for _, k := range keys {
						if k >= string(lo) && (hi == nil || k < string(hi)) {
							want = append(want, k)
						}
					}
					if reverse {
						slices.Reverse(want)
					}
					want = want[:min(limit, len(want))]
					p := store.Page{Lo: lo, Hi: hi, Reverse: reverse, Limit: limit}
					items := h.page(p)
					pages++
					if got := keysOf(items); !slices.Equal(got, want) {
						h.Fatalf("Page(%s) = %q, want %q: keys from Lo up to, and without, Hi", describePage(p), got, want)
					}
					for i, it := range items {
						h.wantItem("Page", it, want[i], "v"+want[i], v)
						if it.Entry != nil {
							h.Errorf("Page without Deref: item %q has the entry %q", it.Key, it.Entry)
						}
					}
				}
			}
		}
	}
	h.Logf("%d pages", pages)

	into := []store.Item{{Key: []byte("before")}}
	items := h.page(store.Page{Limit: 2, Into: into})
	if got := keysOf(items); !slices.Equal(got, []string{"before", "k0", "k1"}) {
		h.Errorf("a page of 2 appended to Into of one item = %q", got)
	}
	into = make([]store.Item, 1, 8)
	if items = h.page(store.Page{Limit: 2, Into: into}); &items[0] != &into[0] {
		h.Errorf("Into had room, and the page is in other memory; items are appended to Into")
	}
	for _, n := range []int{0, 1, 20, 4096} {
		room := make([]byte, n)
		items := h.page(store.Page{Limit: len(keys), Room: room[:0]})
		if got := keysOf(items); !slices.Equal(got, keys) {
			h.Errorf("a page with room for %d bytes = %q, want %q", n, got, keys)
		}
		for i := range room {
			room[i] = 0xFF
		}
		for i, it := range items {
			if got := string(it.Value); got != "v"+keys[i] {
				h.Errorf("a value is %q when the Room of the page is used again, want %q: only keys may stand there", got, "v"+keys[i])
			}
		}
	}
	if _, err := h.s.Page(ctx, store.Page{}); err == nil {
		h.Errorf("a page with the limit 0 is no error; the limit is at least 1")
	}

	for i, item := range h.page(store.Page{Limit: len(keys), KeysOnly: true}) {
		if string(item.Key) != keys[i] || len(item.Value) > 0 || item.Decoded != nil || item.Version == store.Absent {
			h.Errorf("a page of keys only has the item %+v at place %d, want the key %q and its version alone", item, i, keys[i])
		}
	}

	// Page by page: the next one begins at the key after the last one.
	var got []string
	for lo := []byte(nil); ; {
		items := h.page(store.Page{Lo: lo, Limit: 3})
		got = append(got, keysOf(items)...)
		if len(items) < 3 {
			break
		}
		lo = append(bytes.Clone(items[2].Key), 0)
	}
	if !slices.Equal(got, keys) {
		h.Errorf("all pages of 3, one after the other = %q, want %q", got, keys)
	}
}

func keysOf(items []store.Item) (keys []string) {
	for _, it := range items {
		keys = append(keys, string(it.Key))
	}
	return keys
}

func testDeref(h *harness) {
	docs := h.commit(put("d/1", "one"), put("d/2", ""), put("d/3", "three"))
	h.commit(put("e/a", "d/3"), put("e/b", "d/1"), put("e/c", "d/9"), put("e/d", "d/2"), put("e/e", "d/1"))
	want := []struct {
		entry, key, value string
		v                 store.Version
	}{{"e/a", "d/3", "three", docs}, {"e/b", "d/1", "one", docs}, {"e/c", "d/9", "", store.Absent}, {"e/d", "d/2", "", docs}, {"e/e", "d/1", "one", docs}}
	for _, reverse := range []bool{false, true} {
		for _, limit := range []int{1, 2, 5, 100} {
			expected := slices.Clone(want)
			if reverse {
				slices.Reverse(expected)
			}
			expected = expected[:min(limit, len(expected))]
			p := store.Page{Lo: []byte("e/"), Hi: []byte("e0"), Reverse: reverse, Limit: limit, Deref: true}
			items := h.page(p)
			if len(items) != len(expected) {
				h.Fatalf("Page(%s) = %d items, want %d: an entry without a document is an item too", describePage(p), len(items), len(expected))
			}
			for i, it := range items {
				if string(it.Entry) != expected[i].entry {
					h.Errorf("Page(%s): item %d has the entry %q, want %q", describePage(p), i, it.Entry, expected[i].entry)
				}
				h.wantItem("with Deref, key, value and version are those of the document", it, expected[i].key, expected[i].value, expected[i].v)
			}
		}
	}
	changed := h.commit(put("d/1", "uno"))
	h.wantItem("a document that was changed", h.page(store.Page{Lo: []byte("e/b"), Limit: 1, Deref: true})[0], "d/1", "uno", changed)
}

func testBytesIn(h *harness) {
	key, value, fence := []byte("key"), []byte("value"), []byte("fence")
	b := h.batch(store.Op{Key: key, Value: value})
	b.Fences = []store.Check{{Key: fence}}
	unknown := h.unknown.Load()
	v := h.commitBatch(b)
	if h.unknown.Load() != unknown {
		return // the batch is the store's for ever
	}
	copy(key, "xxx")
	copy(value, "xxxxx")
	copy(fence, "xxxxx")
	clear(b.Ops)
	h.wantItem("the batch is the caller's again when Commit has returned", h.get("key")[0], "key", "value", v)

	asked := [][]byte{[]byte("key"), []byte("nothing")}
	items, err := h.s.Get(ctx, asked...)
	if err != nil {
		h.Fatal(err)
	}
	copy(asked[0], "xxx")
	copy(asked[1], "xxxxxxx")
	h.wantItem("the keys are the caller's again when Get has returned", items[0], "key", "value", v)
	h.wantItem("the keys are the caller's again when Get has returned", items[1], "nothing", "", store.Absent)

	lo, hi := []byte("k"), []byte("l")
	items = h.page(store.Page{Lo: lo, Hi: hi, Limit: 10})
	lo[0], hi[0] = 'x', 'x'
	if len(items) != 1 {
		h.Fatalf("a page of one key has %d items", len(items))
	}
	h.wantItem("the bounds are the caller's again when Page has returned", items[0], "key", "value", v)
}

func testBytesOut(h *harness) {
	var held []store.Item
	var copies []string
	hold := func(items []store.Item) {
		for _, it := range items {
			held = append(held, it)
			copies = append(copies, string(it.Entry)+"|"+string(it.Key)+"|"+string(it.Value))
		}
	}
	r := h.random(2)
	key := func() string { return fmt.Sprintf("d/%d", r.IntN(10)) }
	for range times(200, 2000) {
		k := key()
		switch r.IntN(5) {
		case 0:
			h.commit(del(k))
		case 1:
			h.commit(put("e/"+k, k))
		default:
			h.commit(put(k, strings.Repeat(string(rune('a'+r.IntN(26))), r.IntN(200))))
		}
		hold(h.get(k, key()))
		hold(h.page(store.Page{Limit: 5, Reverse: r.IntN(2) == 0}))
		hold(h.page(store.Page{Lo: []byte("e/"), Limit: 3, Deref: true}))
	}
	for i, it := range held {
		if now := string(it.Entry) + "|" + string(it.Key) + "|" + string(it.Value); now != copies[i] {
			h.Fatalf("an item was %.80q when it was read and is %.80q now; bytes that come out stay as they are for as long as anyone holds them", copies[i], now)
		}
	}
	h.Logf("%d items held", len(held))
}

func testVersions(h *harness) {
	given := make(map[store.Version]bool)
	var last store.Version
	next := func(v store.Version, what string) {
		h.Helper()
		if v == store.Absent {
			h.Fatalf("%s: Commit returned version 0, which is that of an absent key", what)
		}
		if given[v] {
			h.Fatalf("%s: Commit returned version %d for the second time; no later commit gives the same version to the same key again", what, v)
		}
		if h.limits.Ordered && v <= last {
			h.Fatalf("%s: Commit returned version %d after %d; the store declares that a greater version is a later commit", what, v, last)
		}
		given[v], last = true, v
	}
	for i := range 20 {
		v := h.commit(put("a", fmt.Sprint(i)), put("b", "same"))
		next(v, "a put")
		for _, it := range h.get("a", "b") {
			if it.Version != v {
				h.Fatalf("key %q is at version %d; the commit that put it returned %d: one commit gives one version to all the keys it puts", it.Key, it.Version, v)
			}
		}
		if i%4 == 3 {
			h.commit(del("a"), del("b"))
			if got := h.version("a"); got != store.Absent {
				h.Fatalf("a deleted key is at version %d, want 0", got)
			}
		}
	}
	before := h.version("b")
	h.commit(put("c", "other"))
	if got := h.version("b"); got != before {
		h.Errorf("key b went from version %d to %d; only c was put", before, got)
	}
}

func testReadsSeeCommits(h *harness) {
	for i := range times(50, 500) {
		want := fmt.Sprint(i)
		v := h.commit(put("k", want))
		h.wantItem("Get sees every commit acknowledged before the call", h.get("k")[0], "k", want, v)
		h.wantItem("Page sees every commit acknowledged before the call", h.page(store.Page{Limit: 1})[0], "k", want, v)
		err := h.snapshot(func(r store.SnapshotReader) error {
			items, err := r.Get(ctx, []byte("k"))
			if err == nil {
				h.wantItem("a snapshot sees every commit acknowledged before the call", items[0], "k", want, v)
			}
			return err
		})
		if err != nil {
			h.Fatalf("Snapshot = %v", err)
		}
	}
}

func testSnapshot(h *harness) {
	v := h.commit(put("a", "1"), put("b", "1"), put("e", "b"))
	h.commit(put("deleted", "1"))
	for round := range 5 {
		var beside []chan error
		err := h.snapshot(func(r store.SnapshotReader) error {
			first, err := r.Get(ctx, asKeys([]string{"a", "b", "deleted", "new"})...)
			if err != nil {
				return err
			}
			if err := wantSame(h, r, "a snapshot", first); err != nil {
				return err
			}
			// Another goroutine commits meanwhile.
			done := make(chan error, 1)
			beside = append(beside, done)
			go func() {
				_, err := h.try(h.batch(put("a", fmt.Sprint("a", round)), put("b", fmt.Sprint("b", round)), del("deleted"), put("new", "new")))
				done <- err
			}()
			select {
			case err := <-done:
				done <- err
			case <-time.After(patience):
				return errors.New("a commit waits for the function of a snapshot; no lock that a commit needs is held while it runs")
			}
			return wantSame(h, r, "a snapshot that commits went on beside", first)
		})
		for _, done := range beside {
			err = errors.Join(err, <-done)
		}
		if err != nil {
			h.Fatalf("Snapshot, or a commit beside it: %v", err)
		}
		h.commit(put("deleted", "again"), del("new"))
	}
	if got := h.version("a"); got == v {
		h.Errorf("commits beside a snapshot were acknowledged and are not there")
	}

	// What the function commits before it reads for the first time is not in the snapshot either.
	last := h.get("a")[0]
	err := h.snapshot(func(r store.SnapshotReader) error {
		before := last
		last.Value = fmt.Appendf(nil, "after %s", before.Value)
		last.Version = h.commit(put("a", string(last.Value)))
		items, err := r.Get(ctx, []byte("a"))
		if err == nil {
			h.wantItem("a snapshot is taken before its function is called", items[0], "a", string(before.Value), before.Version)
		}
		return err
	})
	if err != nil {
		h.Fatalf("Snapshot of a function that commits first = %v", err)
	}
}

// wantSame reads a, b, deleted and new, and b in two ways by pages, and expects what first was.
func wantSame(h *harness, r store.Reader, when string, first []store.Item) error {
	h.Helper()
	items, err := r.Get(ctx, asKeys(keysOf(first))...)
	if err != nil {
		return err
	}
	for _, p := range []store.Page{
		{Lo: []byte("b"), Hi: []byte("c"), Limit: 10},
		{Lo: []byte("e"), Hi: []byte("f"), Limit: 10, Deref: true, Reverse: true},
	} {
		page, err := r.Page(ctx, p)
		if err != nil {
			return err
		}
		if len(page) != 1 {
			return fmt.Errorf("Page(%s) of a snapshot has %d items, want 1", describePage(p), len(page))
		}
		first, items = append(first, first[1]), append(items, page[0])
	}
	for i, it := range items {
		h.wantItem(when, it, string(first[i].Key), string(first[i].Value), first[i].Version)
	}
	return nil
}

func testSnapshotError(h *harness) {
	want := errors.New("the function's own error")
	calls := 0
	if err := h.s.Snapshot(ctx, func(store.SnapshotReader) error { calls++; return want }); err != want {
		h.Errorf("Snapshot = %v, want the error of its function as it is", err)
	}
	if err := h.s.Snapshot(ctx, func(store.SnapshotReader) error { calls++; return nil }); err != nil {
		h.Errorf("Snapshot of a function that reads nothing = %v", err)
	}
	if calls != 2 {
		h.Errorf("two calls of Snapshot called the function %d times", calls)
	}
	err := h.s.Snapshot(ctx, func(r store.SnapshotReader) error {
		if t := r.Token(); (t != "") != (h.limits.Watch || h.limits.RangeChecks) {
			h.Errorf("Token = %q; it is zero exactly on a store that declares neither Watch nor RangeChecks", t)
		}
		return nil
	})
	if err != nil {
		h.Errorf("Snapshot = %v", err)
	}
}

// testPageAndVersion is about stores that are a store.PageVersioner.
func testPageAndVersion(h *harness) {
	s, ok := h.s.(store.PageVersioner)
	if !ok {
		h.Skip("the store reads a page and another key one after the other")
	}
	h.commit(put("d/1", "one"), put("d/2", "two"), put("e/a", "d/2"), put("e/b", "d/1"), put("e/c", "d/3"))
	v := h.commit(put("record", "1"))
	lo, hi := []byte("e/"), []byte("e0")
	for _, p := range []store.Page{
		{Lo: lo, Hi: hi, Limit: 10},
		{Lo: lo, Hi: hi, Limit: 2, Reverse: true},
		{Lo: lo, Hi: hi, Limit: 10, KeysOnly: true},
		{Lo: lo, Hi: hi, Limit: 2, KeysOnly: true, Reverse: true},
		{Lo: lo, Hi: hi, Limit: 10, Deref: true},
		{Lo: lo, Hi: hi, Limit: 10, Deref: true, Reverse: true},
		{Lo: []byte("none"), Hi: []byte("none/"), Limit: 10},
		{Lo: []byte("none"), Hi: []byte("none/"), Limit: 10, Deref: true},
	} {
		want := h.page(p)
		for key, at := range map[string]store.Version{"record": v, "absent": store.Absent} {
			items, version, err := s.PageAndVersion(ctx, p, []byte(key))
			if err != nil {
				h.Fatalf("PageAndVersion(%s, %q) = %v", describePage(p), key, err)
			}
			if version != at {
				h.Errorf("PageAndVersion(%s, %q) has version %d of the key, want %d", describePage(p), key, version, at)
			}
			if !slices.EqualFunc(items, want, sameItem) {
				h.Errorf("PageAndVersion(%s, %q) = %d items, want what Page returns, %d: %v, %v", describePage(p), key, len(items), len(want), items, want)
			}
		}
	}
	if _, _, err := s.PageAndVersion(ctx, store.Page{Lo: lo, Hi: hi}, []byte("record")); err == nil {
		h.Error("PageAndVersion with a limit of 0 = nil; it is an error as with Page")
	}
	// The version is of the moment of the page, or of a later one: a change that the page shows, it shows as well.
	h.commit(put("e/a", "d/0"), put("record", "0"))
	done := make(chan struct{})
	writer := make(chan struct{})
	go func() {
		defer close(writer)
		for i := 1; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			if _, err := h.try(h.batch(put("e/a", fmt.Sprint("d/", i)), put("record", fmt.Sprint(i)))); err != nil {
				h.Errorf("Commit: %v", err)
				return
			}
		}
	}()
	for range times(100, 2000) {
		items, version, err := s.PageAndVersion(ctx, store.Page{Lo: lo, Hi: hi, Limit: 1}, []byte("record"))
		if err != nil {
			h.Errorf("PageAndVersion: %v", err)
			break
		}
		// Both keys are put by the same commits: an equal version is the same commit, and another one is a later one.
		if version != items[0].Version {
			now := h.get("e/a")[0].Version
			if now == items[0].Version {
				h.Errorf("PageAndVersion read the entry at version %d, which it still is at, and the key, which every commit changes with it, at %d: that is an earlier one", items[0].Version, version)
			}
		}
	}
	close(done)
	<-writer
}

func sameItem(a, b store.Item) bool {
	return bytes.Equal(a.Entry, b.Entry) && bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value) && a.Version == b.Version
}
