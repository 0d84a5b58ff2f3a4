package filestore

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// randomEntries returns entries as a run has them, by key.
func randomEntries(rng *rand.Rand, n int) map[string]*runEntry {
	out := make(map[string]*runEntry)
	for range n {
		e := &runEntry{seq: 1 + uint64(rng.IntN(1_000_000))}
		switch rng.IntN(4) {
		case 0: // a document
			e.key = fmt.Appendf(nil, "\x01\x02\x03doc/%06d", rng.IntN(100_000))
			e.location = location{segID(1 + rng.IntN(3)), uint32(1 + rng.IntN(1<<20)), uint32(65 + rng.IntN(4000)), rng.Uint32()}
		case 1: // an index entry, whose value ends as its key does
			id := fmt.Sprintf("doc/%06d", rng.IntN(100_000))
			e.key = fmt.Appendf(nil, "\x01\x02\x04%03d\x00\x01%s", rng.IntN(500), id)
			e.value = []byte("\x01\x02\x03" + id)
		case 2:
			e.key = fmt.Appendf(nil, "\x01\x02\x05%d", rng.IntN(100_000))
			e.value = bytes.Repeat([]byte{byte(rng.IntN(3))}, rng.IntN(64))
		case 3:
			e.key = bytes.Repeat([]byte{byte(rng.IntN(256))}, 1+rng.IntN(store.MaxKey))
			e.deleted = rng.IntN(2) == 0
			if !e.deleted {
				e.value = e.key[:rng.IntN(len(e.key)+1)]
			}
		}
		out[string(e.key)] = e
	}
	return out
}

// runOf writes a run of entries and opens it.
func runOf(t testing.TB, fsys FS, id runID, entries map[string]*runEntry) *run {
	t.Helper()
	w, err := newRun(fsys, testUUID(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		if err := w.add(entries[key]); err != nil {
			t.Fatal(err)
		}
	}
	m, err := w.finish()
	if err == nil {
		err = errors.Join(w.close(true), installTmp(fsys, runName(id)))
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := openRun(fsys, testUUID(), m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.f.Close() })
	return r
}

func sameEntry(a, b *runEntry) bool {
	return string(a.key) == string(b.key) && a.seq == b.seq && a.deleted == b.deleted && a.location == b.location && string(a.value) == string(b.value)
}

// osDir returns a directory of the operating system.
func osDir(t testing.TB) *osFS {
	t.Helper()
	fsys, err := openOS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fsys.Close() })
	return fsys
}

// What is written to a run is found in it, key by key and in order, with a cache that holds all of it, a part, or nothing.
func TestARunHasWhatWasWrittenToIt(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 9))
		entries := randomEntries(rng, 1+rng.IntN(4000))
		r := runOf(t, osDir(t), 7, entries)
		cache := &blockCache{budget: []int64{1 << 30, 20_000, 0}[seed%3]}
		cache.add(r)
		keys := slices.Sorted(maps.Keys(entries))
		var deleted, located, values uint64
		for _, e := range entries {
			if e.deleted {
				deleted++
			} else if e.location.n != 0 {
				located += uint64(e.location.n)
				values++
			}
		}
		for _, u := range r.uses {
			located -= u.bytes
			values -= u.values
		}
		if r.keys != uint64(len(entries)) || r.deleted != deleted || located != 0 || values != 0 || r.last != keys[len(keys)-1] {
			t.Errorf("seed %d: the index says %d keys, %d deleted, last %q; it is wrong by %d values of %d bytes", seed, r.keys, r.deleted, r.last, values, located)
		}
		var e runEntry
		kept := []*aside{nil, {}}
		for i, key := range keys {
			if ok, err := r.get(key, &e, kept[i%2]); !ok || err != nil || !sameEntry(&e, entries[key]) {
				t.Fatalf("seed %d: get %q = %+v, %t, %v, want %+v", seed, key, e, ok, err, entries[key])
			}
			for _, other := range []string{key + "\x00", key[:len(key)-1], "", "\xff\xff"} {
				ok, err := r.get(other, &e, kept[i/2%2])
				if want := entries[other] != nil; ok != want || err != nil {
					t.Fatalf("seed %d: get %q = %t, %v, want %t", seed, other, ok, err, want)
				}
			}
		}
		if used := cache.used.Load(); used > max(cache.budget, 3*8192) {
			t.Errorf("seed %d: the cache takes %d bytes, its budget is %d", seed, used, cache.budget)
		}
		cache.remove(r)
		if used := cache.used.Load(); used != 0 {
			t.Errorf("seed %d: without runs the cache takes %d bytes", seed, used)
		}
	}
}

