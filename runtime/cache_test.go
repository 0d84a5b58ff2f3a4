package kixx

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"unsafe"

	"github.com/kixxgen/kixxgen/runtime/store"
)

func docKeyOf(i int) []byte {
	h := newHeader([8]byte{1}, 1, 0)
	return append(h[:], fmt.Sprintf("%05d", i)...)
}

func cachedAt(v store.Version) *cached { return &cached{version: v, weight: 100} }

func TestCacheKeepsItsBudget(t *testing.T) {
	c := newCache(cacheShards * 1000) // ten documents a shard
	for i := range 10_000 {
		c.fill(docKeyOf(i), cachedAt(1), c.mark())
	}
	kept := 0
	for i := range c.shards {
		s := &c.shards[i]
		if s.bytes > s.budget || s.bytes != int64(s.table.n)*100 {
			t.Fatalf("shard %d: %d bytes of %d for %d entries", i, s.bytes, s.budget, s.table.n)
		}
		found := 0
		for _, slot := range s.table.slots {
			if slot.e != nil {
				if found++; s.table.find(slot.hash, slot.e.key()) != slot.e {
					t.Fatalf("shard %d: the entry of %q is not found", i, slot.e.key())
				}
			}
		}
		if found != s.table.n {
			t.Fatalf("shard %d: %d entries, it says %d", i, found, s.table.n)
		}
		kept += found
	}
	if kept < 500 {
		t.Errorf("the cache keeps %d documents, it has room for 640", kept)
	}
	none := newCache(0)
	none.fill(docKeyOf(1), cachedAt(1), none.mark())
	if none.get(docKeyOf(1)) != nil {
		t.Error("a cache without room keeps a document")
	}
	big := cachedAt(1)
	c.put(docKeyOf(1), cachedAt(1))
	big.weight = 5000
	c.put(docKeyOf(1), big)
	if c.get(docKeyOf(1)) != nil {
		t.Error("a document that does not fit is kept, or the one before it")
	}
}

func TestCacheKeepsWhatIsUsed(t *testing.T) {
	c := newCache(cacheShards * 1000)
	hot := docKeyOf(0)
	c.put(hot, cachedAt(1))
	for i := 1; i < 20_000; i++ {
		if i%5 == 0 && c.get(hot) == nil {
			t.Fatalf("a document that is read all the time is gone after %d others", i)
		}
		c.put(docKeyOf(i), cachedAt(1))
	}
}

// A reader that read before a commit was published must not put what it read over it.
func TestCacheRefusesAnOldFill(t *testing.T) {
	c := newCache(1 << 20)
	key := docKeyOf(1)
	publish := func(e *cached, v store.Version) {
		c.published(&store.Batch{Ops: []store.Op{{Key: key, Decoded: e, Delete: e == nil}}}, v, func(*cached) bool { return true })
	}
	mark := c.mark()
	publish(&cached{weight: 1}, 2)
	c.fill(key, cachedAt(1), mark)
	if e := c.get(key); e == nil || e.version != 2 {
		t.Errorf("after an old fill the cache has %+v, want version 2", e)
	}
	mark = c.mark()
	publish(nil, 3)
	c.fill(key, cachedAt(2), mark)
	if e := c.get(key); e != nil {
		t.Errorf("after a deletion and an old fill the cache has %+v", e)
	}
	c.fill(key, cachedAt(4), c.mark())
	if e := c.get(key); e == nil || e.version != 4 {
		t.Errorf("after a fill in time the cache has %+v, want version 4", e)
	}
	// A reader that began while a commit was being published may have seen the state before it.
	publish(&cached{weight: 1}, 5)
	c.published(&store.Batch{Ops: []store.Op{{Key: key, Decoded: &cached{weight: 1}}}}, 6, func(*cached) bool { mark = c.mark(); return true })
	c.fill(key, cachedAt(5), mark)
	if e := c.get(key); e == nil || e.version != 6 {
		t.Errorf("after a fill that began during a publication the cache has %+v, want version 6", e)
	}
	foreign := &cached{weight: 1}
	c.published(&store.Batch{Ops: []store.Op{{Key: key, Decoded: foreign}}}, 7, func(*cached) bool { return false })
	if e := c.get(key); e != nil {
		t.Errorf("after a write by another database the cache has %+v", e)
	}
}

// A plain twin of the store: the cache may lack a document, and never has another version than the newest.
func TestCacheIsCoherentUnderReadersAndWriters(t *testing.T) {
	c := newCache(cacheShards * 300)
	var mu sync.RWMutex // the store's publish lock
	stored := make(map[string]store.Version)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 1))
			for range 20_000 {
				key := docKeyOf(r.IntN(500))
				switch r.IntN(4) {
				case 0: // publish
					mu.Lock()
					v := stored[string(key)] + 1
					stored[string(key)] = v
					c.published(&store.Batch{Ops: []store.Op{{Key: key, Decoded: &cached{weight: 100}}}}, v, func(*cached) bool { return true })
					mu.Unlock()
				case 1: // a miss reads the store, and takes its time before it fills
					mark := c.mark()
					mu.RLock()
					v := stored[string(key)]
					mu.RUnlock()
					if v > 0 {
						c.fill(key, cachedAt(v), mark)
					}
				default: // a page asks under the lock
					mu.RLock()
					if e := c.get(key); e != nil && e.version != stored[string(key)] {
						t.Errorf("the cache has version %d, the store %d", e.version, stored[string(key)])
					}
					mu.RUnlock()
				}
			}
		})
	}
	wg.Wait()
}

// The table of a shard does what a map does, also where hashes collide.
func TestTableIsAMap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		var tab table
		want := map[string]*cached{}
		hashes := map[string]uint64{}
		spread := 1 + r.IntN(200) // how many hashes there are
		for range 2000 {
			key := fmt.Sprint("key ", r.IntN(300))
			if r.IntN(10) == 0 {
				key += " that does not fit into the room that there is for keys"
			}
			if _, ok := hashes[key]; !ok {
				hashes[key] = uint64(r.IntN(spread)) * cacheShards
			}
			hash := hashes[key]
			switch r.IntN(3) {
			case 0:
				if got := tab.remove(hash, []byte(key)); got != want[key] {
					t.Fatalf("remove(%q) = %p, want %p", key, got, want[key])
				}
				delete(want, key)
			default:
				e := new(cached)
				e.setKey([]byte(key))
				tab.put(hash, e)
				want[key] = e
			}
			if tab.n != len(want) {
				t.Fatalf("%d entries, want %d", tab.n, len(want))
			}
		}
		for key, hash := range hashes {
			if got := tab.find(hash, []byte(key)); got != want[key] || got != nil && string(got.key()) != key {
				t.Fatalf("find(%q) = %v, want %v", key, got, want[key])
			}
		}
	}
}

func TestACachedDocumentFillsTwoLines(t *testing.T) {
	if size := unsafe.Sizeof(cached{}); size != 128 {
		t.Errorf("a cached has %d bytes, want 128", size)
	}
	for n := range 2 * keyRoom {
		key := bytes.Repeat([]byte("k"), n)
		var e cached
		if e.is(key) && n > 0 {
			t.Errorf("a key of %d bytes is there before it is set", n)
		}
		if e.setKey(key); !e.is(key) || string(e.key()) != string(key) || e.is(append(key, 'x')) {
			t.Errorf("a key of %d bytes comes back as %q", n, e.key())
		}
	}
}