// A walk over trees and runs goes over what a map has that was written in the same order.
func TestAWalkEqualsAMap(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 10))
		fsys := osDir(t)
		s := &Store{fs: fsys}
		cache := &blockCache{budget: 1 << 20}
		want := make(map[string]*runEntry)
		var runs []*run
		for id := range runID(rng.IntN(5)) {
			entries := randomEntries(rng, 1+rng.IntN(600))
			maps.Copy(want, entries)
			r := runOf(t, fsys, id+1, entries)
			cache.add(r)
			runs = append([]*run{r}, runs...)
		}
		st := state{ver: s.newVersion(runs, []*segment{{id: 1}, {id: 2}, {id: 3}}, 4)}
		tree := func() *delta {
			d := newDelta()
			for key, e := range randomEntries(rng, rng.IntN(300)) {
				it := item{key: key}
				if !e.deleted {
					it.entry = &entry{seq: e.seq, value: string(e.value)}
					e.location = location{}
				}
				want[key] = e
				d.ReplaceOrInsert(it)
			}
			return d
		}
		if rng.IntN(2) == 0 {
			st.frozen = tree()
		}
		st.delta = tree()
		keys := slices.DeleteFunc(slices.Sorted(maps.Keys(want)), func(k string) bool { return want[k].deleted })
		pick := func() []byte {
			if len(keys) == 0 || rng.IntN(5) == 0 {
				return []byte{byte(rng.IntN(256))}
			}
			k := []byte(keys[rng.IntN(len(keys))])
			if rng.IntN(3) == 0 {
				k = append(k, 0)
			}
			return k
		}
		for range 60 {
			lo, hi := pick(), pick()
			if rng.IntN(3) == 0 {
				lo = nil
			}
			if rng.IntN(3) == 0 {
				hi = nil
			}
			var in []string
			for _, k := range keys {
				if k >= string(lo) && (hi == nil || k < string(hi)) {
					in = append(in, k)
				}
			}
			reverse := rng.IntN(2) == 0
			if reverse {
				slices.Reverse(in)
			}
			w := new(walk)
			w.begin(&st, lo, hi, reverse, true)
			for i := 0; ; i++ {
				got, ok := w.next()
				if w.err != nil {
					t.Fatal(w.err)
				}
				if !ok {
					if i != len(in) {
						t.Fatalf("seed %d: from %q to %q, reverse %t: %d keys, want %d", seed, lo, hi, reverse, i, len(in))
					}
					break
				}
				if i == len(in) || got.key != in[i] {
					t.Fatalf("seed %d: from %q to %q, reverse %t: key %d is %q, want %q", seed, lo, hi, reverse, i, got.key, in[i:min(i+1, len(in))])
				}
				e := want[got.key]
				if got.run != nil && !sameEntry(got.run, e) || got.entry != nil && (got.entry.seq != e.seq || got.entry.value != string(e.value)) {
					t.Fatalf("seed %d: key %q is %+v %+v, want %+v", seed, got.key, got.run, got.entry, e)
				}
			}
		}
	}
}

// Every byte of a run that is changed, and every end that is cut off, is noticed when it is opened or read.
func TestADamagedRunIsNoticed(t *testing.T) {
	fsys := osDir(t)
	entries := randomEntries(rand.New(rand.NewPCG(1, 1)), 100)
	r := runOf(t, fsys, 1, entries)
	good, err := readFile(fsys, r.name)
	if err != nil {
		t.Fatal(err)
	}
	notices := func(b []byte) error {
		bad := &run{manifestRun: r.manifestRun, name: r.name, f: memFile(b)}
		if err := bad.open(testUUID()); err != nil {
			return err
		}
		for i := range bad.blocks {
			if _, err := bad.readBlock(i); err != nil {
				return err
			}
		}
		return nil
	}
	if err := notices(good); err != nil {
		t.Fatal(err)
	}
	tries := 0
	for i := range good {
		for _, pattern := range []byte{0x01, 0x80, 0xff} {
			b := bytes.Clone(good)
			b[i] ^= pattern
			var damaged *store.CorruptError
			if err := notices(b); !errors.As(err, &damaged) || damaged.File != r.name {
				t.Fatalf("byte %d changed by %#x: %v, want a CorruptError", i, pattern, err)
			}
			tries++
		}
		if err := notices(good[:i]); !errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("cut at %d: %v, want a CorruptError", i, err)
		}
	}
	other := runOf(t, fsys, 2, entries)
	if b, err := readFile(fsys, other.name); err != nil || !errors.Is(notices(b), store.ErrCorrupt) {
		t.Errorf("another run under its name: %v, %v", err, notices(b))
	}
	t.Logf("%d changed bytes in %d blocks", tries, len(r.blocks))
}

// The bytes of a run are fixed.
func TestGoldenRun(t *testing.T) {
	w := blockWriter{}
	for _, e := range []runEntry{
		{key: []byte("doc/1"), seq: 300, location: location{7, 100, 70, 0x11223344}},
		{key: []byte("doc/2"), seq: 299, deleted: true},
		{key: []byte("doc/a/1"), seq: 300, value: []byte("doc/1")},
		{key: []byte("doc/b/1"), seq: 301, value: []byte("doc/x/1")},
	} {
		w.add(&e)
	}
	b := w.append(nil, 40, 0xa1b2c3d4)
	if want := unhex(t, goldenBlock); !bytes.Equal(b, want) {
		t.Errorf("block:\n%x\nwant\n%x", b, want)
	}
}

// Which runs are merged: the newest ones, up to one that is much larger than they are together.
func TestMergeCount(t *testing.T) {
	for _, c := range []struct {
		sizes string
		want  int
	}{
		{"", 0}, {"1", 1}, {"1 4", 1}, {"1 3", 2}, {"1 1", 2}, {"1 4 16 64", 1}, {"1 1 4 16", 4}, {"1 1 9 100", 2}, {"1 5 30 200 1000", 2}, {"1 1 5 30 200 1000", 3},
	} {
		var runs []*run
		for _, f := range strings.Fields(c.sizes) {
			r := &run{}
			fmt.Sscan(f, &r.keys)
			runs = append(runs, r)
		}
		if got := mergeCount(runs); got != c.want {
			t.Errorf("of runs with %q keys %d are merged, want %d", c.sizes, got, c.want)
		}
	}
}

// FuzzBlock: whatever passes its checksum is read, or refused without a panic.
func FuzzBlock(f *testing.F) {
	for seed := range uint64(4) {
		w := blockWriter{}
		entries := randomEntries(rand.New(rand.NewPCG(seed, 3)), 10)
		for _, key := range slices.Sorted(maps.Keys(entries)) {
			w.add(entries[key])
		}
		b := w.append(nil, 0, 0)
		f.Add(b[:len(b)-4])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		sum := placedSum(body, 0, 0)
		var b, again block
		if b.parse(append(body[:len(body):len(body)], byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)), 0, 0) != nil {
			return
		}
		w := blockWriter{}
		for i := range b.n {
			var e runEntry
			b.at(i, &e)
			if k, ok := b.search(e.key); !ok || k != i {
				t.Fatalf("key %d is found at %d, %t", i, k, ok)
			}
			w.add(&e)
		}
		if err := again.parse(w.append(nil, 0, 0), 0, 0); err != nil || again.n != b.n {
			t.Fatalf("written again: %d keys, %v, want %d", again.n, err, b.n)
		}
		for i := range b.n {
			var e, e2 runEntry
			b.at(i, &e)
			again.at(i, &e2)
			if !sameEntry(&e, &e2) {
				t.Fatalf("key %d: %+v, written again %+v", i, e, e2)
			}
		}
	})
}

// FuzzRunIndex: an index is read or refused, without a panic and without more memory than its bytes justify.
func FuzzRunIndex(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0}, uint16(40))
	f.Add([]byte{1, 0, 1, 'a', 60, 1, 'b', 2, 0, 5, 6, 1, 3, 1, 90}, uint16(100))
	f.Fuzz(func(t *testing.T, b []byte, at uint16) {
		r := &run{}
		if err := r.parseIndex(b, int64(at)); err == nil && len(r.firsts) != len(r.blocks) {
			t.Fatal("blocks without first keys")
		}
	})
}
